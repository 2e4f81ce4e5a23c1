"""A store with as many registrations as wanted, made by the database itself: one by one a million take minutes.

Of a hundred registrations ten watch, two are being delivered, ten are dead, three were cancelled and the others delivered, all
over thirty days, of two clients and at two hundred origins; four share a task.
"""

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from types import MappingProxyType
from typing import Final

import asyncpg

from relay.clock import Clock
from relay.domain.ids import RegistrationId, task_ref
from relay.domain.instants import DAY, SECOND, Instant
from relay.storage import schema
from relay.storage.engine import open_database, sqlite_path

MILLION: Final = 1_000_000
CLIENT: Final = "shop"
OTHER: Final = "bank"
ORIGINS: Final = 200
NOW: Final = Instant(1_795_435_200 * SECOND)
SPREAD: Final = 30 * DAY
"""The oldest registration was made so long ago, and the newest now."""

_HEX: Final[Mapping[str, str]] = MappingProxyType(
    {"sqlite": "printf('%0{digits}x', {number})", "postgresql": "lpad(to_hex({number}), {digits}, '0')"}
)
_NUMBERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sqlite": "(WITH RECURSIVE counted (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counted LIMIT {rows})"
        " SELECT n FROM counted) AS numbers",
        "postgresql": "(SELECT CAST(n AS bigint) AS n FROM generate_series(0, {rows} - 1) AS counted (n)) AS numbers",
    }
)
_EMPTY: Final[Mapping[str, str]] = MappingProxyType({"sqlite": "x'7b7d'", "postgresql": "'\\x7b7d'::bytea"})
# What looks like chance and is none: neighbours in time lie far apart.
_MIXED: Final = "(({number}) * 2654435761 % 4294967296)"


def _expressions(dialect: str, rows: int) -> dict[str, str]:
    def hex_(number: str, digits: int) -> str:
        return _HEX[dialect].format(number=number, digits=digits)

    step = SPREAD // rows
    at = f"({NOW - SPREAD} + (n + 1) * {step})"
    origin = f"'https://' || ({_MIXED.format(number='n')} / 65536 % {ORIGINS}) || '.example'"
    id_ = f"'reg_' || {hex_(f'{at} / 1000', 12)} || '7' || {hex_('n % 4096', 3)} || '8' || {hex_('n', 15)}"
    return {
        "numbers": _NUMBERS[dialect].format(rows=rows),
        "tasks": _NUMBERS[dialect].format(rows=-(-rows // 4)),
        "empty": _EMPTY[dialect],
        "at": at,
        "id": id_,
        "origin": origin,
        "client": f"CASE WHEN n % 32 = 0 THEN '{OTHER}' ELSE '{CLIENT}' END",
        "ref": f"'tsk_' || {hex_(_MIXED.format(number='n / 4'), 8)}",
        "of_task": f"'tsk_' || {hex_(_MIXED.format(number='n'), 8)}",
        "now": str(NOW),
    }


_STATEMENTS: Final = (
    "INSERT INTO clients (name, last_position) VALUES ('{CLIENT}', {rows}), ('{OTHER}', {rows})",
    """
    INSERT INTO tasks (ref, client, kind, task_id, state, next_at, fence, paced_from, polls, not_found, not_found_before)
    SELECT ref, '{CLIENT}', CASE WHEN n % 1000 = 0 THEN 'dub' ELSE 'tts' END, 'task-' || n,
        CASE WHEN n % 25 < 3 THEN 'watching' ELSE 'succeeded' END,
        CASE WHEN n % 25 < 3 THEN {now} + CASE WHEN n % 500 = 0 THEN -n ELSE n END END, 1, 0, 3, 0, 0
    FROM (SELECT n, {of_task} AS ref FROM {tasks}) AS made ORDER BY ref
    """,
    """
    INSERT INTO reports (task, status, run_id, payload)
    SELECT ref, {empty}, n, {empty} FROM (SELECT n, {of_task} AS ref FROM {tasks}) AS made
    WHERE n % 25 >= 3 ORDER BY ref
    """,
    """
    INSERT INTO registrations (id, task, client, callback_url, origin, format, metadata, created_at, expires_at,
        verdict_at, not_found_before, state, closed_at)
    SELECT {id}, {ref}, {client}, {origin} || '/hooks/tasks', {origin}, 'standard', {empty}, {at}, {at} + 86400000000,
        CASE WHEN n % 100 < 10 THEN {at} + 86400000000 END, 0,
        CASE WHEN n % 100 < 10 THEN 'watching' WHEN n % 100 < 12 THEN 'delivering' WHEN n % 100 < 22 THEN 'dead'
            WHEN n % 100 < 25 THEN 'cancelled' ELSE 'delivered' END,
        CASE WHEN n % 100 >= 12 THEN {at} + 5000000 END
    FROM {numbers}
    """,
    """
    INSERT INTO events (registration, client, position, type, created_at, body)
    SELECT {id}, {client}, n + 1, 'task.succeeded', {at}, {empty}
    FROM {numbers} WHERE n % 100 >= 10 AND n % 100 NOT BETWEEN 22 AND 24
    """,
    """
    INSERT INTO deliveries (registration, lane, next_at, fence, round, attempts, failures, ended_at, dead_reason)
    SELECT {id}, {client} || ' ' || {origin},
        CASE WHEN n % 100 < 12 THEN {now} + CASE WHEN n % 100 = 10 THEN -n ELSE n END END, 1, 1, 1, 0,
        CASE WHEN n % 100 >= 12 THEN {at} + 5000000 END,
        CASE WHEN n % 100 BETWEEN 12 AND 21 THEN
            CASE WHEN n % 1000 < 40 THEN 'blocked' WHEN n % 1000 < 200 THEN 'gone' ELSE 'exhausted' END END
    FROM {numbers} WHERE n % 100 >= 10 AND n % 100 NOT BETWEEN 22 AND 24
    """,
    """
    INSERT INTO attempts (registration, fence, number, started_at, duration, outcome, http_status, answer, round)
    SELECT {id}, 1, 1, {at}, 3000, 'rejected', 500, {empty}, 1
    FROM {numbers} WHERE n % 100 BETWEEN 12 AND 21
    """,
    """
    INSERT INTO lanes (name, spent_until, paused_until, paused_at, failures, slots, failing_since, cause)
    SELECT '{CLIENT} https://' || n || '.example', 0, {now} + 60000000, {now}, 1, 0, {now}, 'failing'
    FROM {numbers} WHERE n < {ORIGINS} AND n % 20 = 0
    """,
    """
    INSERT INTO replays (id, client, state, wanted_state, created_at, closed_at, matching, replayed, skipped)
    SELECT 'rpl_' || n, '{CLIENT}', CASE WHEN n = 0 THEN 'running' ELSE 'done' END, 'dead', {now},
        CASE WHEN n > 0 THEN {now} END, 0, 0, 0
    FROM {numbers} WHERE n < 1000
    """,
    """
    INSERT INTO replay_parts (replay, origin, last, cursor, next_at, matching, replayed)
    SELECT 'rpl_0', 'https://' || n || '.example', 'reg_f', 'reg_', {now}, 500, 0
    FROM {numbers} WHERE n < {ORIGINS}
    """,
    """
    INSERT INTO rollups (client, span, at, measure, bucket, count)
    SELECT clients.name, spans.span, {now} - back.n * spans.span * 1000000, 'latency', buckets.n, 7
    FROM (SELECT name FROM clients UNION ALL SELECT '') AS clients, (SELECT 60 AS span UNION ALL SELECT 900) AS spans,
        (SELECT n FROM {numbers} WHERE n < 120) AS back, (SELECT n FROM {numbers} WHERE n < 30) AS buckets
    """,
)
# One whose task has the name that it would have.
_NAMED: Final = (
    """
    INSERT INTO tasks (ref, client, kind, task_id, state, fence, paced_from, polls, not_found, not_found_before)
    VALUES ('{named}', '{CLIENT}', 'tts', 'named', 'succeeded', 1, 0, 3, 0, 0)
    """,
    "UPDATE registrations SET task = '{named}' WHERE id = '{one}'",
)

# Filled first and indexed afterwards, which takes a fraction of the time; what keeps keys unique stays.
_INDEXES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql LIKE 'CREATE INDEX%'",
        "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE indexdef LIKE 'CREATE INDEX%'"
        " AND schemaname = 'public'",
    }
)


def dead_id(rows: int) -> RegistrationId:
    """Of one in the middle."""
    n = rows // 200 * 100 + 13
    milliseconds = (NOW - SPREAD + (n + 1) * (SPREAD // rows)) // 1_000
    return RegistrationId(f"reg_{milliseconds:012x}7{n % 4096:03x}8{n:015x}")


def seed(url: str, rows: int, clock: Clock) -> None:
    """Migrate the database, which is empty, and fill it. Its statistics are taken as autovacuum would."""
    asyncio.run(_migrated(url, clock))
    if url.startswith("sqlite"):
        _fill_sqlite(sqlite_path(url), rows)
    else:
        asyncio.run(_fill_postgres(url, rows))


async def _migrated(url: str, clock: Clock) -> None:
    database = open_database(url, clock, pool_size=1)
    await database.write(schema.migrate)
    await database.close()


def _statements(dialect: str, rows: int) -> list[str]:
    words = {
        "CLIENT": CLIENT,
        "OTHER": OTHER,
        "ORIGINS": ORIGINS,
        "rows": rows,
        "one": dead_id(rows),
        "named": task_ref(CLIENT, "tts", "named"),
        **_expressions(dialect, rows),
    }
    return [statement.format(**words) for statement in (*_STATEMENTS, *_NAMED)]


def _fill_sqlite(path: str, rows: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-300000", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        indexes = connection.execute(_INDEXES["sqlite"]).fetchall()
        connection.execute("BEGIN")
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        for statement in _statements("sqlite", rows):
            connection.execute(statement)
        for _, sql in indexes:
            connection.execute(sql)
        connection.execute("COMMIT")


async def _fill_postgres(url: str, rows: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        for setting in ("session_replication_role = replica", "maintenance_work_mem = '256MB'"):
            await connection.execute(f"SET {setting}")
        indexes = await connection.fetch(_INDEXES["postgresql"])
        for name, _ in indexes:
            await connection.execute(f"DROP INDEX {name}")
        for statement in _statements("postgresql", rows):
            await connection.execute(statement)
        for _, sql in indexes:
            await connection.execute(sql)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
