"""A client's events in the order of their positions, to be pulled: beyond the horizon there are no gaps."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, Connection, bindparam, func, literal, select, text, union_all

from relay.domain.ids import EventId, RegistrationId, event_id_of
from relay.domain.instants import Instant
from relay.domain.registrations import EventType, RegistrationState
from relay.storage.tables import AnyRow, clients, events, facts, registrations, tasks

MOST_BYTES: Final = 512 * 1024
"""Of bodies in a page: the event with which it has as many is its last."""

_C, _E, _R = clients.c, events.c, registrations.c
_ONE_SNAPSHOT: Final = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
_MARKS: Final = select(
    select(_C.pruned_to).where(_C.name == bindparam("client")).scalar_subquery().label("horizon"),
    select(_C.last_position).where(_C.name == bindparam("client")).scalar_subquery().label("last"),
    select(facts.c.value).where(facts.c.name == "store").scalar_subquery().label("store"),
)
# How large bodies are is known without reading them.
_SIZED: Final = (
    select(_E.registration, _E.position, func.length(_E.body).label("size"))
    .where(_E.client == bindparam("client"), _E.position > bindparam("after"))
    .order_by(_E.position)
    .limit(bindparam("limit", type_=BigInteger))
    .subquery("sized")
)
_SO_FAR: Final = func.sum(_SIZED.c.size).over(order_by=_SIZED.c.position, rows=(None, 0))
_SUMMED: Final = select(_SIZED.c.registration, (_SO_FAR - _SIZED.c.size).label("before")).subquery("summed")
PAGE: Final = (
    select(_E.position, _E.type, _E.created_at, _E.registration, tasks.c.task_id, tasks.c.kind, _E.body)
    .join_from(_SUMMED, events, _E.registration == _SUMMED.c.registration)
    .join(registrations, _R.id == _E.registration)
    .join(tasks, tasks.c.ref == _R.task)
    .where(_SUMMED.c.before < bindparam("most_bytes", type_=BigInteger))
    .order_by(_E.position)
)
_NEWS: Final = union_all(
    select(_C.name, _C.last_position.label("position")).where(
        _C.name.in_(bindparam("names", expanding=True))
    ),
    select(_R.id, literal(None, _C.last_position.type)).where(
        _R.id.in_(bindparam("ids", expanding=True)), _R.state != RegistrationState.WATCHING
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    position: int
    event_type: EventType
    created_at: Instant
    registration_id: RegistrationId
    task_id: str
    kind: str
    body: bytes

    @property
    def event_id(self) -> EventId:
        return event_id_of(self.registration_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Events beyond `start`. All beyond `horizon` and up to `last` are there; `store` is None as long as it has no name."""

    start: int
    events: Sequence[StoredEvent]
    horizon: int
    last: int
    store: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """The last position of each client that has one, and which of the registrations watch no more."""

    positions: Mapping[str, int]
    decided: frozenset[RegistrationId]


def read(connection: Connection, client: str, after: int | None, limit: int) -> Page:
    """What lies beyond `after`, None for the horizon, as it was at one moment."""
    if connection.dialect.name == "postgresql":
        connection.execute(_ONE_SNAPSHOT)
    marks = connection.execute(_MARKS, {"client": client}).one()
    horizon = marks.horizon or 0
    start = horizon if after is None else after
    wanted = {"client": client, "after": start, "limit": limit, "most_bytes": MOST_BYTES}
    return Page(
        start=start,
        events=[_event(row) for row in connection.execute(PAGE, wanted)],
        horizon=horizon,
        last=marks.last or 0,
        store=marks.store,
    )


def news(connection: Connection, names: Collection[str], waiting: Collection[RegistrationId]) -> News:
    """In one statement, however many wait."""
    rows = connection.execute(_NEWS, {"names": sorted(names), "ids": sorted(waiting)}).all()
    return News(
        positions={row.name: row.position for row in rows if row.position is not None},
        decided=frozenset(RegistrationId(row.name) for row in rows if row.position is None),
    )


def _event(row: AnyRow) -> StoredEvent:
    return StoredEvent(
        position=row.position,
        event_type=EventType(row.type),
        created_at=row.created_at,
        registration_id=row.registration,
        task_id=row.task_id,
        kind=row.kind,
        body=row.body,
    )
