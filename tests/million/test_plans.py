"""With a million registrations, whatever is read is read along an index: `make plans`, and on SQLite with fewer at any time."""

from collections.abc import Iterator
from typing import Final

import pytest

from relay.storage.engine import Database, open_database
from tests.million.pages import Page, pages
from tests.million.seeding import MILLION, seed
from tests.postgres import PostgresServer
from tests.relays import HandClock
from tests.storage.plans import Read, reads_of

SMALL: Final = {"clients", "lanes", "replays", "replay_parts", "facts"}
"""Tables that do not grow with the registrations."""
FEW: Final = 10_000

EVERY_PAGE: Final = [(kind, name) for kind, named in pages(MILLION).items() for name in named]


def filled(url: str, rows: int) -> str:
    seed(url, rows, HandClock().clock)
    return url


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> str:
    return filled(f"sqlite:///{tmp_path_factory.mktemp('few') / 'relay.db'}", FEW)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def million(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "sqlite":
        yield filled(f"sqlite:///{tmp_path_factory.mktemp('million') / 'relay.db'}", MILLION)
    else:
        with PostgresServer.running() as server:
            yield filled(server.url_for(server.create_database()), MILLION)


async def read_from(url: str, page: Page) -> list[Read]:
    database: Database = open_database(url, HandClock().clock, pool_size=1)
    try:
        found = await database.read(reads_of, page)
    finally:
        await database.close()
    return [read for read in found if read.table not in SMALL]


@pytest.mark.parametrize(("kind", "name"), EVERY_PAGE)
async def test_no_page_is_read_without_an_index(few: str, kind: str, name: str) -> None:
    found = await read_from(few, pages(FEW)[kind][name])

    assert [read for read in found if read.index is None] == []


@pytest.mark.million
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize(("kind", "name"), EVERY_PAGE)
async def test_no_page_of_a_million_is_read_without_an_index(million: str, kind: str, name: str) -> None:
    found = await read_from(million, pages(MILLION)[kind][name])

    assert [read for read in found if read.index is None] == []
