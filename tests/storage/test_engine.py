import asyncio
import sqlite3
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import certifi
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.util import await_only

from relay.domain.errors import DatabaseUnavailable
from relay.domain.instants import SECOND
from relay.storage.engine import SqliteDatabase, open_database, sqlite_path
from tests.postgres import PostgresServer
from tests.storage.hand_time import START, HandTime
from tests.storage.interleaving import Gate, held_at_commit
from tests.storage.store import Store

ADD_CLIENT = text("INSERT INTO clients (name, last_position) VALUES (:name, :position)")


def add(connection: Connection, name: str, position: int = 0) -> None:
    connection.execute(ADD_CLIENT, {"name": name, "position": position})


async def names(store: Store) -> list[object]:
    return [name for (name,) in await store.rows("SELECT name FROM clients ORDER BY name")]


async def test_what_a_transaction_wrote_stays(store: Store) -> None:
    await store.write(add, "a")

    assert await names(store) == ["a"]


async def test_a_transaction_that_fails_writes_nothing(store: Store) -> None:
    def failing(connection: Connection) -> None:
        add(connection, "a")
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(failing)

    assert await names(store) == []


async def test_reading_writes_nothing(store: Store) -> None:
    try:
        await store.database.read(add, "a")
    except DatabaseUnavailable:
        assert store.backend == "sqlite"

    assert await names(store) == []


@pytest.mark.parametrize("value", [2**70, -(2**63) - 1], ids=["too large", "too small"])
async def test_what_a_row_itself_is_to_blame_for_is_not_the_databases_fault(store: Store, value: int) -> None:
    with pytest.raises((DBAPIError, OverflowError)):
        await store.write(add, "a", value)

    assert await names(store) == []


async def test_a_nul_byte_in_a_text_is_a_rows_fault_and_not_the_databases(postgres: Store) -> None:
    with pytest.raises(DBAPIError):
        await postgres.write(add, "a\0")


async def test_a_broken_constraint_is_a_rows_fault(store: Store) -> None:
    await store.write(add, "a")

    with pytest.raises(IntegrityError):
        await store.write(add, "a")


async def test_foreign_keys_hold(store: Store) -> None:
    with pytest.raises(IntegrityError):
        await store.run("INSERT INTO reports (task, payload) VALUES ('nobody', '')")


async def test_no_error_tells_what_was_to_be_written(store: Store) -> None:
    await store.write(add, "a")

    with pytest.raises(IntegrityError) as raised:
        await store.write(add, "a", 987654321)

    assert "INSERT INTO clients" in str(raised.value)
    assert "987654321" not in str(raised.value)


async def test_a_database_that_answered_is_known_to_have(store: Store) -> None:
    store.time.advance(SECOND)

    await store.database.probe()

    assert store.database.answered_at == store.now


async def test_a_transaction_that_failed_is_no_answer(store: Store) -> None:
    await store.database.probe()
    answered = store.database.answered_at
    store.time.advance(SECOND)

    with pytest.raises(IntegrityError):
        await store.run("INSERT INTO reports (task, payload) VALUES ('nobody', '')")

    assert store.database.answered_at == answered


async def test_readers_see_what_is_committed_and_nothing_else(store: Store) -> None:
    gate = Gate()
    writing = asyncio.create_task(store.database.write(held_at_commit(gate, lambda c: add(c, "a"))))
    await gate.reached()

    during = await names(store)
    gate.open()
    await writing

    assert during == []
    assert await names(store) == ["a"]


@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)]
)
async def test_sqlite_is_durable_and_strict_on_both_its_connections(
    sqlite: Store, pragma: str, value: object
) -> None:
    def asked(connection: Connection) -> object:
        return connection.scalar(text(f"PRAGMA {pragma}"))

    found = await sqlite.database.write(asked), await sqlite.database.read(asked)

    assert found == (value, value)


async def test_an_sqlite_writer_holds_its_lock_from_the_beginning(sqlite: Store) -> None:
    gate = Gate()
    writing = asyncio.create_task(sqlite.database.write(held_at_commit(gate, lambda _: None)))
    await gate.reached()
    other = sqlite3.connect(sqlite_path(sqlite.url), timeout=0, isolation_level=None)

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    gate.open()
    await writing

    other.execute("BEGIN IMMEDIATE")
    other.close()


async def test_an_sqlite_file_that_somebody_else_holds_is_unavailable_and_then_is_not(sqlite: Store) -> None:
    other = sqlite3.connect(sqlite_path(sqlite.url), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(DatabaseUnavailable, match="OperationalError"):
        await sqlite.write(add, "a")
    other.close()
    await sqlite.write(add, "b")

    assert await names(sqlite) == ["b"]


async def test_sqlite_runs_where_it_is_told_to(sqlite_template: Path, time: HandTime) -> None:
    writer, reader = (ThreadPoolExecutor(1, thread_name_prefix=name) for name in ("mine", "my-reader"))
    database = SqliteDatabase(str(sqlite_template), time.clock, writer=writer, reader=reader)

    places = (
        await database.write(lambda _: threading.current_thread().name),
        await database.read(lambda _: threading.current_thread().name),
    )
    await database.close()

    assert places == ("mine_0", "my-reader_0")


async def test_on_sqlite_time_follows_the_wall_clock(sqlite: Store) -> None:
    sqlite.time.advance(SECOND)

    assert await sqlite.database.reference_time() == START + SECOND


async def test_on_postgres_time_follows_the_servers_clock(postgres: Store) -> None:
    before = await postgres.value("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")
    reference = await postgres.database.reference_time()
    after = await postgres.value("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")

    assert isinstance(before, int)
    assert isinstance(after, int)
    assert before <= reference <= after


async def test_postgres_is_asked_for_read_committed_whatever_its_default(
    postgres: Store, postgres_server: PostgresServer
) -> None:
    await postgres.run(
        f"ALTER DATABASE {postgres.url.rpartition('/')[2]} SET default_transaction_isolation = 'serializable'"
    )

    async with postgres.another_process() as other:
        level = await other.value("SHOW transaction_isolation")

    assert level == "read committed"


async def test_postgres_is_told_who_connects(postgres: Store) -> None:
    assert await postgres.value("SHOW application_name") == "camb-relay"


async def test_no_statement_has_a_name_so_that_a_pooler_may_stand_between(postgres: Store) -> None:
    await postgres.accept(postgres.wanted())

    assert await postgres.rows("SELECT name FROM pg_prepared_statements WHERE name <> ''") == []


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
async def test_a_transaction_that_postgres_asks_for_again_is_run_again_from_its_start(
    postgres: Store, sqlstate: str
) -> None:
    runs: list[int] = []

    def twice_refused(connection: Connection) -> int:
        add(connection, f"run-{len(runs)}")
        runs.append(len(runs))
        if len(runs) <= 2:
            connection.execute(text(f"DO $$ BEGIN RAISE SQLSTATE '{sqlstate}'; END $$"))
        return len(runs)

    assert await postgres.write(twice_refused) == 3
    assert await names(postgres) == ["run-2"]


async def test_a_transaction_that_postgres_goes_on_refusing_is_the_databases_fault(postgres: Store) -> None:
    runs: list[int] = []

    def refused(connection: Connection) -> None:
        runs.append(len(runs))
        connection.execute(text("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$"))

    with pytest.raises(DatabaseUnavailable, match="SerializationError"):
        await postgres.write(refused)

    assert len(runs) == 5


async def test_two_transactions_in_a_deadlock_both_come_to_their_end(postgres: Store) -> None:
    await postgres.write(add, "a")
    await postgres.write(add, "b")
    both_begun = asyncio.Barrier(2)

    async def raised(first: str, second: str) -> None:
        runs: list[None] = []

        def work(connection: Connection) -> None:
            raising = text("UPDATE clients SET last_position = last_position + 1 WHERE name = :name")
            connection.execute(text("SET LOCAL deadlock_timeout = '10ms'"))
            connection.execute(raising, {"name": first})
            runs.append(None)
            if len(runs) == 1:
                await_only(both_begun.wait())
            connection.execute(raising, {"name": second})

        await postgres.write(work)

    await asyncio.gather(raised("a", "b"), raised("b", "a"))

    assert await postgres.rows("SELECT last_position FROM clients") == [(2,), (2,)]


async def test_a_connection_that_is_cut_is_the_databases_fault_and_the_next_one_works(
    postgres: Store,
) -> None:
    with pytest.raises(DatabaseUnavailable):
        await postgres.run("SELECT pg_terminate_backend(pg_backend_pid())")

    await postgres.write(add, "a")

    assert await names(postgres) == ["a"]


async def test_a_pool_whose_connections_are_all_taken_is_the_databases_fault(postgres: Store) -> None:
    database = open_database(postgres.url, postgres.time.clock, pool_size=1)
    gate = Gate()
    writing = asyncio.create_task(database.write(held_at_commit(gate, lambda _: None)))
    await gate.reached()

    with pytest.raises(DatabaseUnavailable, match="does not answer"):
        await database.probe()
    gate.open()
    await writing
    await database.probe()
    await database.close()


@pytest.mark.parametrize(
    ("query", "works"),
    [
        ({}, True),
        ({"sslmode": "disable"}, True),
        ({"sslmode": "prefer"}, True),
        ({"sslmode": "require"}, False),
        ({"sslmode": "verify-full", "sslrootcert": certifi.where()}, False),
        ({"sslrootcert": certifi.where()}, False),
    ],
    ids=lambda value: "&".join(value) + "=" + str(value.get("sslmode")) if isinstance(value, dict) else "",
)
async def test_postgres_is_spoken_to_in_the_clear_only_where_libpq_would(
    postgres: Store, query: Mapping[str, str], *, works: bool
) -> None:
    options = "&".join(f"{name}={value}" for name, value in query.items())
    database = open_database(f"{postgres.url}?{options}", postgres.time.clock, pool_size=1)

    try:
        await database.probe()
        answered = True
    except DatabaseUnavailable:
        answered = False
    await database.close()

    assert answered is works


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "mysql://user@host/name"],
    ids=["nothing", "memory", "mysql"],
)
def test_a_url_that_names_no_file_and_no_server_is_refused(url: str, time: HandTime) -> None:
    with pytest.raises(ValueError, match="URL must"):
        open_database(url, time.clock, pool_size=1)


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+asyncpg", "postgres"])
async def test_every_spelling_of_postgres_is_known(postgres: Store, scheme: str) -> None:
    url = scheme + postgres.url.removeprefix("postgresql")
    database = open_database(url, postgres.time.clock, pool_size=1)

    await database.probe()
    await database.close()

    assert database.answered_at == postgres.now


async def test_a_server_that_is_not_there_is_named_by_no_address(time: HandTime) -> None:
    with pytest.raises(DatabaseUnavailable) as raised:
        await open_database("postgresql://user:hidden@127.0.0.1:1/name", time.clock, pool_size=1).probe()

    assert str(raised.value) == "the database does not answer"


async def test_a_database_that_does_not_exist_is_the_databases_fault(postgres: Store) -> None:
    database = open_database(postgres.url + "_not", postgres.time.clock, pool_size=1)

    with pytest.raises(DatabaseUnavailable) as raised:
        await database.probe()
    await database.close()

    assert str(raised.value) == "the database failed: InvalidCatalogNameError"
