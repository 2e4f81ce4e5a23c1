"""Two transactions whose order the test decides."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from sqlalchemy import Connection, event, text
from sqlalchemy.util import await_only

from tests.storage.store import Store

A = TypeVar("A")
B = TypeVar("B")
Work = Callable[[Connection], A]

DEADLINE_SECONDS: Final = 10
_BLOCKED: Final = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


class Gate:
    """A transaction stops at it until somebody opens it; on SQLite it stops a thread, on PostgreSQL a greenlet."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reached = asyncio.Event()
        self._opened = asyncio.Event()
        self._opened_for_threads = threading.Event()

    def stop(self, connection: Connection) -> None:
        self._loop.call_soon_threadsafe(self._reached.set)
        if connection.dialect.name == "sqlite":
            assert self._opened_for_threads.wait(DEADLINE_SECONDS)
        else:
            await_only(asyncio.wait_for(self._opened.wait(), DEADLINE_SECONDS))

    async def reached(self) -> None:
        await asyncio.wait_for(self._reached.wait(), DEADLINE_SECONDS)

    def open(self) -> None:
        self._opened.set()
        self._opened_for_threads.set()


def held_at_commit(gate: Gate, work: Work[A]) -> Work[A]:
    """`work`, which stops when all that is left is its COMMIT."""

    def held(connection: Connection) -> A:
        result = work(connection)
        gate.stop(connection)
        return result

    return held


def held_before(gate: Gate, statement: str, work: Work[A]) -> Work[A]:
    """`work`, which stops once, before the first statement that holds the words."""

    def held(connection: Connection) -> A:
        waiting = [statement]

        def before(conn: Connection, cursor: object, sql: str, *_: object) -> None:
            if waiting and waiting[0] in sql:
                waiting.clear()
                gate.stop(connection)

        event.listen(connection, "before_cursor_execute", before)
        result = work(connection)
        assert not waiting, "the work never came to that statement"
        return result

    return held


async def blocked(store: Store) -> bool:
    """Whether a transaction waits for another one's lock; SQLite's writers always wait for each other."""
    return bool(await store.database.read(lambda connection: connection.scalar(_BLOCKED)))


async def overlapping(store: Store, first: Work[A], second: Work[B]) -> tuple[A, B]:
    """Both at once: `first` has done all but its COMMIT while `second` runs into its locks, or comes to its end.

    On SQLite, which has one writer, they run one after the other.
    """
    gate = Gate()
    one = asyncio.create_task(store.database.write(held_at_commit(gate, first)))
    await gate.reached()
    two = asyncio.create_task(store.database.write(second))
    if store.backend == "postgres":
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not two.done() and not await blocked(store):  # noqa: ASYNC110 - only the server knows
                await asyncio.sleep(0.005)
    gate.open()
    return await one, await two


async def between(
    store: Store, statement: str, work: Work[A], meanwhile: Callable[[], Awaitable[B]]
) -> tuple[A, B]:
    """On PostgreSQL `meanwhile` commits while `work` stands before `statement`; on SQLite `work` comes after it."""
    if store.backend == "sqlite":
        before = await meanwhile()
        return await store.database.write(work), before
    gate = Gate()
    held = asyncio.create_task(store.database.write(held_before(gate, statement, work)))
    await gate.reached()
    result = await meanwhile()
    gate.open()
    return await held, result
