"""How long it takes to find what is due, and to claim it, as the queue grows."""

import asyncio
import sqlite3
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

import asyncpg
from sqlalchemy import Connection

from relay.clock import system_clock
from relay.domain.instants import SECOND, Instant
from relay.storage import schema
from relay.storage.engine import Database, open_database, sqlite_path
from relay.storage.queue import DELIVERIES, TASKS, Queue, Take
from tests.bench.surroundings import Surroundings
from tests.bench.table import Figure, Part, spread
from tests.postgres import DURABLE, PostgresServer

FEW: Final = 10_000
MANY: Final = 1_000_000
LANES: Final = 20_000
DUE: Final = 2_000
CLAIMED: Final = 50
FINDS: Final = 50
FINDS_IN_LANES: Final = 3
POSTGRES_MANY: Final = 100_000
ROUNDS_SECONDS: Final = 4.0
CLAIMS: Final = 4
MILLISECONDS: Final = 1_000

# In microseconds since 1970: the first are long due, the others will be in the year 2100.
_DUE_AT: Final = (
    f"CASE WHEN number < {DUE} THEN number ELSE 4102444800000000 + CAST(number AS bigint) * 1000 END"
)
_COUNTED: Final = {
    "sqlite": "(WITH RECURSIVE counted (number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM counted LIMIT {rows})"
    " SELECT number FROM counted)",
    "postgresql": "generate_series(0, {rows} - 1) AS counted (number)",
}
_TASKS: Final = (
    "INSERT INTO tasks (ref, client, kind, task_id, state, next_at, fence, paced_from, polls, not_found, not_found_before)"
    " SELECT 'tsk_' || {named}, 'default', 'tts', 'task-' || number, 'watching', {due_at}, 0, 0, 3, 0, 0"
    " FROM {counted} ORDER BY 1"
)
_DELIVERIES: Final = (
    "INSERT INTO deliveries (registration, lane, next_at, fence, round, attempts, failures)"
    " SELECT 'reg_' || {named}, 'default https://' || number || '.example', {due_at}, 0, 1, 1, 1"
    " FROM {counted} ORDER BY 1"
)
# Names without order, as those are that hashing makes.
_NAMED: Final = {"sqlite": "lower(hex(randomblob(16)))", "postgresql": "md5(number::text)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A queue of so many rows, DUE of them due. `finds` and `claims` are in seconds."""

    database: Database
    queue: Queue
    takes: int
    looks: int
    finds: list[float] = field(default_factory=list)
    claims: list[float] = field(default_factory=list)

    async def sample(self) -> None:
        await self.database.read(self._find)
        begun = time.perf_counter()
        for _ in range(CLAIMS):
            if await self.database.write(self._claim) != CLAIMED:
                raise RuntimeError("a claim came back with fewer rows than it should")
        self.claims.append((time.perf_counter() - begun) / CLAIMS)

    def _find(self, connection: Connection) -> None:
        """The middle one of some looks: on a busy machine a few are interrupted."""
        now, looks = system_clock().now(), []
        for _ in range(self.looks):
            begun = time.perf_counter()
            self.queue.find(connection, now, {})
            looks.append(time.perf_counter() - begun)
        self.finds.append(statistics.median(looks))

    def _claim(self, connection: Connection) -> int:
        now = system_clock().now()
        found = self.queue.find(connection, now, {}).due[: self.takes]
        takes = [Take(lane=each.lane, oldest=each.oldest, count=CLAIMED // self.takes) for each in found]
        return len(self.queue.claim(connection, takes, now, Instant(now + 25 * SECOND)))


def measure(around: Surroundings) -> Part:
    many = MANY // 10 if around.quick else MANY
    sqlite = [f"sqlite:///{around.folder / name}.db" for name in ("few", "many", "lanes")]
    figures = list(asyncio.run(_figures("SQLite", sqlite, many, around)))
    with PostgresServer.running(DURABLE) as server:
        postgres = [server.url_for(server.create_database()) for _ in range(3)]
        figures += asyncio.run(_figures("PostgreSQL", postgres, min(many, POSTGRES_MANY), around))
    return Part(
        figures=figures,
        notes=[
            (
                f"queue: {DUE:,} rows are due in each, the others later; a find is one look over all lanes, without what earlier "
                f"looks remember; a claim takes {CLAIMED} rows (of one lane, or one of each of {CLAIMED} lanes) in a transaction "
                "with its find, committed to disk; PostgreSQL is given a tenth, for the time it takes to fill; "
                "medians of rounds in turn"
            ),
        ],
    )


async def _figures(name: str, urls: Sequence[str], many: int, around: Surroundings) -> Sequence[Figure]:
    few_url, many_url, lanes_url = urls
    small = await _tasks(few_url, FEW)
    large = await _tasks(many_url, many)
    lanes = await _deliveries(lanes_url, LANES)
    try:
        for _ in around.rounds(ROUNDS_SECONDS):
            for filled in (small, large, lanes):
                await filled.sample()
    finally:
        for filled in (small, large, lanes):
            await filled.database.close()
    return [
        Figure(
            name=f"{name}: find what is due among {many:,}",
            measured=spread(large.finds, "ms", MILLISECONDS),
            against=f"among {FEW:,} " + spread(small.finds, "ms", MILLISECONDS),
            ratio=_ratio(large.finds, small.finds),
            most=1.5,
        ),
        Figure(
            name=f"{name}: claim {CLAIMED} of {many:,}",
            measured=spread(large.claims, "ms", MILLISECONDS),
            against=f"of {FEW:,} " + spread(small.claims, "ms", MILLISECONDS),
            ratio=_ratio(large.claims, small.claims),
        ),
        Figure(
            name=f"{name}: find among {LANES:,} lanes",
            measured=spread(lanes.finds, "ms", MILLISECONDS),
            against=f"claim {CLAIMED} of them " + spread(lanes.claims, "ms", MILLISECONDS),
        ),
    ]


def _ratio(these: Sequence[float], those: Sequence[float]) -> float:
    return statistics.median(this / that for this, that in zip(these, those, strict=True))


async def _tasks(url: str, rows: int) -> Filled:
    await _fill(
        url,
        rows,
        _TASKS,
        index="ix_tasks_due ON tasks (client, next_at) WHERE next_at IS NOT NULL",
    )
    return Filled(database=_opened(url), queue=TASKS, takes=1, looks=FINDS)


async def _deliveries(url: str, rows: int) -> Filled:
    await _fill(
        url,
        rows,
        _DELIVERIES,
        index="ix_deliveries_due ON deliveries (lane, next_at) WHERE next_at IS NOT NULL",
    )
    return Filled(database=_opened(url), queue=DELIVERIES, takes=CLAIMED, looks=FINDS_IN_LANES)


def _opened(url: str) -> Database:
    return open_database(url, system_clock(), pool_size=2)


async def _fill(url: str, rows: int, insert: str, *, index: str) -> None:
    """Migrate, then fill without the index and without what the rows would point to: a million one by one take minutes."""
    database = _opened(url)
    await database.write(schema.migrate)
    await database.close()
    dialect = "sqlite" if url.startswith("sqlite") else "postgresql"
    statements = (
        f"DROP INDEX {index.partition(' ')[0]}",
        insert.format(named=_NAMED[dialect], due_at=_DUE_AT, counted=_COUNTED[dialect].format(rows=rows)),
        f"CREATE INDEX {index}",
    )
    if dialect == "sqlite":
        with closing(sqlite3.connect(sqlite_path(url), isolation_level=None)) as connection:
            for statement in ("PRAGMA journal_mode=OFF", "PRAGMA cache_size=-200000", *statements):
                connection.execute(statement)
    else:
        connection = await asyncpg.connect(url)
        for statement in ("SET session_replication_role = replica", *statements, "ANALYZE"):
            await connection.execute(statement)
        await connection.close()
