"""Connections that are lost without a word, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Connection, text

from relay.domain.errors import DatabaseUnavailable
from relay.storage.engine import Database, open_database
from relay.storage.lost import IDLE_SECONDS, PING_SECONDS
from tests.postgres import HOST, PostgresServer
from tests.storage.hand_time import HandTime

pytestmark = pytest.mark.postgres

CLOSING_SECONDS = 2.0
"""What asyncpg is given to say goodbye in vain."""
AT_ONCE = 2


class Network:
    """A way to the server whose open connections can be made to lead nowhere, without a word to either side."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._silent = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def go_silent(self) -> None:
        self._silent.set()
        self._silent = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator[tuple["Network", str]]:
        """With the URL that leads through it."""
        port = urlsplit(url).port
        assert port is not None
        network = cls(port)
        async with await asyncio.start_server(network._carry, HOST, 0) as server:
            yield network, url.replace(f":{port}/", f":{server.sockets[0].getsockname()[1]}/")
        await network._close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(HOST, self._port)
        silent = self._silent
        pumps = (_pump(reader, back, silent), _pump(there, writer, silent))
        for pump in pumps:
            task = asyncio.create_task(pump)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silent: asyncio.Event) -> None:
    try:
        while data := await reader.read(65_536):
            if silent.is_set():
                continue
            writer.write(data)
    finally:
        writer.close()


@pytest.fixture
def url(postgres_server: PostgresServer) -> str:
    return postgres_server.url_for(postgres_server.create_database())


@asynccontextmanager
async def opened(url: str, time: HandTime) -> AsyncIterator[Database]:
    database = open_database(url, time.clock, pool_size=AT_ONCE)
    try:
        yield database
    finally:
        await database.close()


async def fill_pool(database: Database) -> None:
    def wait(connection: Connection) -> None:
        connection.execute(text("SELECT pg_sleep(0.1)"))

    await asyncio.gather(*(database.read(wait) for _ in range(AT_ONCE)))


async def test_a_network_gone_silent_is_found_out_in_seconds_and_takes_every_old_connection_with_it(
    url: str, time: HandTime
) -> None:
    async with Network.to(url) as (network, way), opened(way, time) as database:
        await fill_pool(database)
        network.go_silent()

        async with asyncio.timeout(2 * (PING_SECONDS + CLOSING_SECONDS)):
            for _ in range(AT_ONCE + 1):
                await database.probe()


async def test_a_server_that_takes_no_writes_is_unavailable_and_its_connections_are_not_kept(
    url: str, time: HandTime
) -> None:
    name = urlsplit(url).path[1:]

    def switch(connection: Connection, *, off: bool) -> None:
        connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = {off}"))

    def insert(connection: Connection) -> None:
        connection.execute(text("CREATE TABLE proof (id integer)"))

    async with opened(url, time) as operator, opened(url, time) as database:
        await operator.write(switch, off=True)
        answered = database.answered_at
        for doing in (database.probe, lambda: database.write(insert)):
            with pytest.raises(DatabaseUnavailable):
                await doing()
        reported = database.answered_at

        await operator.write(switch, off=False)
        await database.write(insert)
        await database.probe()

    assert reported == answered
    assert database.answered_at == time.now


async def test_connections_that_the_server_ended_are_replaced_unnoticed(url: str, time: HandTime) -> None:
    def end_others(connection: Connection) -> int:
        ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        others = "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        return connection.scalar(text(f"{ended} {others}")) or 0

    async with opened(url, time) as operator, opened(url, time) as database:
        await fill_pool(database)
        ended = await operator.read(end_others)
        for _ in range(AT_ONCE + 1):
            await database.probe()

    assert ended == AT_ONCE


async def test_a_transaction_that_stands_still_is_ended_by_the_server(url: str, time: HandTime) -> None:
    async with opened(url, time) as database:
        allowed = await database.read(
            lambda connection: connection.scalar(text("SHOW idle_in_transaction_session_timeout"))
        )

    assert allowed == f"{IDLE_SECONDS}s"
