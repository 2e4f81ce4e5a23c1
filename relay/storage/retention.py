"""Rows go away once their time is over, and what must never be is counted and healed."""

from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import Connection, bindparam, delete, exists, func, select, update

from relay.domain.ids import RegistrationId, TaskRef
from relay.domain.instants import Instant
from relay.domain.lanes import origin_lane
from relay.domain.registrations import RegistrationChange, RegistrationState, after_change
from relay.domain.tasks import TERMINAL_STATES
from relay.storage import progress, registrations, tasks
from relay.storage.many import Many
from relay.storage.tables import attempts, clients, deliveries, events, reports
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
_PRUNED: Final = (
    select(events.c.client, func.max(events.c.position).label("position"))
    .where(events.c.registration.in_(bindparam("ids", expanding=True)))
    .group_by(events.c.client)
    .order_by(events.c.client)
)
_RAISE_HORIZON: Final = Many(
    update(clients)
    .where(clients.c.name == bindparam("b_name"), clients.c.pruned_to < bindparam("b_position"))
    .values(pruned_to=bindparam("b_position"))
)
_UNREGISTERED: Final = (
    select(tasks_table.c.ref)
    .where(tasks_table.c.ref.in_(bindparam("refs", expanding=True)))
    .where(~exists().where(table.c.task == tasks_table.c.ref))
)
_STRAY: Final = (
    select(deliveries.c.registration)
    .where(deliveries.c.lane.in_(bindparam("lanes", expanding=True)), deliveries.c.next_at.is_not(None))
    .order_by(deliveries.c.registration)
    .limit(bindparam("most"))
)
_PUBLISH: Final = Many(
    update(table)
    .where(table.c.id == bindparam("b_id"))
    .values(
        state=after_change(RegistrationState.DELIVERING, RegistrationChange.PUBLISHED),
        closed_at=bindparam("b_now"),
    )
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
    _raise_horizon(connection, ids)
    for owned in (events, deliveries, attempts):
        connection.execute(delete(owned).where(owned.c.registration.in_(ids)))
    connection.execute(delete(table).where(table.c.id.in_(ids)))
    empty = list(connection.scalars(_UNREGISTERED, {"refs": sorted(refs)}))
    connection.execute(delete(reports).where(reports.c.task.in_(empty)))
    connection.execute(delete(tasks_table).where(tasks_table.c.ref.in_(empty)))
    return len(ids)


def _raise_horizon(connection: Connection, ids: Collection[RegistrationId]) -> None:
    """Whoever pulls is told what is gone, in the transaction in which it goes."""
    rows = connection.execute(_PRUNED, {"ids": ids}).all()
    _RAISE_HORIZON.run(connection, [{"b_name": row.client, "b_position": row.position} for row in rows])


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


def publish_strays(connection: Connection, names: Collection[str], now: Instant, most: int) -> int:
    """End up to `most` deliveries without a callback: a worker of a release that knew of none may have made them."""
    lanes = [origin_lane(name, "") for name in sorted(names)]
    ids = [RegistrationId(id_) for id_ in connection.scalars(_STRAY, {"lanes": lanes, "most": most})]
    locked = progress.lock(connection, ids) if ids else {}
    strays = [id_ for id_, row in locked.items() if row.state is RegistrationState.DELIVERING]
    _PUBLISH.run(connection, [{"b_id": id_, "b_now": now} for id_ in strays])
    connection.execute(delete(deliveries).where(deliveries.c.registration.in_(strays)))
    return len(strays)
