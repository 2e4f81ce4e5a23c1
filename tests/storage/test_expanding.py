"""While the epoch stands, a migration only adds: what the release before reads is there, and what it inserts is taken."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, inspect, text

from relay.storage import schema
from relay.storage.engine import Database, open_database
from tests.postgres import PostgresServer
from tests.storage.hand_time import HandTime

pytestmark = pytest.mark.postgres

REVISIONS = sorted(file.name.partition("_")[0] for file in schema.MIGRATIONS.glob("versions/*.py"))


def columns(connection: Connection) -> dict[tuple[str, str], dict[str, Any]]:
    inspector = inspect(connection)
    return {
        (table, column["name"]): dict(column)
        for table in inspector.get_table_names()
        for column in inspector.get_columns(table)
    }


def restrictions(connection: Connection) -> set[tuple[str, str]]:
    """What a row could be refused for, by table and definition."""
    rules = (
        "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype <> 'n' "
        "UNION SELECT indrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index WHERE indisunique "
        "UNION SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal"
    )
    ours = set(inspect(connection).get_table_names())
    return {(table, rule) for table, rule in connection.execute(text(rules)) if table in ours}


def complaints(connection: Connection, change: Callable[[Connection], object]) -> list[str]:
    """What the change would break for the release before it."""
    before, rules, epoch = columns(connection), restrictions(connection), schema.fact(connection, "epoch")
    tables = {table for table, _ in before}
    change(connection)
    if schema.fact(connection, "epoch") != epoch:
        return []
    after = columns(connection)
    said = [f"{'.'.join(name)} is gone" for name in before.keys() - after.keys()]
    said += [
        f"{'.'.join(name)} is another"
        for name in before.keys() & after.keys()
        if str(before[name]["type"]) != str(after[name]["type"])
        or (before[name]["nullable"] and not after[name]["nullable"])
    ]
    said += [
        f"{'.'.join(name)} must be given"
        for name in after.keys() - before.keys()
        if name[0] in tables and not after[name]["nullable"] and after[name]["default"] is None
    ]
    new_rules = restrictions(connection) - rules
    return said + [f"{table} refuses more: {rule}" for table, rule in new_rules if table in tables]


@pytest.fixture
async def first(postgres_server: PostgresServer, time: HandTime) -> AsyncIterator[Database]:
    """A database with the first schema."""
    url = postgres_server.url_for(postgres_server.create_database())
    database = open_database(url, time.clock, pool_size=1)
    await database.write(schema.make, REVISIONS[0])
    yield database
    await database.close()


async def test_no_migration_breaks_what_the_release_before_it_says(first: Database) -> None:
    said = {
        wanted: await first.write(complaints, partial(schema.make, wanted=wanted)) for wanted in REVISIONS[1:]
    }

    assert said == {wanted: [] for wanted in REVISIONS[1:]}
    assert await first.read(schema.revision) == schema.head()


async def test_what_would_break_it_is_seen(first: Database) -> None:
    breaking = {
        "DROP COLUMN polls": "tasks.polls is gone",
        "RENAME COLUMN kind TO sort": "tasks.kind is gone",
        "ALTER COLUMN fence TYPE integer": "tasks.fence is another",
        "ALTER COLUMN next_at SET NOT NULL": "tasks.next_at is another",
        "ADD COLUMN more integer NOT NULL": "tasks.more must be given",
        "ADD CHECK (not_found < 3)": "tasks refuses more: CHECK ((not_found < 3))",
    }

    seen = [await first.write(complaints, partial(alter, change=change)) for change in breaking]
    contracting = await first.write(complaints, contract)

    assert [said[0] for said in seen] == list(breaking.values())
    assert contracting == []


def alter(connection: Connection, change: str) -> None:
    connection.execute(text(f"ALTER TABLE tasks {change}"))


def contract(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE tasks DROP COLUMN state"))
    connection.execute(text("UPDATE facts SET value = value + 1 WHERE name = 'epoch'"))
