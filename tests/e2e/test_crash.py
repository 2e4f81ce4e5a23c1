"""SIGKILL in the middle of everything: whatever was answered 2xx is notified."""

import asyncio
import itertools
import random
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.e2e.neighbours import Neighbours
from tests.e2e.processes import COMMAND, RelayProcess, environment, serving, sqlite_url, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

REAL: Final = (*COMMAND, "serve")
ANSWERING_EARLY: Final = (sys.executable, str(Path(__file__).with_name("answering_early.py")))

KILLS: Final = 10
MOST_LIVES: Final = 20
REGISTRANTS: Final = 6
BATCH: Final = 4
LATEST_KILL: Final = 0.5
LIFE: Final = 25.0
"""Seconds from the first request to the kill, below every deadline: what hangs then is in flight."""


@dataclass(slots=True, kw_only=True)
class Ledger:
    """What the relay has answered, over all its lives."""

    answered: set[str] = field(default_factory=set)
    unanswered: int = 0
    """Requests that were sent and whose answer the kill prevented, in this life."""
    kills: int = 0
    """Those that landed while a registration was unanswered, a poll in flight and a delivery in flight."""


async def keep_registering(
    relay: RelayProcess, neighbours: Neighbours, ledger: Ledger, numbers: Iterator[int], size: int
) -> None:
    """Request after request, until the relay is gone."""
    while True:
        wishes = [
            {"task_id": f"success-crowd-{number}", "callback_url": neighbours.hook("ok")}
            for number in itertools.islice(numbers, size)
        ]
        try:
            if size == 1:
                ledger.answered.add(await relay.register(**wishes[0]))
            else:
                ledger.answered.update(await relay.register_all(wishes))
        except httpx.ConnectError:
            return
        except httpx.TransportError:
            ledger.unanswered += 1
            return


async def hold_in_flight(relay: RelayProcess, neighbours: Neighbours, ledger: Ledger, life: int) -> None:
    """Have one poll and one delivery begin that get no answer in this life."""
    polled, ended = f"hang-{life}", f"success-hang-{life}"
    ledger.answered.add(await relay.register(polled, neighbours.hook("ok")))
    registration = await relay.register(ended, neighbours.hook("hang-1"))
    ledger.answered.add(registration)

    async def both_hang() -> bool:
        task, arrival = await neighbours.task(polled), await neighbours.arrival(registration)
        return (
            task is not None
            and (task["polls"], task["ending"]) == (1, None)
            and arrival is not None
            and (arrival["arrivals"], arrival["answered"]) == (1, [])
        )

    await until(both_hang)


async def live_and_die(
    relay: RelayProcess, neighbours: Neighbours, ledger: Ledger, life: int, rng: random.Random
) -> None:
    ledger.unanswered = 0
    numbers = itertools.count(life * 1_000_000)
    async with asyncio.timeout(LIFE), asyncio.TaskGroup() as crowd:
        await hold_in_flight(relay, neighbours, ledger, life)
        for size in (BATCH, *[1] * (REGISTRANTS - 1)):
            crowd.create_task(keep_registering(relay, neighbours, ledger, numbers, size))
        await asyncio.sleep(rng.uniform(0, LATEST_KILL))
        relay.signal(signal.SIGKILL)
    if ledger.unanswered:
        ledger.kills += 1
    assert await relay.ended() == -signal.SIGKILL


@asynccontextmanager
async def killed(
    kills: int, command: Sequence[str], neighbours: Neighbours, folder: Path
) -> AsyncIterator[tuple[RelayProcess, Ledger]]:
    """One more life after so many kills, on the same database."""
    patient = {"CAMB__DEADLINE": "PT30S", "DELIVERY__DEADLINE": "PT30S", "SERVER__DRAIN": "PT30S"}
    environ = environment(neighbours, sqlite_url(folder), **patient)
    ledger, rng = Ledger(), random.Random(20261123)
    for life in range(1, MOST_LIVES):
        if ledger.kills == kills:
            break
        async with serving(environ, folder, command) as relay:
            await live_and_die(relay, neighbours, ledger, life, rng)
    assert ledger.kills == kills
    async with serving(environ, folder, command) as relay:
        yield relay, ledger


async def test_whatever_was_answered_is_notified_through_ten_kills(own: Neighbours, tmp_path: Path) -> None:
    async with killed(KILLS, REAL, own, tmp_path) as (relay, ledger):
        await relay.all_closed(within=60)
        arrivals = await own.arrivals()
        healed = await relay.metric("relay_watching_under_terminal")

    totals = await own.totals()
    notified = {id_ for id_, arrival in arrivals.items() if arrival["accepted"]}
    assert len(ledger.answered) > 3 * KILLS
    assert ledger.answered - notified == set()
    assert (totals["bodies_changed"], totals["bad_signatures"], healed) == (0, 0, 0)
    assert {arrival["body"]["type"] for arrival in arrivals.values()} == {"task.succeeded"}


async def test_a_build_that_acknowledges_before_it_commits_is_found_out(
    own: Neighbours, tmp_path: Path
) -> None:
    async with killed(3, ANSWERING_EARLY, own, tmp_path) as (relay, ledger):
        await relay.all_closed(within=60)
        arrivals = await own.arrivals()

    lost = ledger.answered - arrivals.keys()
    assert lost
    assert len(lost) < len(ledger.answered) / 2, "only what was not committed yet is lost"
