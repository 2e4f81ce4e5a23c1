"""One process for the API and two workers, side by side on PostgreSQL."""

import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.neighbours import Neighbours
from tests.e2e.processes import RelayProcess, environment, run, serving, until
from tests.postgres import PostgresServer

pytestmark = [pytest.mark.e2e, pytest.mark.postgres, pytest.mark.timeout(240)]

TASKS: Final = 1_000
HANGING: Final = 16
"""As many as two workers have at once for one origin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    api: RelayProcess
    workers: tuple[RelayProcess, RelayProcess]


@pytest.fixture
async def split(own: Neighbours, postgres_server: PostgresServer, tmp_path: Path) -> AsyncIterator[Split]:
    url = postgres_server.url_for(postgres_server.create_database())
    quick = {"DELIVERY__DEADLINE": "PT4S", "CAMB__DEADLINE": "PT4S", "CAMB__CONCURRENCY": "64"}
    environs = {role: environment(own, url, ROLE=role, **quick) for role in ("api", "worker")}
    migrated = run("migrate", environ=environs["api"], folder=tmp_path)
    assert migrated.returncode == 0, migrated.stderr
    async with AsyncExitStack() as started:
        yield Split(
            api=await started.enter_async_context(serving(environs["api"], tmp_path)),
            workers=(
                await started.enter_async_context(serving(environs["worker"], tmp_path)),
                await started.enter_async_context(serving(environs["worker"], tmp_path)),
            ),
        )


async def test_nothing_comes_twice_while_nobody_dies(own: Neighbours, split: Split) -> None:
    ids = await split.api.register_all(
        [{"task_id": f"success-{number}", "callback_url": own.hook("ok")} for number in range(TASKS)]
    )
    await split.api.all_closed(within=120)

    arrivals, totals = await own.arrivals(), await own.totals()
    shares = [await worker.metric('relay_events_total{type="task.succeeded"}') for worker in split.workers]
    polls = [
        await worker.metric('relay_polls_total{kind="text-to-sound",result="terminal"}')
        for worker in split.workers
    ]
    assert arrivals.keys() == set(ids)
    assert {(arrival["arrivals"], arrival["accepted"]) for arrival in arrivals.values()} == {(1, 1)}
    assert (totals["received"], totals["duplicates"], totals["bad_signatures"]) == (TASKS, 0, 0)
    assert sum(shares) == sum(polls) == TASKS
    assert all(shares), "both workers had their share"
    assert sorted(arrival["body"]["data"]["task_id"] for arrival in arrivals.values()) == sorted(
        f"success-{number}" for number in range(TASKS)
    )


async def test_what_a_killed_worker_had_in_hand_is_notified_by_the_other(
    own: Neighbours, split: Split
) -> None:
    wishes = [
        {"task_id": f"success-hang-{number}", "callback_url": own.hook("hang-1")} for number in range(HANGING)
    ]
    wishes += [{"task_id": f"hang-{number}", "callback_url": own.hook("ok")} for number in range(HANGING)]
    ids = await split.api.register_all(wishes)

    async def with_both_in_hand() -> RelayProcess | None:
        for worker in split.workers:
            in_hand = [
                await worker.metric(f'relay_in_flight{{queue="{queue}"}}')
                for queue in ("tasks", "deliveries")
            ]
            if all(in_hand):
                return worker
        return None

    victim = await until(with_both_in_hand)
    assert victim is not None
    victim.signal(signal.SIGKILL)
    assert await victim.ended() == -signal.SIGKILL
    await split.api.all_closed(within=90)

    arrivals = await own.arrivals()
    assert arrivals.keys() == set(ids)
    assert all(arrival["accepted"] for arrival in arrivals.values())
    assert not any(arrival["body_changed"] for arrival in arrivals.values())
