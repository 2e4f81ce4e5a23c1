"""Transactions: `write` and `read` run a plain function over a connection, on SQLite in a thread, on PostgreSQL in a greenlet.

One function serves both databases. It is run again from its start where the database asks for that (a deadlock, a serialization
failure), so it keeps nothing from a run that failed.
"""

import abc
import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import StaticPool

from relay.clock import Clock
from relay.domain.errors import DatabaseUnavailable
from relay.domain.instants import Instant
from relay.storage import libpq, lost

P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[Concatenate[Connection, P], T]

_REPEATABLE: Final = frozenset({"40P01", "40001"})
_RUNS: Final = 5
_BUSY_SECONDS: Final = 5
_CONNECT_SECONDS: Final = 3
_COMMAND_SECONDS: Final = 30
_NOTHING: Final = text("SELECT 1")
_READ_ONLY: Final = text("SELECT CAST(current_setting('transaction_read_only') AS boolean)")
_SERVER_TIME: Final = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")


class Database(abc.ABC):
    """`answered_at` is when a commit or a probe last came to its end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.answered_at = Instant(0)

    async def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` in one transaction and commit it.

        Raises DatabaseUnavailable; what a row's own content causes (IntegrityError, DataError) passes through.
        """
        return await self._finished(lambda connection: work(connection, *args, **kwargs), writing=True)

    async def read(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` on a connection that may not write. Raises DatabaseUnavailable."""
        return await self._finished(lambda connection: work(connection, *args, **kwargs), writing=False)

    async def probe(self) -> None:
        """Raises DatabaseUnavailable where the database does not answer, or takes no writes."""
        if await self.read(self._refuses_writes):
            raise DatabaseUnavailable("the database takes no writes")
        self.answered_at = self._clock.now()

    async def _finished(self, work: Callable[[Connection], T], *, writing: bool) -> T:
        with _translated():
            result = await self._repeated(work, writing=writing)
        if writing:
            self.answered_at = self._clock.now()
        return result

    async def _repeated(self, work: Callable[[Connection], T], *, writing: bool) -> T:
        run = self._write if writing else self._read
        for _ in range(_RUNS - 1):
            try:
                return await run(work)
            except DBAPIError as error:
                if _sqlstate(error) not in _REPEATABLE:
                    raise
        return await run(work)

    @abc.abstractmethod
    async def reference_time(self) -> Instant:
        """What the clock says that `now` follows."""

    @staticmethod
    @abc.abstractmethod
    def _refuses_writes(connection: Connection) -> bool: ...

    @abc.abstractmethod
    async def close(self) -> None: ...

    @abc.abstractmethod
    async def _write(self, work: Callable[[Connection], T]) -> T: ...

    @abc.abstractmethod
    async def _read(self, work: Callable[[Connection], T]) -> T: ...


class SqliteDatabase(Database):
    """One writer and one reader connection, each living in the one thread of its executor."""

    def __init__(
        self, path: str, clock: Clock, *, writer: Executor | None = None, reader: Executor | None = None
    ) -> None:
        super().__init__(clock)
        self._executors = (
            writer or ThreadPoolExecutor(1, thread_name_prefix="sqlite-writer"),
            reader or ThreadPoolExecutor(1, thread_name_prefix="sqlite-reader"),
        )
        self._engines = (_sqlite_engine(path, writable=True), _sqlite_engine(path, writable=False))

    async def reference_time(self) -> Instant:
        return self._clock.wall()

    @staticmethod
    def _refuses_writes(connection: Connection) -> bool:
        connection.execute(_NOTHING)
        return False

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        for executor, engine in zip(self._executors, self._engines, strict=True):
            await loop.run_in_executor(executor, engine.dispose)
            await loop.run_in_executor(None, executor.shutdown)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        return await self._in_thread(0, work)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        return await self._in_thread(1, work)

    async def _in_thread(self, index: int, work: Callable[[Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executors[index], _transact, self._engines[index], work)


class PostgresDatabase(Database):
    """A pool of connections, READ COMMITTED."""

    def __init__(self, url: URL, clock: Clock, *, pool_size: int) -> None:
        super().__init__(clock)
        address, arguments = _asyncpg_address(url)
        self._engine = create_async_engine(
            address,
            connect_args=arguments,
            hide_parameters=True,  # callback URLs may carry secrets, and a traceback goes to the log
            isolation_level="READ COMMITTED",
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=_CONNECT_SECONDS,
        )
        lost.find_out(self._engine.sync_engine)

    async def reference_time(self) -> Instant:
        sent_at = self._clock.now()
        answer = await self.read(lambda connection: int(connection.scalar(_SERVER_TIME) or 0))
        return Instant(answer + (self._clock.now() - sent_at) // 2)

    @staticmethod
    def _refuses_writes(connection: Connection) -> bool:
        refuses: bool = connection.scalar(_READ_ONLY)
        if refuses:
            connection.invalidate()  # the next one may lead to a server that takes them
        return refuses

    async def close(self) -> None:
        await self._engine.dispose()

    async def _write(self, work: Callable[[Connection], T]) -> T:
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        async with self._engine.connect() as connection:
            return await connection.run_sync(work)


def open_database(url: str, clock: Clock, *, pool_size: int) -> Database:
    """Connects to nothing yet.

    Raises ValueError where the URL names a database the relay does not know, and DatabaseUnavailable where the files that its
    TLS needs cannot be used.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return SqliteDatabase(sqlite_path(url), clock)
    if parsed.get_backend_name() in {"postgresql", "postgres"}:
        return PostgresDatabase(parsed, clock, pool_size=pool_size)
    raise ValueError("the database URL must begin with sqlite:/// or postgresql://")


def sqlite_path(url: str) -> str:
    path = make_url(url).database
    if not path or path == ":memory:":
        raise ValueError("the SQLite URL must name a file: what is only in memory is lost with the process")
    return path


def _transact(engine: Engine, work: Callable[[Connection], T]) -> T:
    with engine.begin() as connection:
        return work(connection)


def _sqlite_engine(path: str, *, writable: bool) -> Engine:
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=path),
        hide_parameters=True,
        poolclass=StaticPool,
        connect_args={"check_same_thread": False, "timeout": _BUSY_SECONDS, "isolation_level": None},
    )

    def connected(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's connection as SQLAlchemy hands it over
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        if not writable:
            connection.execute("PRAGMA query_only=ON")

    def begun(connection: Connection) -> None:
        # The driver would begin nothing on SELECT, and a lock taken late can fail where one taken first only waits.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writable else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
    return engine


def _asyncpg_address(url: URL) -> tuple[URL, dict[str, Any]]:
    """Translate libpq's words for TLS; name no statement, so that a transaction pooler may stand between."""
    query = dict(url.query)
    words: dict[str, str] = {name: str(query.pop(name)) for name in libpq.TLS_WORDS if name in query}
    arguments: dict[str, Any] = {
        "timeout": _CONNECT_SECONDS,
        "command_timeout": _COMMAND_SECONDS,
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": str,
        "server_settings": {"application_name": "camb-relay"},
    }
    if words:
        arguments["ssl"] = libpq.tls(words)
    return URL.create(
        "postgresql+asyncpg", url.username, url.password, url.host, url.port, url.database, query
    ), arguments


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """What is the database's fault becomes DatabaseUnavailable, without its address; what is a row's or ours stays as it is."""
    try:
        yield
    except DBAPIError as error:
        if _is_ours(error):
            raise
        raise DatabaseUnavailable(f"the database failed: {_name(error)}") from error
    except ssl.SSLError as error:
        raise DatabaseUnavailable(f"no TLS with the database: {libpq.complaint(error)}") from error
    except (OSError, TimeoutError, PoolTimeout) as error:
        raise DatabaseUnavailable("the database does not answer") from error


def _is_ours(error: DBAPIError) -> bool:
    """A row's content; asyncpg's data errors have no class in SQLAlchemy, but SQLSTATE class 22."""
    return isinstance(error, (IntegrityError, DataError)) or _sqlstate(error).startswith("22")


def _name(error: DBAPIError) -> str:
    """The driver's own name for it, which SQLAlchemy's stands before."""
    raised = error.orig or error
    return type(raised.__cause__ or raised).__name__


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""
