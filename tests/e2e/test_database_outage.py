"""A database that goes away under a running relay, and comes back: nothing is lost, and nothing is repeated."""

import asyncio
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.neighbours import Neighbours
from tests.e2e.processes import RelayProcess, environment, serving, sqlite_url, until
from tests.postgres import PostgresServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

IN_FLIGHT: Final = 8
"""As many as one origin gets at once."""
PENDING: Final = 40
REFUSALS: Final = 3
"""How often an outcome is refused before the database is back: a relay that forgot it would have sent it again by then."""


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with PostgresServer.running() as own_server:
        yield own_server


async def get_busy(relay: RelayProcess, neighbours: Neighbours) -> list[str]:
    """Registrations whose notifications are in flight, and others whose tasks go on for a while."""
    slow = [
        {"task_id": f"success-slow-{number}", "callback_url": neighbours.hook("slow-3")}
        for number in range(IN_FLIGHT)
    ]
    pending = [
        {"task_id": f"success-after-1-{number}", "callback_url": neighbours.hook("ok")}
        for number in range(PENDING)
    ]
    ids = await relay.register_all(slow + pending)

    async def all_in_flight() -> bool:
        totals = await neighbours.totals()
        return bool(totals["received"] == IN_FLIGHT and totals["accepted"] == 0)

    await until(all_in_flight)
    return ids


async def is_refused_for_now(relay: RelayProcess, neighbours: Neighbours) -> None:
    wish = {"task_id": "success-meanwhile", "callback_url": neighbours.hook("ok")}
    answer = await relay.api.post("/v1/registrations", json=wish)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0


async def outcomes_are_refused(relay: RelayProcess) -> None:
    async def refused() -> bool:
        return await relay.metric('relay_commit_failures_total{writes="attempts"}') >= REFUSALS

    await until(refused)


async def each_came_once(neighbours: Neighbours, ids: list[str]) -> None:
    arrivals = await neighbours.arrivals()
    assert arrivals.keys() == set(ids)
    assert {(arrival["arrivals"], arrival["accepted"]) for arrival in arrivals.values()} == {(1, 1)}


@pytest.mark.postgres
async def test_work_resumes_by_itself_when_postgresql_is_back(
    own: Neighbours, server: PostgresServer, tmp_path: Path
) -> None:
    environ = environment(own, server.url_for(server.create_database()), DATABASE__MIGRATE_AT_START="true")

    async def reasons() -> list[str]:
        answer = await relay.api.get("/readyz")
        found: list[str] = answer.json()["reasons"]
        assert answer.status_code == (503 if found else 200)
        return found

    async def says_so() -> bool:
        return "database: no answer lately" in await reasons()

    async def is_ready() -> bool:
        return await reasons() == []

    async with serving(environ, tmp_path) as relay:
        ids = await get_busy(relay, own)
        await asyncio.to_thread(server.stop, "immediate")
        await is_refused_for_now(relay, own)
        await outcomes_are_refused(relay)
        await until(says_so)
        received_meanwhile = (await own.totals())["received"]
        await asyncio.to_thread(server.start)
        await until(is_ready)
        ids.append(await relay.register("success-meanwhile", own.hook("ok")))
        await relay.all_closed(within=60)
        await each_came_once(own, ids)
        exit_code = await relay.terminate()

    assert received_meanwhile == IN_FLIGHT
    assert exit_code == 0


def let_write(relay: RelayProcess, most: int) -> None:
    """Let the process write no file beyond so many bytes: past them the system refuses, as when the disk is full."""
    resource.prlimit(relay.process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


async def test_work_resumes_by_itself_when_sqlites_disk_has_room_again(
    own: Neighbours, tmp_path: Path
) -> None:
    environ = environment(own, sqlite_url(tmp_path))

    async with serving(environ, tmp_path) as relay:
        ids = await get_busy(relay, own)
        let_write(relay, 0)
        await is_refused_for_now(relay, own)
        await outcomes_are_refused(relay)
        received_meanwhile = (await own.totals())["received"]
        let_write(relay, resource.RLIM_INFINITY)
        ids.append(await relay.register("success-meanwhile", own.hook("ok")))
        await relay.all_closed(within=60)
        await each_came_once(own, ids)
        exit_code = await relay.terminate()

    assert received_meanwhile == IN_FLIGHT
    assert exit_code == 0
