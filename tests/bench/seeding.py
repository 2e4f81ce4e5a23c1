"""Watched tasks put straight into a relay's database, so that their registration is in nobody's measured window."""

import asyncio
import random
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, bindparam, update

from relay.clock import system_clock
from relay.domain.ids import RANDOM_BITS, registration_id, task_ref
from relay.domain.instants import DAY, Instant
from relay.domain.kinds import DEFAULT_KIND
from relay.domain.registrations import Format, Registration
from relay.domain.urls import parse_callback_url
from relay.storage.engine import open_database
from relay.storage.registrations import register
from relay.storage.tables import tasks

CLIENT: Final = "default"

_DUE: Final = update(tasks).where(tasks.c.ref == bindparam("b_ref")).values(next_at=bindparam("b_next_at"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A task and when its next poll is due."""

    task_id: str
    due_at: Instant


def seed(file: Path, wanted: Sequence[Watched], callback_url: str) -> None:
    """In one transaction: the relay, which may be running on that file, sees all of them or none."""
    asyncio.run(_seed(file, wanted, callback_url))


async def _seed(file: Path, wanted: Sequence[Watched], callback_url: str) -> None:
    clock, rng, url = system_clock(), random.Random(), parse_callback_url(callback_url)
    now = clock.now()
    rows = [
        Registration(
            id=registration_id(now, rng.getrandbits(RANDOM_BITS)),
            client=CLIENT,
            kind=DEFAULT_KIND,
            task_id=each.task_id,
            callback_url=url.text,
            origin=url.origin,
            format=Format.STANDARD,
            metadata=b"{}",
            expires_in=None,
            created_at=now,
            expires_at=Instant(now + DAY),
        )
        for each in wanted
    ]
    due = [
        {"b_ref": task_ref(CLIENT, DEFAULT_KIND, each.task_id), "b_next_at": each.due_at} for each in wanted
    ]

    def store(connection: Connection) -> None:
        register(connection, rows, {})
        connection.execute(_DUE, due)

    database = open_database(f"sqlite:///{file}", clock, pool_size=1)
    try:
        await database.write(store)
    finally:
        await database.close()


def read(file: Path, sql: str, *parameters: object) -> list[tuple[int, ...]]:
    """From another process than the relay's, so that asking costs the relay nothing."""
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5)
    try:
        return connection.execute(sql, parameters).fetchall()
    finally:
        connection.close()
