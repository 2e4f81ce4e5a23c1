import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine.interfaces import ReflectedColumn

from relay.domain.errors import SchemaMismatch
from relay.domain.instants import SECOND
from relay.storage import schema, tables
from relay.storage.engine import open_database
from tests.storage.hand_time import HandTime
from tests.storage.interleaving import overlapping
from tests.storage.store import Backend, Store

ADDING = f"""
from alembic import op
revision, down_revision, branch_labels, depends_on = "9001", "{schema.head()}", None, None
def upgrade() -> None:
    op.execute("ALTER TABLE tasks ADD COLUMN note TEXT")
"""
CONTRACTING = """
from alembic import op
revision, down_revision, branch_labels, depends_on = "9002", "9001", None, None
def upgrade() -> None:
    op.execute("ALTER TABLE tasks DROP COLUMN note")
    op.execute("UPDATE facts SET value = 2 WHERE name = 'epoch'")
"""
FAILING = ADDING + '    raise LookupError("half way")\n'


@pytest.fixture
async def empty(empty_url: str, backend: Backend, time: HandTime) -> AsyncIterator[Store]:
    database = open_database(empty_url, time.clock, pool_size=4)
    yield Store(database, time, backend, empty_url)
    await database.close()


@pytest.fixture
def later_release(tmp_path: Path) -> Path:
    """The migrations of a program that came after this one."""
    folder = tmp_path / "later 100%"
    shutil.copytree(schema.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def add(release: Path, *revisions: str) -> None:
    for number, revision in enumerate(revisions, start=9001):
        (release / "versions" / f"{number:04}_later.py").write_text(revision)


async def test_a_database_is_migrated_from_nothing_and_once(empty: Store) -> None:
    first = await empty.write(schema.migrate)
    second = await empty.write(schema.migrate)
    await empty.database.read(schema.check)

    assert first == (None, schema.head())
    assert second == (schema.head(), schema.head())
    assert await empty.value("SELECT value FROM facts WHERE name = 'epoch'") == schema.EPOCH


async def test_the_migrations_come_to_what_the_tables_say(store: Store) -> None:
    def differences(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), tables.metadata)

    assert await store.database.read(differences) == []


def shape(connection: Connection) -> dict[str, object]:
    """Every table as the database knows it, down to conditions of indexes and collations."""
    inspector = inspect(connection)

    def column(found: ReflectedColumn) -> object:
        return found["name"], str(found["type"]), found["nullable"], getattr(found["type"], "collation", None)

    dialect = connection.dialect.name
    definitions = {
        "sqlite": "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
        "postgresql": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
    }[dialect]
    indexes = {" ".join(row[0].split()) for row in connection.execute(text(definitions))}
    return {
        name: (
            [column(found) for found in inspector.get_columns(name)],
            inspector.get_pk_constraint(name)["constrained_columns"],
            [
                (key["constrained_columns"], key["referred_table"], key["options"])
                for key in inspector.get_foreign_keys(name)
            ],
        )
        for name in tables.metadata.tables
    } | {"indexes": {index for index in indexes if "alembic" not in index}}


async def test_the_migrations_make_the_same_database_as_the_tables_do(empty: Store, store: Store) -> None:
    await empty.write(tables.metadata.create_all)

    assert await store.database.read(shape) == await empty.database.read(shape)


async def test_a_database_without_a_schema_is_not_served(empty: Store) -> None:
    with pytest.raises(SchemaMismatch, match="relay migrate"):
        await empty.database.read(schema.check)


async def test_a_schema_older_than_the_program_is_not_served(store: Store, later_release: Path) -> None:
    add(later_release, ADDING)

    with pytest.raises(
        SchemaMismatch, match=f"at revision {schema.head()}, this program needs 9001: run `relay migrate`"
    ):
        await store.database.read(schema.check, later_release)


async def test_a_newer_schema_of_the_same_epoch_is_served_and_left_as_it_is(
    store: Store, later_release: Path
) -> None:
    add(later_release, ADDING)
    await store.write(schema.migrate, later_release)

    await store.database.read(schema.check)
    unchanged = await store.write(schema.migrate)
    registration = await store.delivered()

    assert unchanged == ("9001", "9001")
    assert (await store.view(registration)).registration == registration


async def test_a_schema_of_a_higher_epoch_is_neither_served_nor_migrated(
    store: Store, later_release: Path
) -> None:
    add(later_release, ADDING, CONTRACTING)
    await store.write(schema.migrate, later_release)

    with pytest.raises(SchemaMismatch, match="epoch 2, this program of 1"):
        await store.database.read(schema.check)
    with pytest.raises(SchemaMismatch, match="epoch 2, this program of 1"):
        await store.write(schema.migrate)


async def test_a_migration_that_fails_half_way_has_changed_nothing(store: Store, later_release: Path) -> None:
    add(later_release, FAILING)

    with pytest.raises(LookupError):
        await store.write(schema.migrate, later_release)

    await store.database.read(schema.check)
    columns = await store.database.read(lambda connection: inspect(connection).get_columns("tasks"))
    assert "note" not in {column["name"] for column in columns}


async def test_two_processes_that_migrate_at_once_migrate_once(empty: Store) -> None:
    first, second = await overlapping(empty, schema.migrate, schema.migrate)

    assert first == (None, schema.head())
    assert second == (schema.head(), schema.head())


def test_a_program_without_migrations_says_so(later_release: Path) -> None:
    for file in (later_release / "versions").glob("*.py"):
        file.unlink()

    with pytest.raises(SchemaMismatch, match="without its migrations"):
        schema.head(later_release)


async def test_the_last_moment_a_worker_was_seen_is_kept(store: Store) -> None:
    seen = [await store.database.read(schema.seen_at)]
    for _ in range(2):
        await store.write(schema.note_seen, store.time.advance(SECOND))
        seen.append(await store.database.read(schema.seen_at))

    assert seen == [None, store.now - SECOND, store.now]


async def test_what_strangers_wrote_is_binary(store: Store) -> None:
    def types(connection: Connection) -> set[str]:
        inspector = inspect(connection)
        return {
            str(column["type"])
            for table, name in (
                ("reports", "payload"),
                ("reports", "status"),
                ("events", "body"),
                ("attempts", "answer"),
                ("registrations", "metadata"),
            )
            for column in inspector.get_columns(table)
            if column["name"] == name
        }

    assert await store.database.read(types) == {"BLOB" if store.backend == "sqlite" else "BYTEA"}


async def test_nothing_is_deleted_in_passing(store: Store) -> None:
    def rules(connection: Connection) -> list[object]:
        inspector = inspect(connection)
        return [
            key["options"] for table in tables.metadata.tables for key in inspector.get_foreign_keys(table)
        ]

    found = await store.database.read(rules)

    assert len(found) == 6
    assert not any(found)


async def test_postgres_leaves_room_in_the_queues_pages_and_vacuums_them_early(postgres: Store) -> None:
    rows = await postgres.rows(
        "SELECT relname, array_to_string(reloptions, ' ') FROM pg_class WHERE relname IN ('tasks', 'deliveries')"
    )

    assert len(rows) == 2
    for _, options in rows:
        assert "fillfactor=80" in str(options)
        assert "autovacuum_vacuum_scale_factor=0.01" in str(options)


async def test_keys_are_ordered_by_bytes_whatever_the_servers_locale(store: Store) -> None:
    names = ["shop", "SHOP", "Shop", "ä", "z", "_", "é"]
    for name in names:
        await store.run("INSERT INTO clients (name, last_position) VALUES (:name, 0)", name=name)

    ordered = [name for (name,) in await store.rows("SELECT name FROM clients ORDER BY name")]

    assert ordered == sorted(names, key=str.encode)
