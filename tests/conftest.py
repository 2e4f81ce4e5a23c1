from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import PostgresServer
from tests.relays import migrate, sqlite_url

# Whichever property is the first has hypothesis read all of our modules for their constants: a busy machine takes its time.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with PostgresServer.running() as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to be copied."""
    folder = tmp_path_factory.mktemp("template")
    migrate(sqlite_url(folder))
    return folder / "relay.db"
