"""Rows go away once their time is over, and what must never be is counted and healed."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, bindparam, delete, exists, select

from relay.domain.ids import RegistrationId, TaskRef
from relay.domain.instants import Instant
from relay.domain.registrations import RegistrationState
from relay.domain.tasks import TERMINAL_STATES
from relay.storage import registrations, tasks
from relay.storage.tables import attempts, deliveries, events, reports
from relay.storage.tables import registrations as table
from relay.storage.tables import tasks as tasks_table

_OVER: Final = (
    select(table.c.id, table.c.task)
    .where(table.c.state == bindparam("state"), table.c.closed_at < bindparam("before"))
    .order_by(table.c.closed_at)
    .limit(bindparam("most"))
)
_STILL_OVER: Final = (
    select(table.c.id)
    .where(table.c.id.in_(bindparam("ids", expanding=True)))
    .where(table.c.state == bindparam("state"), table.c.closed_at < bindparam("before"))
    .order_by(table.c.id)
    .with_for_update()
)
_UNREGISTERED: Final = (
    select(tasks_table.c.ref)
    .where(tasks_table.c.ref.in_(bindparam("refs", expanding=True)))
    .where(~exists().where(table.c.task == tasks_table.c.ref))
)
_WRONG: Final = (
    select(table.c.task)
    .join_from(table, tasks_table, table.c.task == tasks_table.c.ref)
    .where(table.c.verdict_at.is_not(None), tasks_table.c.state.in_(sorted(TERMINAL_STATES)))
)


def prune(connection: Connection, state: RegistrationState, before: Instant, most: int) -> int:
    """Delete up to `most` registrations that reached the final `state` before then, and tasks that nobody names any more.

    A task that somebody is just registering on is left for the next time.
    """
    found = connection.execute(_OVER, {"state": state, "before": before, "most": most}).all()
    if not found:
        return 0
    refs = tasks.lock_free(connection, {TaskRef(row.task) for row in found}).keys()
    wanted = [row.id for row in found if row.task in refs]
    ids = [
        RegistrationId(id_)
        for id_ in connection.scalars(_STILL_OVER, {"ids": wanted, "state": state, "before": before})
    ]
    for owned in (events, deliveries, attempts):
        connection.execute(delete(owned).where(owned.c.registration.in_(ids)))
    connection.execute(delete(table).where(table.c.id.in_(ids)))
    empty = list(connection.scalars(_UNREGISTERED, {"refs": sorted(refs)}))
    connection.execute(delete(reports).where(reports.c.task.in_(empty)))
    connection.execute(delete(tasks_table).where(tasks_table.c.ref.in_(empty)))
    return len(ids)


def heal(connection: Connection, base_urls: Mapping[str, str]) -> int:
    """Announce to whoever still watches a task that has ended; answers how many there were, which should be none."""
    refs = {TaskRef(ref) for ref in connection.scalars(_WRONG)}
    locked = tasks.lock(connection, refs)
    watchers = [
        watcher.registration
        for watcher in registrations.lock_watchers(connection, locked.keys())
        if watcher.registration.client in base_urls
    ]
    registrations.announce_late(connection, watchers, locked, base_urls)
    return len(watchers)
