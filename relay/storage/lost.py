"""Connections to PostgreSQL that are lost though nobody said so: a silent network, a server that became a standby.

One that is found out takes every older one of its pool with it: they lead to the same place.
"""

from typing import Any, Final

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

PING_SECONDS: Final = 3.0
IDLE_SECONDS: Final = 10
"""How long a transaction may stand still before the server ends it: a replica that is gone or stopped in the middle of
one holds a lane's lock, and no other could claim from that lane."""

_READ_ONLY: Final = "25006"
_SETTINGS: Final = f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'"


def find_out(engine: Engine) -> None:
    event.listen(engine, "connect", _connected)
    event.listen(engine, "checkout", _checked_out)
    event.listen(engine, "handle_error", _failed)


def _connected(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # Not as it is connected: a transaction pooler refuses settings that it does not know.
    _driver(connection).run_async(lambda driver: driver.execute(_SETTINGS))


def _checked_out(
    connection: DBAPIConnection, _entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection
) -> None:
    # The pool's own ping would wait as long as for any command, once for each connection.
    try:
        _driver(connection).run_async(lambda driver: driver.fetchrow(";", timeout=PING_SECONDS))
    except Exception as error:  # whatever it fails with, a new one is better
        raise InvalidatePoolError from error


def _failed(context: ExceptionContext) -> None:
    original = context.original_exception
    if isinstance(original, TimeoutError) or getattr(original, "sqlstate", None) == _READ_ONLY:
        context.is_disconnect = True


def _driver(connection: DBAPIConnection) -> Any:  # noqa: ANN401 - the adapter of asyncpg has no type of its own
    return connection
