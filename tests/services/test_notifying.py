"""Whoever waits is told within a look, however many they are by one statement, and nobody asks while nobody waits."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from relay.domain.errors import DatabaseUnavailable, TooMany
from relay.domain.ids import RegistrationId
from relay.services import notify
from relay.services.notify import Notifier
from relay.storage.engine import SqliteDatabase
from relay.telemetry import Metrics
from tests.failing import FailingReads
from tests.relays import HandClock


class Pauses:
    """Each is over when the test says so."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._over = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await self._over.wait()
        self._over.clear()

    async def end(self) -> None:
        """This one, and what follows until the next one has begun or nobody waits."""
        before = len(self.seconds)
        self._over.set()
        for _ in range(200):
            await asyncio.sleep(0.005)
            if len(self.seconds) > before:
                break
        await begun()


@pytest.fixture
async def database(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[FailingReads]:
    shutil.copy(sqlite_template, tmp_path / "relay.db")
    database = FailingReads(str(tmp_path / "relay.db"), HandClock().clock)
    yield database
    await database.close()


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
async def notifier(database: FailingReads, pauses: Pauses) -> AsyncIterator[Notifier]:
    notifier = Notifier(database, metrics=Metrics(), pause=pauses)
    yield notifier
    await notifier.close()


async def announce(database: FailingReads, client: str, position: int) -> None:
    statement = text(
        "INSERT INTO clients (name, last_position) VALUES (:name, :position)"
        " ON CONFLICT (name) DO UPDATE SET last_position = excluded.last_position"
    )
    await database.write(
        lambda connection: connection.execute(statement, {"name": client, "position": position})
    )


@contextmanager
def waiting(*works: "asyncio.Task[bool]") -> Iterator[None]:
    try:
        yield
    finally:
        for work in works:
            work.cancel()


async def begun() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_one_statement_serves_all_who_wait(
    database: FailingReads, notifier: Notifier, pauses: Pauses
) -> None:
    shop = [asyncio.create_task(notifier.event("shop", beyond, 60)) for beyond in range(100)]
    bank = asyncio.create_task(notifier.event("bank", 0, 60))
    registration = asyncio.create_task(notifier.decided(RegistrationId("reg_1"), 60))
    with waiting(*shop, bank, registration):
        await begun()
        await announce(database, "shop", 50)

        await pauses.end()

        assert database.reads == 1
        assert [work.done() for work in shop] == [beyond < 50 for beyond in range(100)]
        assert all(work.result() for work in shop[:50])
        assert not bank.done()
        assert not registration.done()
        assert set(pauses.seconds) == {notify.LOOK_SECONDS}


async def test_nothing_is_asked_while_nobody_waits(
    database: FailingReads, notifier: Notifier, pauses: Pauses
) -> None:
    await announce(database, "shop", 1)
    first = asyncio.create_task(notifier.event("shop", 0, 60))
    await begun()
    await pauses.end()
    told = await first
    await begun()
    after = (database.reads, len(pauses.seconds))

    again = asyncio.create_task(notifier.event("shop", 0, 60))
    await begun()
    await pauses.end()

    assert told
    assert after == (1, 1)
    assert await again
    assert (database.reads, len(pauses.seconds)) == (2, 2)


async def test_whose_time_is_over_before_the_look_is_asked_for_no_more(
    database: FailingReads, notifier: Notifier, pauses: Pauses
) -> None:
    told = await notifier.event("shop", 0, 0.01)

    await pauses.end()

    assert (told, database.reads, notifier.waiting) == (False, 0, 0)


async def test_a_database_that_does_not_answer_is_asked_again(
    database: FailingReads, notifier: Notifier, pauses: Pauses
) -> None:
    await announce(database, "shop", 1)
    work = asyncio.create_task(notifier.event("shop", 0, 60))
    with waiting(work):
        await begun()
        for fault in (DatabaseUnavailable("gone"), LookupError("a fault of ours")):
            database.fault = fault
            await pauses.end()
            assert not work.done()
        database.fault = None

        await pauses.end()

        assert await work


async def test_a_stop_answers_everybody_and_nobody_waits_after_it(notifier: Notifier) -> None:
    works = [
        asyncio.create_task(notifier.event("shop", 0, 60)),
        asyncio.create_task(notifier.decided(RegistrationId("reg_1"), 60)),
    ]
    await begun()
    heard: list[str] = []

    with notifier.at_stop(lambda: heard.append("before")):
        with notifier.at_stop(lambda: heard.append("left by then")):
            pass
        notifier.stop()
        notifier.stop()
    with notifier.at_stop(lambda: heard.append("after")):
        pass

    assert [await work for work in works] == [False, False]
    assert await notifier.event("shop", 0, 60) is False
    assert heard == ["before", "before", "after"]


def test_a_process_has_only_so_many_places(sqlite_template: Path) -> None:
    notifier = Notifier(SqliteDatabase(str(sqlite_template), HandClock().clock), metrics=Metrics())
    clients = [f"client-{number}" for number in range(notify.MOST // notify.MOST_OF_A_CLIENT)]
    places = [notifier.place(client) for client in clients for _ in range(notify.MOST_OF_A_CLIENT)]
    for place in places:
        place.__enter__()

    with (
        pytest.raises(TooMany, match="1024 requests and streams wait at this process"),
        notifier.place("shop"),
    ):
        pass
    places[0].__exit__(None, None, None)

    with notifier.place("shop"):
        pass
