"""One CAMB key and its budget: what the simulator is asked by one replica and by four, and what all of them do after a 429."""

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from relay.demo.processes import Child, Processes, ProcessFailed
from tests.e2e.neighbours import RECEIVER, SIMULATOR, Neighbours, neighbours_at
from tests.e2e.processes import TOKEN, environment, until
from tests.postgres import DURABLE, PostgresServer
from tests.relays import migrate
from tests.rolling.promises import Broken, end_on_sigterm, hold, say

REPLICAS: Final = (1, 4)
RATE: Final = 20
TASK_IDS: Final = tuple(f"never-{number}" for number in range(200))
"""Due each second at the latest, so ten times what the budget allows."""
JOIN_SECONDS: Final = 10.0
MEASURED_SECONDS: Final = 60.0
TOLERANCE: Final = 0.1
RETRY_AFTER: Final = 4
PAUSES: Final = 2
AGAIN_SECONDS: Final = 5.0
TOLERANCE_AGAIN: Final = 0.25
"""Over so short a time."""
SAMPLE_SECONDS: Final = 0.05
IN_FLIGHT_SECONDS: Final = 0.5
"""After the first 429 for what was on its way; before a pause's end for the two clocks and the sampling."""

_CLOSED_FOR_NOW: Final = {"http_status": 429, "headers": {"retry-after": str(RETRY_AFTER)}}


@dataclass(frozen=True, slots=True)
class Sample:
    """What the simulator had counted at an instant of its own clock, in seconds."""

    at: float
    requests: int
    refused: int


class Watched:
    """The simulator, looked at all the time."""

    def __init__(self, neighbours: Neighbours) -> None:
        self._neighbours = neighbours
        self.samples: list[Sample] = []

    async def look(self) -> None:
        while True:
            self.samples.append(await self.now())
            await asyncio.sleep(SAMPLE_SECONDS)

    async def now(self) -> Sample:
        url = f"{self._neighbours.simulator_url}/_simulator/state"
        state = (await self._neighbours.http.get(url, params={"limit": "0"})).json()
        return Sample(
            state["now"] / 1_000_000, sum(state["requests"].values()), state["answers"].get("429", 0)
        )

    async def answer(self, *, refusing: bool) -> None:
        """Have every task answer 429 from now on, or be pending again."""
        url = f"{self._neighbours.simulator_url}/_simulator/tasks"
        words: dict[str, object] = {"answers": [_CLOSED_FOR_NOW]} if refusing else {"script": "never"}
        for task_id in TASK_IDS:
            (await self._neighbours.http.post(url, json={"task_id": task_id, **words})).raise_for_status()

    def between(self, begin: float, end: float) -> int:
        """Requests between the last look at or before `begin` and the last at or before `end`."""
        return self._at(end).requests - self._at(begin).requests

    def refusals(self, since: float) -> list[float]:
        """When a 429 was first seen, for each look that saw more of them."""
        return [
            after.at
            for before, after in pairwise(self.samples)
            if after.refused > before.refused and after.at > since
        ]

    def _at(self, instant: float) -> Sample:
        return next(each for each in reversed(self.samples) if each.at <= instant)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    replicas: int
    rate: float
    """Requests a second, over the whole of what was measured."""
    busiest: int
    """In any one second of it."""
    first_wave: int
    """429s before the replicas knew."""
    probes: tuple[int, ...]
    """Requests in each pause that a probe's 429 began, its own not among them, and in its moment of asking."""
    rate_again: float


async def migrated(opened: AsyncExitStack) -> str:
    """A server of its own, so that neither can wait for the other; one migration at a time, for Alembic has one context."""
    server = opened.enter_context(PostgresServer.running(DURABLE))
    url = server.url_for(server.create_database())
    await asyncio.to_thread(migrate, url)
    return url


async def measured(replicas: int, database_url: str, opened: AsyncExitStack) -> Figures:
    processes = await opened.enter_async_context(Processes({}))
    simulator = await processes.start("simulator", *SIMULATOR)
    receiver = await processes.start("receiver", *RECEIVER)
    neighbours = await opened.enter_async_context(neighbours_at(simulator.url, receiver.url))
    environ = environment(
        neighbours,
        database_url,
        CAMB__RATE_PER_SECOND=str(RATE),
        POLLING__TICK="PT1S",
        POLLING__MIN_PACE="PT0.5S",
        POLLING__MAX_PACE="PT1S",
    )
    first = await processes.start("replica", "relay", "serve", environ=environ)
    await register(first, neighbours)
    watched = Watched(neighbours)
    looking = asyncio.create_task(watched.look())
    try:
        await asyncio.gather(
            *(processes.start("replica", "relay", "serve", environ=environ) for _ in range(replicas - 1))
        )
        await asyncio.sleep(JOIN_SECONDS)
        return await observed(watched, replicas)
    finally:
        looking.cancel()


async def register(replica: Child, neighbours: Neighbours) -> None:
    wishes = [{"task_id": task_id, "callback_url": neighbours.hook("ok")} for task_id in TASK_IDS]
    answer = await neighbours.http.post(
        f"{replica.url}/v1/registrations/batch",
        json={"registrations": wishes},
        headers={"authorization": f"Bearer {TOKEN}"},
    )
    hold(answer.is_success, f"the tasks are registered: {answer.text}")


async def observed(watched: Watched, replicas: int) -> Figures:
    begin = (await watched.now()).at
    await asyncio.sleep(MEASURED_SECONDS)
    end = watched.samples[-1].at
    busiest = max(watched.between(begin + second, begin + second + 1) for second in range(int(end - begin)))
    rate = watched.between(begin, end) / (end - begin)

    refused_from = (await watched.now()).at
    await watched.answer(refusing=True)

    async def paused_often() -> bool:
        return len(waves(watched.refusals(refused_from))) > PAUSES

    await until(paused_often, within=(PAUSES + 2) * (RETRY_AFTER + 2))
    first, *later = waves(watched.refusals(refused_from))
    await watched.answer(refusing=False)
    pauses = [first, *later[:PAUSES]]
    quiet = [
        watched.between(begun + IN_FLIGHT_SECONDS, begun + RETRY_AFTER - IN_FLIGHT_SECONDS)
        for begun in pauses[:-1]
    ]
    hold(not any(quiet), f"{replicas} replicas leave a paused key alone: {quiet} requests")
    probes = tuple(
        watched.between(before + IN_FLIGHT_SECONDS, after + IN_FLIGHT_SECONDS)
        for before, after in pairwise(pauses)
        if after + IN_FLIGHT_SECONDS <= watched.samples[-1].at
    )
    hold(set(probes) == {1}, f"{replicas} replicas try a paused key with one request: {probes}")

    async def goes_on() -> bool:
        return watched.between(pauses[-1] + IN_FLIGHT_SECONDS, watched.samples[-1].at) > 1

    await until(goes_on, within=2 * RETRY_AFTER + 5)
    again_from = watched.samples[-1].at
    await asyncio.sleep(AGAIN_SECONDS)
    again = watched.samples[-1].at
    return Figures(
        replicas=replicas,
        rate=rate,
        busiest=busiest,
        first_wave=watched.between(first - SAMPLE_SECONDS * 2, first + IN_FLIGHT_SECONDS),
        probes=probes,
        rate_again=watched.between(again_from, again) / (again - again_from),
    )


def waves(refusals: list[float]) -> list[float]:
    """When each began: what was seen within a pause's beginning belongs to it."""
    begun: list[float] = []
    for refusal in refusals:
        if not begun or refusal - begun[-1] > IN_FLIGHT_SECONDS:
            begun.append(refusal)
    return begun


async def main() -> None:
    end_on_sigterm()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with AsyncExitStack() as opened:
        urls = [await migrated(opened) for _ in REPLICAS]
        both = await asyncio.gather(
            *(measured(replicas, url, opened) for replicas, url in zip(REPLICAS, urls, strict=True))
        )
    for each in both:
        words = f"{each.rate:.2f} requests a second, {each.busiest} in the busiest; after the pauses {each.rate_again:.1f}"
        say(f"{each.replicas} on one key", MEASURED_SECONDS, words)
        hold(abs(each.rate_again / RATE - 1) < TOLERANCE_AGAIN, "after the pauses the rate is back")
        say("  told to wait", RETRY_AFTER, f"none asked meanwhile; then {len(each.probes)} times one probe")
    few, many = (each.rate for each in both)
    hold(abs(many / few - 1) < TOLERANCE, f"replicas share one budget: {few:.2f} and {many:.2f} a second")
    hold(abs(few / RATE - 1) < TOLERANCE, f"the budget is used: {few:.2f} of {RATE} a second")
    say("in all", loop.time() - begun, "every promise held")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (Broken, ProcessFailed) as broken:
        sys.exit(f"not so: {broken}")
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("interrupted")
