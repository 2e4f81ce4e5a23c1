import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import pytest

from relay.storage.engine import open_database
from relay.telemetry import Metrics
from tests.postgres import PostgresServer
from tests.relays import migrate
from tests.storage.hand_time import HandTime
from tests.storage.migrated import MigratedDatabases
from tests.storage.store import Backend, Store


@pytest.fixture(scope="session")
def postgres_databases(postgres_server: PostgresServer) -> MigratedDatabases:
    template = postgres_server.create_database()
    migrate(postgres_server.url_for(template))
    return MigratedDatabases(postgres_server, template)


@pytest.fixture
def time() -> HandTime:
    return HandTime()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


async def opened(url: str, backend: Backend, time: HandTime) -> AsyncIterator[Store]:
    database = open_database(url, time.clock, pool_size=4)
    yield Store(database, time, backend, url)
    await database.close()


@pytest.fixture
async def sqlite(sqlite_template: Path, tmp_path: Path, time: HandTime) -> AsyncIterator[Store]:
    path = tmp_path / "relay.db"
    shutil.copy(sqlite_template, path)
    async for store in opened(f"sqlite:///{path}", "sqlite", time):
        yield store


@pytest.fixture
async def postgres(postgres_databases: MigratedDatabases, time: HandTime) -> AsyncIterator[Store]:
    async with postgres_databases.one() as url:
        async for store in opened(url, "postgres", time):
            yield store


@pytest.fixture(params=get_args(Backend))
def backend(request: pytest.FixtureRequest) -> Backend:
    name: Backend = request.param
    return name


@pytest.fixture
def store(request: pytest.FixtureRequest, backend: Backend) -> Store:
    found = request.getfixturevalue(backend)
    assert isinstance(found, Store)
    return found


@pytest.fixture
def empty_url(request: pytest.FixtureRequest, backend: Backend, tmp_path: Path) -> str:
    """A database without a schema."""
    if backend == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.url_for(server.create_database())
