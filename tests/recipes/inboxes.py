"""The table that the recipes keep notifications in, and what is in it."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from tests.postgres import PostgresServer

SCHEMA: Final = Path(__file__).with_name("inbox.sql")
_ALL: Final = "SELECT id, body FROM inbox"

Kept = Mapping[str, bytes]
"""Bodies by `webhook-id`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteInbox:
    path: Path

    @property
    def environ(self) -> dict[str, str]:
        return {"INBOX": str(self.path)}

    def make(self) -> None:
        with closing(sqlite3.connect(self.path)) as db:
            db.executescript(SCHEMA.read_text())

    async def kept(self) -> Kept:
        with closing(sqlite3.connect(self.path)) as db:
            return dict(db.execute(_ALL))


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresInbox:
    url: str

    @property
    def environ(self) -> dict[str, str]:
        return {"DATABASE_URL": self.url}

    async def make(self) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(SCHEMA.read_text())
        finally:
            await connection.close()

    async def kept(self) -> Kept:
        connection = await asyncpg.connect(self.url)
        try:
            return {row["id"]: row["body"] for row in await connection.fetch(_ALL)}
        finally:
            await connection.close()


Inbox = SqliteInbox | PostgresInbox


@contextmanager
def on_postgres(server: PostgresServer) -> Iterator[PostgresInbox]:
    name = server.create_database()
    yield PostgresInbox(url=server.url_for(name))
    server.drop_database(name)
