"""All that is stored of one registration, as it stood at one moment."""

from typing import Final

from sqlalchemy import Connection, RowMapping, bindparam, select, text

from relay.domain.deliveries import DeadReason
from relay.domain.errors import NotFound
from relay.domain.history import Event, History, Notification, Tried
from relay.domain.ids import RegistrationId
from relay.domain.lanes import Lane, LaneName
from relay.domain.registrations import EventType
from relay.storage import lanes, tasks
from relay.storage.registrations import FACTS, registration_of
from relay.storage.tables import attempts, deliveries, events, registrations, reports
from relay.storage.tables import tasks as tasks_table

_A, _D, _E = attempts.c, deliveries.c, events.c
_ONE: Final = (
    select(*FACTS, registrations.c.closed_at, registrations.c.verdict_at, reports.c.status, reports.c.run_id)
    .join_from(registrations, tasks_table, registrations.c.task == tasks_table.c.ref)
    .outerjoin(reports, reports.c.task == tasks_table.c.ref)
    .where(registrations.c.id == bindparam("id"), registrations.c.client == bindparam("client"))
)
_NOTIFICATION: Final = (
    select(
        _E.type,
        _E.created_at,
        _E.position,
        _D.round,
        _D.round_at,
        _D.attempts,
        _D.failures,
        _D.next_at,
        _D.leased_until,
        _D.ended_at,
        _D.delivered_at,
        _D.dead_reason,
    )
    .outerjoin_from(events, deliveries, _D.registration == _E.registration)
    .where(_E.registration == bindparam("id"))
)
# By fence, which is the order of the claims; `number` repeats where a lease ran out.
_NEWEST: Final = (
    select(_A.number, _A.round, _A.started_at, _A.duration, _A.outcome, _A.http_status, _A.error, _A.pause)
    .where(_A.registration == bindparam("id"))
    .order_by(_A.fence.desc())
    .limit(bindparam("most"))
)
_ONE_SNAPSHOT: Final = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")


def read(connection: Connection, client: str, wanted: RegistrationId, key: LaneName, most: int) -> History:
    """With the newest `most` attempts; `key` names the lane of the client's CAMB key. Raises NotFound.

    It is several statements: they must not see what was committed in between.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_ONE_SNAPSHOT)
    row = connection.execute(_ONE, {"id": wanted, "client": client}).one_or_none()
    if row is None:
        raise NotFound("there is no such registration")
    registration = registration_of(row)
    lane = registration.lane
    found = lanes.read(connection, {key} if lane is None else {key, lane})
    event = connection.execute(_NOTIFICATION, {"id": wanted}).mappings().one_or_none()
    return History(
        registration=registration,
        closed_at=row.closed_at,
        verdict_at=row.verdict_at,
        task=tasks.read(connection, registration.task),
        status=None if row.status is None else row.status.decode(),
        run_id=row.run_id,
        key_lane=found.get(key),
        event=None
        if event is None
        else _event(connection, wanted, event, None if lane is None else found.get(lane), most),
    )


def _event(
    connection: Connection, wanted: RegistrationId, row: RowMapping, lane: Lane | None, most: int
) -> Event:
    if row["round"] is None:
        return Event(type=EventType(row["type"]), created_at=row["created_at"], position=row["position"])
    newest = connection.execute(_NEWEST, {"id": wanted, "most": most}).mappings().all()
    read = {
        "type": EventType(row["type"]),
        "dead_reason": None if row["dead_reason"] is None else DeadReason(row["dead_reason"]),
        "tried": tuple(Tried(**attempt) for attempt in reversed(newest)),
        "left_out": newest[-1].number - 1 if newest else 0,
        "lane": lane,
    }
    return Notification(**{**row, **read})
