"""A backup is an SQLite file of the relay's own schema, whichever database it was taken of; it goes into either.

On SQLite it is a copy of the pages, on PostgreSQL of the rows, both of one instant, with the relay at work meanwhile.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import URL, Connection, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from relay.domain.errors import CannotRestore, SchemaMismatch
from relay.domain.instants import Instant
from relay.storage import queue, schema
from relay.storage.engine import Database

Told = Callable[[int, int], None]
"""Hears how much is done, and of how much; in any thread. What it raises ends the work."""

BATCH: Final = 250
"""Rows in memory at once, of which one may hold a whole answer of CAMB's."""
_PAGES: Final = 1_000
_SNAPSHOT: Final = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
# What a database has as soon as a relay has looked at it.
_SEEDS: Final = frozenset({"facts", "lanes"})

_POSTGRES_TYPES: Final = MappingProxyType({"BLOB": "BYTEA"})

_Batch = Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What a file holds: a schema at `revision` with so many registrations."""

    revision: str
    registrations: int


@dataclass(frozen=True, slots=True)
class _Table:
    """`columns` with their types, as SQLite has them."""

    name: str
    columns: Mapping[str, str]

    @property
    def selected(self) -> str:
        return f'SELECT {self._columns} FROM "{self.name}"'  # noqa: S608 - the names are those of tables.py

    def insert(self, target: Connection, rows: _Batch) -> None:
        into = f'INSERT INTO "{self.name}" ({self._columns})'
        if target.dialect.name == "sqlite":
            marks = ", ".join("?" * len(self.columns))
            target.exec_driver_sql(f"{into} VALUES ({marks})", [tuple(row) for row in rows])
            return
        # A column at a time: row by row it takes more than twice as long.
        arrays = ", ".join(
            f"CAST(${number} AS {_POSTGRES_TYPES.get(type_, type_)}[])"
            for number, type_ in enumerate(self.columns.values(), 1)
        )
        values = tuple(map(list, zip(*rows, strict=True)))
        target.exec_driver_sql(f"{into} SELECT * FROM unnest({arrays})", values)  # noqa: S608 - the names are those of tables.py

    @property
    def _columns(self) -> str:
        return ", ".join(f'"{column}"' for column in self.columns)


async def take(database: Database, file: Path, told: Told) -> Backup:
    """Write all that the database holds into `file`, which is there and empty, and flush it to disk.

    Raises DatabaseUnavailable, SchemaMismatch among it, and OSError.
    """
    revision = await database.read(schema.revision)
    if revision is None:
        raise SchemaMismatch("the database holds no schema yet: there is nothing to back up")
    await database.read(_take, file, revision, told)
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return read(file)


def read(file: Path) -> Backup:
    """Raises CannotRestore where it is no backup, or a damaged one."""
    with _opened(file) as source:
        return _checked(source)


async def restore(database: Database, file: Path, now: Instant, told: Told) -> Backup:
    """Bring all that the file holds into a database that holds nothing, in one transaction, and its schema up to date.

    Leases are given back. Raises CannotRestore and DatabaseUnavailable; the database is then as it was.
    """
    try:
        return await database.write(_restore, file, now, told)
    except DBAPIError as error:  # what passes through is a row's own fault
        raise CannotRestore("the backup is damaged: a row does not fit the database") from error


def _take(connection: Connection, file: Path, revision: str, told: Told) -> None:
    os.truncate(file, 0)  # what a run before this one has left
    if connection.dialect.name == "sqlite":
        _copy_pages(connection, file, told)
        return
    if not schema.knows(revision):
        raise SchemaMismatch(
            f"the database is at revision {revision}, which a newer release made: take the backup with that one"
        )
    connection.execute(_SNAPSHOT)
    tables = _tables(revision)
    # A migration that is under way is waited for: the snapshot begins with the first statement after this one.
    connection.execute(text(f"LOCK TABLE {_names(tables)} IN ACCESS SHARE MODE"))
    if schema.revision(connection) != revision:
        raise SchemaMismatch("the schema was changed meanwhile: take the backup again")
    total = sum(_count(connection, table) for table in tables)
    with _filled(file) as target:
        schema.make(target, revision)
        _copy(tables, lambda table: _streamed(connection, table), target, _Progress(told, total))


def _copy_pages(connection: Connection, file: Path, told: Told) -> None:
    # The read transaction has begun, and the backup keeps to its snapshot however much is written meanwhile.
    source: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]  # that of this dialect
    source.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
    with closing(sqlite3.connect(file)) as target:
        source.backup(target, pages=_PAGES, progress=lambda _, left, total: told(total - left, total))
        # One file without a companion, that can be read where nothing can be written.
        target.execute("PRAGMA journal_mode=DELETE")


def _restore(connection: Connection, file: Path, now: Instant, told: Told) -> Backup:
    with _opened(file) as source:
        backup = _checked(source)
        if not schema.knows(backup.revision):
            raise CannotRestore(
                f"the backup is at revision {backup.revision}, which this program does not know "
                f"(its newest is {schema.head()}): restore it with the release that made it, or a newer one"
            )
        _make_room(connection, backup.revision)
        tables = _tables(backup.revision)
        progress = _Progress(told, sum(_count_in(source, table) for table in tables))
        _copy(tables, lambda table: _fetched(source, table), connection, progress)
    for each in (queue.TASKS, queue.DELIVERIES):
        each.release_all(connection, now)
    schema.migrate(connection)
    # What was announced after the backup is announced anew, in other places: cursors of before mean nothing here.
    schema.forget_name(connection)
    if connection.dialect.name == "postgresql":
        # Else claims are planned for empty tables until the server has looked at them by itself.
        connection.execute(text(f"ANALYZE {_names(tables)}"))
    return backup


def _make_room(connection: Connection, revision: str) -> None:
    """Leave nothing but empty tables at that revision, where there is nothing but them already."""
    _, current = schema.migrate(connection)
    if current is None or not schema.knows(current):
        raise CannotRestore("a newer release made the database's schema: restore with that one")
    tables = _tables(current)
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"LOCK TABLE {_names(tables)} IN ACCESS EXCLUSIVE MODE"))
    if any(_holds(connection, table) for table in tables if table.name not in _SEEDS):
        raise CannotRestore("the database is not empty: a backup is restored into a new one")
    if current != revision:
        for table in reversed(tables):
            connection.execute(text(f'DROP TABLE "{table.name}"'))
        connection.execute(text("DROP TABLE alembic_version"))
        schema.make(connection, revision)


def _copy(
    tables: Sequence[_Table],
    batches: Callable[[_Table], Iterable[_Batch]],
    target: Connection,
    progress: "_Progress",
) -> None:
    for table in reversed(tables):
        target.execute(text(f'DELETE FROM "{table.name}"'))  # noqa: S608 - the names are those of tables.py
    for table in tables:
        for batch in batches(table):
            table.insert(target, batch)
            progress.add(len(batch))


class _Progress:
    def __init__(self, told: Told, total: int) -> None:
        self._told = told
        self._total = total
        self._done = 0

    def add(self, rows: int) -> None:
        self._done += rows
        self._told(self._done, self._total)


def _streamed(connection: Connection, table: _Table) -> Iterator[_Batch]:
    result = connection.execute(text(table.selected), execution_options={"stream_results": True})
    return result.partitions(BATCH)


def _fetched(source: sqlite3.Connection, table: _Table) -> Iterator[_Batch]:
    cursor = source.execute(table.selected)
    while batch := cursor.fetchmany(BATCH):
        yield batch


@cache
def _tables(revision: str) -> tuple[_Table, ...]:
    """At that revision, each after those that it names."""
    with _filled(None) as scratch:
        schema.make(scratch, revision)
        found = inspect(scratch)
        names = [name for name, _ in found.get_sorted_table_and_fkc_names()]
        return tuple(
            _Table(name, {column["name"]: str(column["type"]) for column in found.get_columns(name)})
            for name in names
            if name not in {None, "alembic_version"}
        )


@contextmanager
def _filled(file: Path | None) -> Iterator[Connection]:
    """A transaction on a file that nobody else knows, or in memory: nothing is flushed before the end."""
    address = URL.create("sqlite+pysqlite", database=None if file is None else str(file))
    engine = create_engine(address, hide_parameters=True, poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=OFF")
        connection.exec_driver_sql("PRAGMA synchronous=OFF")
        yield connection
        connection.commit()


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file.resolve()))}?mode=ro", uri=True)) as source:
            yield source
    except sqlite3.Error as error:
        raise CannotRestore(f"the file is no backup, or a damaged one: {error}") from error


def _checked(source: sqlite3.Connection) -> Backup:
    (verdict,) = source.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise CannotRestore(f"the backup is damaged: {verdict}")
    names = {name for (name,) in source.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"alembic_version", "facts", "registrations"} <= names:
        raise CannotRestore("the file is no backup of a relay: it holds none of its tables")
    if source.execute("PRAGMA foreign_key_check").fetchone() is not None:
        raise CannotRestore("the backup is damaged: a row belongs to another that is missing")
    (revision,) = source.execute("SELECT version_num FROM alembic_version").fetchone()
    (registrations,) = source.execute("SELECT count(*) FROM registrations").fetchone()
    return Backup(revision=revision, registrations=registrations)


def _names(tables: Iterable[_Table]) -> str:
    return ", ".join(f'"{table.name}"' for table in tables)


def _count(connection: Connection, table: _Table) -> int:
    return int(connection.execute(text(f'SELECT count(*) FROM "{table.name}"')).scalar_one())  # noqa: S608 - the names are those of tables.py


def _count_in(source: sqlite3.Connection, table: _Table) -> int:
    (count,) = source.execute(f'SELECT count(*) FROM "{table.name}"').fetchone()  # noqa: S608 - the names are those of tables.py
    return int(count)


def _holds(connection: Connection, table: _Table) -> bool:
    return connection.execute(text(f'SELECT 1 FROM "{table.name}" LIMIT 1')).first() is not None  # noqa: S608 - the names are those of tables.py
