"""A backup holds what a database of either kind held at one instant, and goes into either."""

import asyncio
import random
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import Connection, Integer, LargeBinary, Table, text
from sqlalchemy.util import await_only

from relay.domain.deliveries import Accepted, Dead, DeadReason, Rejected
from relay.domain.errors import CannotRestore, DatabaseUnavailable, SchemaMismatch
from relay.domain.instants import DAY, SECOND
from relay.storage import backup, schema
from relay.storage.engine import open_database
from relay.storage.tables import metadata
from tests.storage.hand_time import HandTime
from tests.storage.interleaving import DEADLINE_SECONDS, Gate, blocked, held_at_commit
from tests.storage.migrated import MigratedDatabases
from tests.storage.store import Backend, Store

Rows = dict[str, list[tuple[object, ...]]]


def quiet(_done: int, _total: int) -> None:
    pass


class GivenUp(Exception):
    pass


def give_up(_done: int, _total: int) -> None:
    raise GivenUp


async def rows(store: Store) -> Rows:
    return {
        table.name: sorted(await store.rows(f"SELECT * FROM {table.name}"), key=repr)  # noqa: S608 - our own tables
        for table in metadata.sorted_tables
    }


async def taken(store: Store, folder: Path) -> Path:
    file = folder / "backup"
    file.touch()
    await backup.take(store.database, file, quiet)
    return file


async def restored(store: Store, file: Path) -> backup.Backup:
    return await backup.restore(store.database, file, store.now, quiet)


@asynccontextmanager
async def empty_file(folder: Path, time: HandTime) -> AsyncIterator[Store]:
    """An SQLite database without a schema."""
    url = f"sqlite:///{folder / 'another.db'}"
    database = open_database(url, time.clock, pool_size=1)
    yield Store(database, time, "sqlite", url)
    await database.close()


@pytest.fixture
async def empty_sqlite(tmp_path: Path, time: HandTime) -> AsyncIterator[Store]:
    async with empty_file(tmp_path, time) as store:
        yield store


@pytest.fixture
def another(request: pytest.FixtureRequest, backend: Backend) -> Store:
    """A database of the other kind, without rows."""
    found = request.getfixturevalue("empty_sqlite" if backend == "postgres" else "postgres")
    assert isinstance(found, Store)
    return found


def edit(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(statement)


async def lived_in(store: Store) -> None:
    """A registration in every state, and one of each queue in somebody's hands."""
    await store.delivered(store.wanted("delivered", metadata=b'{"nul":"\\u0000"}'))
    await store.dead(
        Dead(reason=DeadReason.GONE), Rejected(http_status=410, retry_after=None), store.wanted("dead")
    )
    await store.cancel((await store.accept(store.wanted("cancelled"))).id)
    store.time.advance(DAY)
    await store.delivering(store.wanted("delivering"))
    await store.claimed_delivery()
    await store.accept(store.wanted("watching"))
    await store.claim_polls()
    await store.run("INSERT INTO lanes VALUES ('shop https://hooks.example', 0, 9, 5, 1, 4, 3, 'failing')")
    await store.write(schema.note_seen, store.now)


async def test_a_backup_says_what_it_holds(store: Store, tmp_path: Path) -> None:
    await lived_in(store)
    heard: list[tuple[int, int]] = []
    file = tmp_path / "backup"
    file.write_bytes(b"what an attempt before has left")

    found = await backup.take(store.database, file, lambda done, total: heard.append((done, total)))

    assert found == backup.Backup(revision=schema.head(), registrations=5)
    assert backup.read(file) == found
    assert heard[-1][0] == heard[-1][1] > 0
    assert not list(tmp_path.glob("backup-*"))  # noqa: ASYNC240 - nothing else runs here


async def test_a_backup_of_either_goes_into_the_other_and_back_row_by_row(
    store: Store, another: Store, tmp_path: Path, time: HandTime
) -> None:
    await lived_in(store)
    before = await rows(store)

    await restored(another, await taken(store, tmp_path))
    between = await rows(another)
    (tmp_path / "back").mkdir()
    async with empty_file(tmp_path / "back", time) as back:
        await restored(back, await taken(another, tmp_path / "back"))
        after = await rows(back)

    assert after == between
    assert all(after.values()) is False, "replays are proven by the next test"
    for table in set(before) - {"tasks", "deliveries"}:
        assert between[table] == before[table], table
    assert [len(found) for found in between.values()] == [len(found) for found in before.values()]


TEXTS: Final = "aä€😀 '\"\\\n\t%:$1?"
NUMBERS: Final = (0, 1, -1, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))


def any_row(table: Table, number: int, dice: random.Random) -> tuple[object, ...]:
    """Whatever the columns' types can hold; keys name rows of the same number."""
    row: list[object] = []
    for column in table.columns:
        if column.primary_key or column.foreign_keys:
            row.append(f"{number:06}" if column.name != "fence" else number)
        elif column.nullable and dice.random() < 0.3:
            row.append(None)
        elif isinstance(column.type, LargeBinary):
            row.append(dice.randbytes(dice.randrange(40)) + b"%06d" % number)
        elif isinstance(column.type, Integer):
            wide = column.type.__class__ is not Integer
            row.append(number if column.name == "position" else dice.choice(NUMBERS if wide else NUMBERS[:5]))
        else:
            row.append("".join(dice.choices(TEXTS, k=dice.randrange(20))))
    return tuple(row)


async def test_any_rows_survive_the_way_into_the_other_and_back(
    sqlite: Store, postgres: Store, tmp_path: Path, time: HandTime
) -> None:
    dice = random.Random(4)
    written: dict[Table, list[tuple[object, ...]]] = {
        table: [any_row(table, number, dice) for number in range(60)] for table in metadata.sorted_tables
    }

    def fill(connection: Connection) -> None:
        for table, found in written.items():
            marks = ", ".join("?" * len(table.columns))
            connection.exec_driver_sql(f"INSERT INTO {table.name} VALUES ({marks})", found)  # noqa: S608 - our own tables
        for queue in ("tasks", "deliveries"):
            connection.execute(text(f"UPDATE {queue} SET leased_until = NULL"))  # noqa: S608 - our own tables

    await sqlite.write(fill)
    await sqlite.run("UPDATE facts SET value = 1 WHERE name = 'epoch'")
    before = await rows(sqlite)

    await restored(postgres, await taken(sqlite, tmp_path))
    (tmp_path / "back").mkdir()
    async with empty_file(tmp_path / "back", time) as back:
        await restored(back, await taken(postgres, tmp_path / "back"))
        after = await rows(back)

    assert after == before
    assert {len(found) for found in after.values()} == {60, 61}


async def test_leases_are_given_back_and_fences_kept(store: Store, another: Store, tmp_path: Path) -> None:
    await lived_in(store)
    file = await taken(store, tmp_path)
    store.time.advance(SECOND)

    await restored(another, file)

    for queue in ("tasks", "deliveries"):
        leased = f"SELECT count(*) FROM {queue} WHERE leased_until IS NOT NULL"  # noqa: S608 - our own tables
        due = f"SELECT count(*) FROM {queue} WHERE next_at = :now"  # noqa: S608 - our own tables
        fences = f"SELECT sum(fence) FROM {queue}"  # noqa: S608 - our own tables
        assert (await store.value(leased), await another.value(leased)) == (1, 0)
        assert await another.value(due, now=another.now) == 1
        assert await another.value(fences) == await store.value(fences)


async def test_what_was_restored_goes_on(store: Store, another: Store, tmp_path: Path) -> None:
    await lived_in(store)
    await restored(another, await taken(store, tmp_path))

    await another.end_all()
    claimed = (await another.claim_deliveries()).rows
    await another.record_attempts(*(another.tried(row, Accepted(http_status=200)) for row in claimed))

    states = await another.rows("SELECT state, count(*) FROM registrations GROUP BY state ORDER BY state")
    assert states == [("cancelled", 1), ("dead", 1), ("delivered", 3)]
    positions = await another.rows("SELECT position FROM events WHERE client = 'shop' ORDER BY position")
    assert positions == [(number,) for number in range(1, 5)]


# One instant


def many(connection: Connection) -> None:
    """More than one step of either kind of copy."""
    mark = "$1" if connection.dialect.name == "postgresql" else "?"
    named = [(f"c{number:06}" + "x" * 3_000,) for number in range(2 * backup.BATCH)]
    connection.exec_driver_sql(f"INSERT INTO clients (name, last_position) VALUES ({mark}, 0)", named)  # noqa: S608 - the mark is one of two


async def test_what_is_written_while_a_backup_is_taken_is_not_in_it(store: Store, tmp_path: Path) -> None:
    await store.write(many)
    statement = "INSERT INTO clients (name, last_position) VALUES ('meanwhile', 0)"
    steps: list[int] = []
    file = tmp_path / "backup"
    file.touch()

    async with store.another_process() as other:

        def told(done: int, _total: int) -> None:
            steps.append(done)
            if len(steps) > 1:
                return
            if store.backend == "postgres":
                await_only(other.run(statement))
            else:
                edit(tmp_path / "relay.db", statement)

        await backup.take(store.database, file, told)

    with closing(sqlite3.connect(file)) as connection:
        found = connection.execute("SELECT count(*) FROM clients").fetchone()
    assert len(steps) > 1
    assert steps == sorted(steps), "it was not begun again"
    assert found == (2 * backup.BATCH,)
    assert await store.value("SELECT count(*) FROM clients") == 2 * backup.BATCH + 1


async def test_a_migration_that_is_under_way_is_waited_for_and_the_backup_refused(
    postgres: Store, tmp_path: Path
) -> None:
    def migrate(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE facts ADD COLUMN note TEXT"))
        connection.execute(text("UPDATE alembic_version SET version_num = 'later'"))

    gate = Gate()
    migrating = asyncio.create_task(postgres.write(held_at_commit(gate, migrate)))
    await gate.reached()
    taking = asyncio.create_task(taken(postgres, tmp_path))
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await blocked(postgres):  # noqa: ASYNC110 - only the server knows
            await asyncio.sleep(0.005)
    gate.open()
    await migrating

    with pytest.raises(SchemaMismatch, match="changed meanwhile"):
        await taking


# What a backup cannot be taken of


async def test_of_a_database_without_a_schema_there_is_nothing_to_take(
    empty_url: str, time: HandTime, backend: Backend, tmp_path: Path
) -> None:
    database = open_database(empty_url, time.clock, pool_size=1)

    with pytest.raises(SchemaMismatch, match="no schema yet"):
        await taken(Store(database, time, backend, empty_url), tmp_path)

    await database.close()


async def test_a_newer_release_s_postgres_is_left_to_that_release(postgres: Store, tmp_path: Path) -> None:
    await postgres.run("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(SchemaMismatch, match="take the backup with that one"):
        await taken(postgres, tmp_path)


async def test_a_backup_that_nobody_waits_for_any_more_ends(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    file.touch()

    with pytest.raises(GivenUp):
        await backup.take(store.database, file, give_up)

    assert backup.read(await taken(store, tmp_path)).revision == schema.head()


# Older and newer schemas


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A backup of the first release's schema."""
    file = tmp_path / "older"

    async def make() -> None:
        database = open_database(f"sqlite:///{file}", HandTime().clock, pool_size=1)
        await database.write(schema.make, "0001")
        await database.close()

    asyncio.run(make())
    edit(file, "INSERT INTO clients (name, last_position) VALUES ('shop', 7)")
    edit(file, "INSERT INTO lanes VALUES ('lane', 1, 2, 3, 4)")
    return file


async def test_an_older_backup_is_restored_and_its_schema_brought_up_to_date(
    older: Path, store: Store
) -> None:
    found = await restored(store, older)
    await store.database.read(schema.check)

    assert found.revision == "0001"
    assert await store.rows("SELECT name, last_position FROM clients") == [("shop", 7)]
    assert await store.rows("SELECT name, failures, slots FROM lanes") == [("lane", 4, None)]
    assert await store.value("SELECT count(*) FROM replays") == 0


async def test_an_older_schema_is_backed_up_as_it_is(older: Path, store: Store, tmp_path: Path) -> None:
    def at_first(connection: Connection) -> None:
        for table in (*reversed(metadata.sorted_tables), "alembic_version"):
            connection.execute(text(f"DROP TABLE {table}"))
        schema.make(connection, "0001")
        connection.execute(text("INSERT INTO clients (name, last_position) VALUES ('shop', 7)"))

    await store.write(at_first)

    assert backup.read(await taken(store, tmp_path)).revision == "0001"


# What is refused, and changes nothing


async def refusal(store: Store, file: Path) -> str:
    before = await rows(store)
    with pytest.raises(CannotRestore) as refused:
        await restored(store, file)
    assert await rows(store) == before
    return str(refused.value)


@pytest.fixture
def whole(sqlite_template: Path, tmp_path: Path) -> Path:
    """A backup with rows on many pages."""
    file = tmp_path / "whole"
    shutil.copy(sqlite_template, file)
    edit(file, "PRAGMA journal_mode=DELETE")
    with closing(sqlite3.connect(file)) as connection, connection:
        named = [(f"c{number:06}" + "x" * 3_000,) for number in range(50)]
        connection.executemany("INSERT INTO clients (name, last_position) VALUES (?, 0)", named)
    return file


async def test_a_database_that_holds_anything_is_refused(whole: Path, store: Store) -> None:
    await store.accept(store.wanted())

    assert "the database is not empty" in await refusal(store, whole)


async def test_a_backup_of_a_newer_release_is_refused(whole: Path, store: Store) -> None:
    edit(whole, "UPDATE alembic_version SET version_num = '9999'")

    said = await refusal(store, whole)

    assert "at revision 9999, which this program does not know" in said
    assert schema.head() in said


async def test_a_newer_release_s_database_is_refused(whole: Path, store: Store) -> None:
    await store.run("UPDATE alembic_version SET version_num = '9999'")

    assert "a newer release made the database's schema" in await refusal(store, whole)


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: 40 * 4_096])


def overwrite_a_page(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-4_096:] = bytes(4_096)
    file.write_bytes(content)


def overwrite_all(file: Path) -> None:
    file.write_bytes(b"-- PostgreSQL database dump\n" * 10)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def remove_a_parent(file: Path) -> None:
    edit(file, "INSERT INTO reports VALUES ('nobody', NULL, NULL, X'7B7D')")


def drop_a_table(file: Path) -> None:
    edit(file, "DROP TABLE replay_parts")


def break_text(file: Path) -> None:
    edit(file, "INSERT INTO clients (name, last_position) VALUES (CAST(X'FFFE' AS TEXT), 0)")


def leave_out(file: Path) -> None:
    """SQLite never checks what is there when a rule is added."""
    edit(file, "ALTER TABLE clients RENAME TO before")
    edit(file, "CREATE TABLE clients (name TEXT, last_position BIGINT)")
    edit(file, "INSERT INTO clients (name, last_position) VALUES ('shop', NULL)")


@pytest.mark.parametrize(
    "damage",
    [cut_short, overwrite_a_page, overwrite_all, empty, remove_a_parent, drop_a_table, Path.unlink],
)
async def test_a_file_that_is_damaged_or_no_backup_is_refused(
    damage: Callable[[Path], object], whole: Path, sqlite: Store
) -> None:
    damage(whole)

    said = await refusal(sqlite, whole)

    assert said.startswith(("the backup is damaged: ", "the file is no backup"))


@pytest.mark.parametrize("damage", [break_text, leave_out])
async def test_a_row_that_no_database_takes_is_refused(
    damage: Callable[[Path], object], whole: Path, store: Store
) -> None:
    damage(whole)

    assert "damaged" in await refusal(store, whole)


async def test_a_restore_that_is_given_up_leaves_the_database_as_it_was(whole: Path, store: Store) -> None:
    before = await rows(store)

    with pytest.raises(GivenUp):
        await backup.restore(store.database, whole, store.now, give_up)

    assert await rows(store) == before
    assert (await restored(store, whole)).registrations == 0


async def test_a_restore_that_fails_in_its_middle_leaves_nothing_behind(
    older: Path, postgres_databases: MigratedDatabases, time: HandTime, tmp_path: Path
) -> None:
    """What the database is to blame for is said to be its fault, and its schema is as it was."""
    async with postgres_databases.one() as url:
        database = open_database(url, time.clock, pool_size=2)
        store = Store(database, time, "postgres", url)
        await store.run("CREATE VIEW seen AS SELECT * FROM replays")

        with pytest.raises(DatabaseUnavailable):
            await restored(store, older)

        assert await store.rows("SELECT version_num FROM alembic_version") == [(schema.head(),)]
        await store.run("DROP VIEW seen")
        await database.close()
