"""Whatever events, restarts, breaks and other pullers come between: each puller gets each event of its client once, in order."""

import asyncio
import itertools
import random
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.routing import Route

from relay.api.application import application
from relay.api.events import Events
from relay.api.requests import Callers
from relay.domain.clients import Client, token_digest
from relay.domain.cursors import parse_cursor
from relay.domain.ids import RegistrationId, event_id_of
from relay.domain.instants import SECOND
from relay.domain.keys import SharedSecret
from relay.domain.registrations import RegistrationState
from relay.services.notify import Notifier
from relay.services.pull import Pulling
from relay.storage import retention
from relay.storage.engine import Database, open_database
from relay.telemetry import Metrics
from tests.api.listening import END, Listener, listening
from tests.storage.hand_time import HandTime
from tests.storage.migrated import MigratedDatabases
from tests.storage.store import BASE_URL, Backend, Store

NAMES: Final = ("shop", "bank")
CLIENTS: Final = {
    name: Client(
        name=name,
        camb_base_url=BASE_URL,
        camb_api_key="key",
        api_token_digests=frozenset({token_digest(name)}),
        signing_keys=(SharedSecret(secret=b"s" * 32),),
        default_kind="tts",
    )
    for name in NAMES
}
PROCESSES: Final = 2
PULLERS: Final = 4
"""Two of each client: they pull beside each other and know nothing of it."""


async def at_once(_seconds: float) -> None:
    await asyncio.sleep(0)


class Process:
    """What of a relay's process serves whoever pulls."""

    def __init__(self, url: str, time: HandTime, seed: int) -> None:
        self.database: Database = open_database(url, time.clock, pool_size=2)
        self.notifier = Notifier(self.database, metrics=Metrics(), pause=at_once)
        pulling = Pulling(
            self.database,
            self.notifier,
            clients=CLIENTS.values(),
            clock=time.clock,
            rng=random.Random(seed),
        )
        events = Events(Callers(CLIENTS), pulling, self.notifier, heartbeat=3600)
        routes = [Route("/v1/events", events.list), Route("/v1/events/stream", events.stream)]
        self.app = application(routes, lambda: "req_1")

    async def close(self) -> None:
        await self.notifier.close()
        await self.database.close()


@dataclass(slots=True)
class Puller:
    """`seen` are positions and ids in the order they came, `gaps` what it was told that it has missed."""

    client: str
    process: int = 0
    cursor: str | None = None
    seen: list[tuple[int, str]] = field(default_factory=list)
    gaps: list[range] = field(default_factory=list)
    listener: Listener | None = None
    leaving: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def position(self) -> int:
        return position_of(self.cursor)

    def take(self, item: dict[str, Any]) -> None:
        self.seen.append((position_of(item["cursor"]), item["id"]))
        self.cursor = item["cursor"]

    def miss(self, oldest: str) -> None:
        self.gaps.append(range(self.position + 1, position_of(oldest) + 1))
        self.cursor = oldest


def position_of(cursor: str | None) -> int:
    parsed = None if cursor is None else parse_cursor(cursor)
    return 0 if parsed is None else parsed.position


@dataclass(slots=True)
class World:
    store: Store
    workers: tuple[Store, ...]
    processes: list[Process]
    pullers: list[Puller] = field(
        default_factory=lambda: [Puller(client=NAMES[number % 2]) for number in range(PULLERS)]
    )
    made: dict[str, dict[int, str]] = field(default_factory=lambda: {name: {} for name in NAMES})
    """What there ever was of each client, by position."""
    horizons: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def announce(self, worker: int, client: str, count: int) -> None:
        """Some with callbacks, some without."""
        store = self.workers[worker]
        for _ in range(count):
            number = next(self.numbers)
            wanted = (store.pulled if number % 3 else store.wanted)(f"t-{number}", client=client)
            await store.accept(wanted)
        await store.end_all()

    async def note(self) -> None:
        for client, position, registration in await self.store.rows(
            "SELECT client, position, registration FROM events"
        ):
            self.made[str(client)][int(str(position))] = event_id_of(RegistrationId(str(registration)))
        for client, pruned_to in await self.store.rows("SELECT name, pruned_to FROM clients"):
            self.horizons[str(client)] = int(str(pruned_to))

    def last(self, client: str) -> int:
        return max(self.made[client], default=0)

    async def prune(self) -> None:
        self.store.time.advance(SECOND)
        await self.store.write(retention.prune, RegistrationState.AVAILABLE, self.store.now, 500)

    async def page(self, puller: Puller, limit: int, *, lost: bool = False) -> bool:
        """Whether there was anything. What is `lost` came, and its reader died before it had done anything with it."""
        app = self.processes[puller.process].app
        query = {"limit": str(limit)} | ({} if puller.cursor is None else {"after": puller.cursor})
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://relay",
            headers={"authorization": f"Bearer {puller.client}"},
        ) as api:
            answer = await api.get("/v1/events", params=query)
        document = answer.json()
        if answer.status_code == 410:
            puller.miss(document["oldest"])
            return True
        assert answer.status_code == 200, answer.text
        if lost:
            return False
        if puller.cursor is None:
            puller.gaps.append(range(1, position_of(self._beginning(document)) + 1))
        for item in document["data"]:
            puller.take(item)
        puller.cursor = document["next_cursor"]
        return bool(document["data"])

    @staticmethod
    def _beginning(document: dict[str, Any]) -> str:
        """Where a page begins that was asked for without a cursor."""
        if not document["data"]:
            return str(document["next_cursor"])
        store, _, position = document["data"][0]["cursor"].partition("-")
        return f"{store}-{int(position) - 1}"

    async def listen(self, puller: Puller, frames: int) -> None:
        """Read up to so many events that are there, on the stream that is open or a new one."""
        if puller.listener is None:
            headers = {} if puller.cursor is None else {"Last-Event-ID": puller.cursor}
            app = self.processes[puller.process].app
            listener = await puller.leaving.enter_async_context(
                listening(app, puller.client, headers=headers)
            )
            if listener.status == 410:
                await self.leave(puller)
                await self.page(puller, 1)  # which is told where to go on from
                return
            puller.listener = listener
            begun = (await listener.frame())["id"]
            if puller.cursor is None:
                puller.gaps.append(range(1, position_of(begun) + 1))
            puller.cursor = begun
        for _ in range(min(frames, self.last(puller.client) - puller.position)):
            frame = await puller.listener.frame()
            if frame is END:  # retention took what comes next
                await self.leave(puller)
                return
            assert frame["id"] == frame["data"]["cursor"]
            puller.take(frame["data"])

    async def leave(self, puller: Puller) -> None:
        puller.listener = None
        await puller.leaving.aclose()
        puller.leaving = AsyncExitStack()

    async def restart(self, number: int, *, hard: bool) -> None:
        """A hard one breaks streams off with what is on its way in them; otherwise they come to their ends."""
        process = self.processes[number]
        listening_there = [one for one in self.pullers if one.listener and one.process == number]
        for puller in listening_there if hard else ():
            await self.leave(puller)
        process.notifier.stop()
        for puller in () if hard else listening_there:
            assert puller.listener is not None
            while (frame := await puller.listener.frame()) is not END:
                puller.take(frame["data"])
            await self.leave(puller)
        await process.close()
        self.processes[number] = Process(self.store.url, self.store.time, next(self.numbers))

    async def move(self, puller: Puller) -> None:
        """To the other process, as a balancer may send it anywhere."""
        await self.leave(puller)
        puller.process = (puller.process + 1) % PROCESSES


pytestmark = pytest.mark.timeout(300)

Step = Callable[[World], Awaitable[object]]
_pullers = st.integers(0, PULLERS - 1)
_names = st.sampled_from(NAMES)


def announcing(client: str, count: int) -> Step:
    return lambda world: world.announce(0, client, count)


def announcing_at_once(client: str, count: int, number: int) -> Step:
    """From two workers, and somebody pulls meanwhile."""

    async def step(world: World) -> None:
        puller = world.pullers[number]
        await world.leave(puller)
        await asyncio.gather(
            world.announce(0, client, count), world.announce(1, client, count), world.page(puller, 3)
        )

    return step


def on(number: int, work: Callable[[World, Puller], Awaitable[object]]) -> Step:
    return lambda world: work(world, world.pullers[number])


def paging(number: int, limit: int, *, lost: bool) -> Step:
    async def work(world: World, puller: Puller) -> None:
        await world.leave(puller)
        await world.page(puller, limit, lost=lost)

    return on(number, work)


def listening_on(number: int, frames: int) -> Step:
    return on(number, lambda world, one: world.listen(one, frames))


def restarting(number: int, *, hard: bool) -> Step:
    return lambda world: world.restart(number, hard=hard)


IDLE_AT_THE_STOP: Final = [listening_on(0, 0), restarting(0, hard=False)]
STEPS: Final = st.one_of(
    st.builds(announcing, _names, st.integers(1, 5)),
    st.builds(announcing_at_once, _names, st.integers(1, 3), _pullers),
    st.builds(paging, _pullers, st.integers(1, 4), lost=st.booleans()),
    st.builds(listening_on, _pullers, st.integers(0, 5)),
    st.builds(lambda number: on(number, World.leave), _pullers),
    st.builds(lambda number: on(number, World.move), _pullers),
    st.builds(restarting, st.integers(0, 1), hard=st.booleans()),
    st.just(lambda world: world.prune()),
)


async def hold(url: str, backend: Backend, steps: list[Step]) -> None:
    time = HandTime()
    store = Store(open_database(url, time.clock, pool_size=2), time, backend, url)
    other = Store(open_database(url, time.clock, pool_size=2), time, backend, url, numbers=store.numbers)
    world = World(store, (store, other), [Process(url, time, number) for number in range(PROCESSES)])
    try:
        for step in steps:
            await step(world)
            await world.note()
        for puller in world.pullers:
            await world.leave(puller)
            while await world.page(puller, 50):
                pass
        for puller in world.pullers:
            check(puller, world)
    finally:
        for puller in world.pullers:
            await world.leave(puller)
        for process in world.processes:
            await process.close()
        for each in world.workers:
            await each.database.close()


def check(puller: Puller, world: World) -> None:
    made = world.made[puller.client]
    positions = [position for position, _ in puller.seen]
    assert positions == sorted(set(positions)), "in order, and none twice"
    assert all(made[position] == id_ for position, id_ in puller.seen)
    missing = set(made) - set(positions)
    told = {position for gap in puller.gaps for position in gap}
    assert missing <= told, "what it has not got it was told of"
    assert told <= set(range(1, world.horizons[puller.client] + 1)), "and only retention takes something away"
    assert not told & set(positions)


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(STEPS, max_size=25))
@example(steps=IDLE_AT_THE_STOP)
def test_on_sqlite_each_puller_gets_each_event_of_its_client_once_and_in_order(
    sqlite_template: Path, steps: list[Step]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "relay.db"
        shutil.copy(sqlite_template, file)
        asyncio.run(hold(f"sqlite:///{file}", "sqlite", steps))


@pytest.mark.postgres
@settings(max_examples=12, deadline=None)
@given(steps=st.lists(STEPS, max_size=25))
@example(steps=IDLE_AT_THE_STOP)
def test_on_postgres_each_puller_gets_each_event_of_its_client_once_and_in_order(
    postgres_databases: MigratedDatabases, steps: list[Step]
) -> None:
    async def run() -> None:
        async with postgres_databases.one() as url:
            await hold(url, "postgres", steps)

    asyncio.run(run())
