"""How long a page takes to read as registrations grow a hundredfold."""

import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Final

from relay.clock import system_clock
from relay.storage.engine import Database, open_database
from tests.bench.surroundings import Surroundings
from tests.bench.table import Figure, Part, spread
from tests.million.pages import Page, pages
from tests.million.seeding import MILLION, seed
from tests.postgres import DURABLE, PostgresServer

FEW: Final = 10_000
READS: Final = 5
ROUNDS_SECONDS: Final = 20.0
MILLISECONDS: Final = 1_000

_Times = Mapping[str, Mapping[str, list[float]]]


def measure(around: Surroundings) -> Part:
    many = MILLION // 10 if around.quick else MILLION
    sqlite = [f"sqlite:///{around.folder / name}.db" for name in ("pages-few", "pages-many")]
    figures = list(_figures("SQLite", sqlite, many, around))
    with PostgresServer.running(DURABLE) as server:
        postgres = [server.url_for(server.create_database()) for _ in sqlite]
        figures += _figures("PostgreSQL", postgres, many, around)
    return Part(
        figures=figures,
        notes=[
            (
                "pages: of each kind the page that takes longest to read from the store (drawing it is apart); "
                f"50 rows to a page; the median of {READS} reads in each of several rounds in turn; "
                "`make plans` holds every one of them to an index"
            ),
        ],
    )


def _figures(name: str, urls: Sequence[str], many: int, around: Surroundings) -> Sequence[Figure]:
    sizes = (FEW, many)
    for url, rows in zip(urls, sizes, strict=True):
        seed(url, rows, system_clock())
    return asyncio.run(_measured(name, dict(zip(sizes, urls, strict=True)), around))


async def _measured(name: str, urls: Mapping[int, str], around: Surroundings) -> Sequence[Figure]:
    databases = {rows: open_database(url, system_clock(), pool_size=1) for rows, url in urls.items()}
    times: dict[int, _Times] = {
        rows: {kind: {page: [] for page in named} for kind, named in pages(rows).items()} for rows in urls
    }
    try:
        for _ in around.rounds(ROUNDS_SECONDS):
            for rows, database in databases.items():
                for kind, named in pages(rows).items():
                    for page, read in named.items():
                        times[rows][kind][page].append(await _read(database, read))
    finally:
        for database in databases.values():
            await database.close()
    few, many = urls
    return [_figure(name, kind, times[few][kind], times[many][kind], (few, many)) for kind in pages(many)]


async def _read(database: Database, page: Page) -> float:
    taken = []
    for _ in range(READS):
        begun = time.perf_counter()
        await database.read(page)
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def _figure(
    name: str,
    kind: str,
    few: Mapping[str, Sequence[float]],
    many: Mapping[str, Sequence[float]],
    sizes: tuple[int, int],
) -> Figure:
    slowest = max(many, key=lambda page: statistics.median(many[page]))
    ratio = statistics.median(this / that for this, that in zip(many[slowest], few[slowest], strict=True))
    return Figure(
        name=f"{name}: {kind} ({slowest}), of {sizes[1]:,}",
        measured=spread(many[slowest], "ms", MILLISECONDS),
        against=f"of {sizes[0]:,} " + spread(few[slowest], "ms", MILLISECONDS),
        ratio=ratio,
    )
