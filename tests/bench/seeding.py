"""Watched tasks put straight into a relay's database, so that their registration is in nobody's measured window."""

import asyncio
import random
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, bindparam, text, update

from relay.clock import system_clock
from relay.domain.ids import RANDOM_BITS, event_id_of, registration_id, task_ref
from relay.domain.instants import DAY, Instant
from relay.domain.kinds import DEFAULT_KIND
from relay.domain.registrations import Format, Registration
from relay.domain.urls import parse_callback_url
from relay.storage.engine import open_database
from relay.storage.registrations import register
from relay.storage.tables import tasks

CLIENT: Final = "default"

_DUE: Final = update(tasks).where(tasks.c.ref == bindparam("b_ref")).values(next_at=bindparam("b_next_at"))
_ENDED: Final = text(
    "INSERT INTO tasks (ref, client, kind, task_id, state, fence, paced_from, polls, not_found, not_found_before)"
    " VALUES (:ref, :client, :kind, 'seeded', 'succeeded', 1, :now, 1, 0, 0) ON CONFLICT DO NOTHING"
)
_POSITION: Final = text(
    "INSERT INTO clients (name, last_position) VALUES (:client, :count)"
    " ON CONFLICT (name) DO UPDATE SET last_position = clients.last_position + :count RETURNING last_position"
)
_DELIVERING: Final = tuple(
    text(statement)
    for statement in (
        (
            "INSERT INTO registrations (id, task, client, callback_url, origin, format, metadata, created_at, expires_at,"
            " not_found_before, state)"
            " VALUES (:id, :ref, :client, :url, :origin, 'standard', x'7b7d', :now, :now, 0, 'delivering')"
        ),
        (
            "INSERT INTO events (registration, client, position, type, created_at, body)"
            " VALUES (:id, :client, :position, 'task.succeeded', :now, x'7b7d')"
        ),
        (
            "INSERT INTO deliveries (registration, lane, next_at, fence, round, attempts, failures)"
            " VALUES (:id, :client || ' ' || :origin, :due, 0, 1, 0, 0)"
        ),
    )
)


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


def seed_deliveries(file: Path, wanted: Sequence[tuple[str, Instant]]) -> list[str]:
    """Deliveries to these URLs, due at these instants, all about one task that has ended; answers with their webhook-ids."""
    return asyncio.run(_seed_deliveries(file, wanted))


async def _seed_deliveries(file: Path, wanted: Sequence[tuple[str, Instant]]) -> list[str]:
    clock, rng = system_clock(), random.Random()
    now = clock.now()
    ids = [registration_id(now, rng.getrandbits(RANDOM_BITS)) for _ in wanted]
    ref = task_ref(CLIENT, DEFAULT_KIND, "seeded")

    def store(connection: Connection) -> None:
        connection.execute(_ENDED, {"ref": ref, "client": CLIENT, "kind": DEFAULT_KIND, "now": now})
        position = connection.execute(_POSITION, {"client": CLIENT, "count": len(ids)}).scalar_one() - len(
            ids
        )
        rows = [
            {
                "id": id_,
                "ref": ref,
                "client": CLIENT,
                "url": url,
                "origin": parse_callback_url(url).origin,
                "now": now,
                "due": due,
                "position": position + place,
            }
            for place, (id_, (url, due)) in enumerate(zip(ids, wanted, strict=True), start=1)
        ]
        for statement in _DELIVERING:
            connection.execute(statement, rows)

    database = open_database(f"sqlite:///{file}", clock, pool_size=1)
    try:
        await database.write(store)
    finally:
        await database.close()
    return [event_id_of(id_) for id_ in ids]


def read(file: Path, sql: str, *parameters: object) -> list[tuple[int, ...]]:
    """From another process than the relay's, so that asking costs the relay nothing."""
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5)
    try:
        return connection.execute(sql, parameters).fetchall()
    finally:
        connection.close()
