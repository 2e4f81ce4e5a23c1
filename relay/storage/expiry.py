"""Registrations past their time: first their tasks become due, and where no poll could be made the verdict falls anyway."""

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from relay.domain.ids import TaskRef
from relay.domain.instants import MINUTE, Instant
from relay.domain.watching import Announced, Task, Watcher, expired
from relay.storage import registrations, tasks
from relay.storage.events import announce
from relay.storage.tables import registrations as table

LONGEST_WAIT: Final = 2 * MINUTE
"""How long after its expiry a registration waits for a poll that decides."""

_EXPIRED: Final = (
    select(table.c.task)
    .where(table.c.client.in_(bindparam("clients", expanding=True)), table.c.verdict_at <= bindparam("now"))
    .order_by(table.c.verdict_at)
    .limit(bindparam("most"))
)
_WAIT: Final = (
    update(table).where(table.c.id == bindparam("b_id")).values(verdict_at=table.c.expires_at + LONGEST_WAIT)
)


def expire(
    connection: Connection, clients: Collection[str], now: Instant, most: int
) -> tuple[int, Sequence[Announced]]:
    """How many registrations were taken up, at most about `most`, and those of them that were announced as expired."""
    refs = set(connection.scalars(_EXPIRED, {"clients": sorted(clients), "now": now, "most": most}))
    if not refs:
        return 0, ()
    locked = tasks.lock(connection, refs)
    over = [
        watcher
        for watcher in registrations.lock_watchers(connection, locked.keys())
        if watcher.registration.expires_at <= now
    ]
    late = [item for item in over if item.registration.expires_at + LONGEST_WAIT <= now]
    waiting = [item for item in over if item.registration.expires_at + LONGEST_WAIT > now]
    _ask_for_polls(connection, waiting, locked, now)
    known = tasks.payloads(connection, {item.registration.task for item in late})
    verdicts = [
        expired(
            locked[item.registration.task],
            item.registration,
            at=now,
            last_payload=known.get(item.registration.task),
        )
        for item in late
    ]
    announce(connection, verdicts)
    registrations.leave_unwatched(
        connection, [locked[ref] for ref in {item.registration.task for item in late}]
    )
    return len(over), [reached.announced for reached in verdicts]


def _ask_for_polls(
    connection: Connection, waiting: list[Watcher], locked: dict[TaskRef, Task], now: Instant
) -> None:
    if not waiting:
        return
    for item in waiting:
        ref = item.registration.task
        locked[ref] = locked[ref].due_for_verdict(item.registration.expires_at, now)
    tasks.save(connection, [locked[ref] for ref in {item.registration.task for item in waiting}])
    connection.execute(_WAIT, [{"b_id": item.registration.id} for item in waiting])
