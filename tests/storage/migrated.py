"""Migrated PostgreSQL databases, handed on from test to test: making one costs more than most tests do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
from sqlalchemy import Table

from relay.storage import tables
from tests.postgres import PostgresServer

PATIENCE_SECONDS: Final = 5

_MOST_BYTES: Final = 4_000_000
"""What deleted rows may leave behind before a look-up costs more than in a new database."""


def _emptying(table: Table) -> str:
    kept = " WHERE name <> 'epoch'" if table is tables.facts else ""
    return f"DELETE FROM {table.name}{kept};"  # noqa: S608 - our own tables


_EMPTY: Final = " ".join(_emptying(table) for table in reversed(tables.metadata.sorted_tables))
_ALONE: Final = f"""
SELECT pg_terminate_backend(pid, {1_000 * PATIENCE_SECONDS}) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""  # noqa: S608 - our own number
"""Waits for their ends: only then has a connection reported what it counted."""
_LEFT: Final = """
SELECT array_agg(line ORDER BY line) FROM (
  SELECT concat_ws(' ', 'relation', oid, xmin, reltuples) FROM pg_class WHERE relnamespace = 'public'::regnamespace
  UNION ALL SELECT concat_ws(' ', 'trigger', oid, xmin) FROM pg_trigger
  UNION ALL SELECT concat_ws(' ', 'function', oid, xmin) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
  UNION ALL SELECT concat_ws(' ', 'setting', setconfig) FROM pg_db_role_setting
    WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
  UNION ALL SELECT concat_ws(' ', 'deadlocks', deadlocks) FROM pg_stat_database WHERE datname = current_database()
  UNION ALL SELECT concat_ws(' ', 'fact', name, value) FROM facts
  UNION ALL SELECT concat_ws(' ', 'revision', version_num) FROM alembic_version
) AS lines (line)
"""
"""Every row of the catalogue that a statement on the schema writes, what ANALYZE has estimated and what tests count."""
_BYTES: Final = "SELECT sum(pg_table_size(oid)) FROM pg_class WHERE relnamespace = 'public'::regnamespace"


class MigratedDatabases:
    """One at a time; a test that left anything but rows behind has its database dropped."""

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server = server
        self._template = template
        self._spare: str | None = None
        self._untouched: list[str] | None = None

    @asynccontextmanager
    async def one(self) -> AsyncIterator[str]:
        """The URL of a database without rows."""
        name = await self._taken()
        yield self._server.url_for(name)
        if await self._is_as_new(name):
            self._spare = name
        else:
            self._server.drop_database(name)

    async def _taken(self) -> str:
        if self._spare is not None:
            name, self._spare = self._spare, None
            return name
        name = self._server.create_database(self._template)
        if self._untouched is None:
            self._untouched = await self._left_in(name)
        return name

    async def _is_as_new(self, name: str) -> bool:
        try:
            return await self._left_in(name) == self._untouched
        except (asyncpg.PostgresError, OSError, TimeoutError):
            return False

    async def _left_in(self, name: str) -> list[str]:
        """What is in it beside rows, once they are deleted."""
        connection = await asyncpg.connect(self._server.url_for(name), timeout=PATIENCE_SECONDS)
        try:
            await connection.execute(_ALONE)
            await connection.execute(f"SET lock_timeout = '{PATIENCE_SECONDS}s'; {_EMPTY}")
            left: list[str] = await connection.fetchval(_LEFT)
            bytes_: int = await connection.fetchval(_BYTES)
        finally:
            await connection.close()
        return [*left, "bloated"] if bytes_ > _MOST_BYTES else left
