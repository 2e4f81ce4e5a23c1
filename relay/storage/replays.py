"""Rows of `replays` and `replay_parts`: begin, read, change, drop. A replay's row is the lock of its parts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, or_, select, text, update

from relay.domain.errors import NotFound
from relay.domain.ids import ReplayId
from relay.domain.instants import Instant
from relay.domain.registrations import RegistrationState
from relay.domain.replays import (
    CLOSED_STATES,
    MOST_CLOSED,
    MOST_SHOWN,
    Full,
    Hold,
    Place,
    Replay,
    ReplayChange,
    ReplayFilter,
    ReplayState,
    after_change,
    allows,
    full,
)
from relay.storage.tables import AnyRow, replay_parts, replays

_C, _P = replays.c, replay_parts.c

_LOCK_CLIENT: Final = text(
    "INSERT INTO clients (name, last_position) VALUES (:name, 0)"
    " ON CONFLICT (name) DO UPDATE SET last_position = clients.last_position"
)
_OPEN: Final = select(replays).where(_C.closed_at.is_(None))
_COUNT: Final = select(func.count() - func.count(_C.closed_at), func.count()).where(
    _C.client == bindparam("client")
)
_OWN: Final = select(replays).where(_C.client == bindparam("client"))
_ONE: Final = _OWN.where(_C.id == bindparam("id"))
_PARTS: Final = select(replay_parts).where(_P.replay == bindparam("id")).limit(bindparam("most"))
_OPEN_PARTS: Final = _PARTS.where(_P.next_at.is_not(None)).order_by(_P.next_at)
_OVER_PARTS: Final = _PARTS.where(_P.next_at.is_(None)).order_by(_P.origin)
_CHANGE: Final = (
    update(replays)
    .where(_C.id == bindparam("b_id"))
    .values(state=bindparam("b_state"), closed_at=bindparam("b_closed_at"))
)
_RANKED: Final = (
    select(
        _C.id,
        _C.closed_at,
        func.row_number()
        .over(partition_by=_C.client, order_by=(_C.closed_at.desc(), _C.id.desc()))
        .label("rank"),
    )
    .where(_C.closed_at.is_not(None))
    .subquery()
)
_OVER: Final = (
    select(_RANKED.c.id)
    .where(or_(_RANKED.c.closed_at < bindparam("before"), _RANKED.c.rank > MOST_CLOSED))
    .order_by(_RANKED.c.closed_at, _RANKED.c.id)
)
_LOCK_OVER: Final = (
    select(_C.id).where(_C.id == bindparam("id"), _C.closed_at.is_not(None)).with_for_update(skip_locked=True)
)
# One more than are shown: whether there are others is told, too.
_CROWDED: Final = (
    select(_C.id)
    .where(_C.closed_at.is_not(None))
    .where(
        exists(select(_P.origin).where(_P.replay == _C.id).offset(MOST_SHOWN + 1).limit(1).correlate(replays))
    )
    .order_by(_C.id)
)
_PARTS_OF: Final = (
    select(_P.origin)
    .where(_P.replay == bindparam("id"))
    .order_by(_P.next_at.is_(None), _P.next_at, _P.origin)
    .offset(bindparam("kept"))
    .limit(bindparam("most"))
)
_DROP_PARTS: Final = delete(replay_parts).where(
    _P.replay == bindparam("id"), _P.origin.in_(bindparam("origins", expanding=True))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a replay has come to with one origin; `open` until all that was counted was looked at."""

    origin: str
    open: bool
    matching: int
    replayed: int
    hold: Hold | None
    held_until: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayView:
    """`parts` are at most MOST_SHOWN, those still open first; `more` where there are others."""

    replay: Replay
    parts: Sequence[Part] = ()
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NotNow:
    """The replay's state does not allow the change."""

    state: ReplayState


def add(connection: Connection, wanted: Replay) -> Full | None:
    """None where there was room for one more; the client's row is locked, so that two at once cannot both take the last place."""
    connection.execute(_LOCK_CLIENT, {"name": wanted.client})
    if (reached := full(*connection.execute(_COUNT, {"client": wanted.client}).one())) is not None:
        return reached
    place = wanted.counted or Place()
    connection.execute(
        insert(replays),
        {
            "id": wanted.id,
            "client": wanted.client,
            "state": wanted.state,
            "wanted_state": wanted.wanted.state,
            "kind": wanted.wanted.kind,
            "origin": wanted.wanted.origin,
            "since": wanted.wanted.since,
            "until": wanted.wanted.until,
            "created_at": wanted.created_at,
            "counted_origin": place.origin,
            "counted_id": place.registration,
            "matching": 0,
            "replayed": 0,
            "skipped": 0,
        },
    )
    return None


def get(connection: Connection, client: str, wanted: ReplayId) -> ReplayView:
    """Raises NotFound."""
    row = connection.execute(_ONE, {"client": client, "id": wanted}).one_or_none()
    if row is None:
        raise NotFound("there is no such replay")
    most = MOST_SHOWN + 1
    parts = list(connection.execute(_OPEN_PARTS, {"id": wanted, "most": most}))
    if len(parts) < most:
        parts += connection.execute(_OVER_PARTS, {"id": wanted, "most": most - len(parts)})
    shown = [_part(part) for part in parts[:MOST_SHOWN]]
    return ReplayView(replay=replay_of(row), parts=shown, more=len(parts) > MOST_SHOWN)


def find(connection: Connection, client: str, before: ReplayId | None, limit: int) -> list[Replay]:
    """Newest first; `before` is the id of the last replay of the page before."""
    statement = _OWN if before is None else _OWN.where(_C.id < before)
    rows = connection.execute(statement.order_by(_C.id.desc()).limit(limit), {"client": client})
    return [replay_of(row) for row in rows]


def find_open(connection: Connection, clients: Collection[str]) -> list[Replay]:
    """Every replay of these clients that is running or paused, in the order of clients and ids."""
    rows = connection.execute(_OPEN.where(_C.client.in_(sorted(clients))).order_by(_C.client, _C.id))
    return [replay_of(row) for row in rows]


def change(
    connection: Connection, client: str, wanted: ReplayId, asked: ReplayChange, now: Instant
) -> Replay | NotNow:
    """Waits for the step that is under way. Raises NotFound."""
    row = connection.execute(
        _ONE.with_for_update(key_share=True), {"client": client, "id": wanted}
    ).one_or_none()
    if row is None:
        raise NotFound("there is no such replay")
    before = replay_of(row)
    if not allows(before.state, asked):
        return NotNow(state=before.state)
    state = after_change(before.state, asked)
    if state is not before.state:
        closed_at = now if state in CLOSED_STATES else None
        connection.execute(_CHANGE, {"b_id": wanted, "b_state": state, "b_closed_at": closed_at})
    return replay_of(connection.execute(_ONE, {"client": client, "id": wanted}).one())


def find_over(connection: Connection, before: Instant) -> list[ReplayId]:
    """Those that were closed before then, and those that a client has too many of, the oldest first."""
    return list(connection.scalars(_OVER, {"before": before}))


def find_crowded(connection: Connection) -> list[ReplayId]:
    """Those that are over and have more parts than are shown."""
    return list(connection.scalars(_CROWDED))


def drop(connection: Connection, wanted: ReplayId, most: int) -> int:
    """Delete a replay that is over, or as many as `most` of its parts; answers how many rows went."""
    if not _is_over(connection, wanted):
        return 0
    if parts := _drop_parts(connection, wanted, 0, most):
        return parts
    return connection.execute(delete(replays).where(_C.id == wanted)).rowcount


def trim(connection: Connection, wanted: ReplayId, most: int) -> int:
    """Delete up to `most` parts of a replay that is over, but not those it is shown with; answers how many went."""
    return _drop_parts(connection, wanted, MOST_SHOWN + 1, most) if _is_over(connection, wanted) else 0


def _is_over(connection: Connection, wanted: ReplayId) -> bool:
    """Locks it; another process that prunes is left alone."""
    return connection.scalar(_LOCK_OVER, {"id": wanted}) is not None


def _drop_parts(connection: Connection, replay: ReplayId, kept: int, most: int) -> int:
    origins = connection.scalars(_PARTS_OF, {"id": replay, "kept": kept, "most": most}).all()
    if not origins:
        return 0
    return connection.execute(_DROP_PARTS, {"id": replay, "origins": origins}).rowcount


def replay_of(row: AnyRow) -> Replay:
    return Replay(
        id=row.id,
        client=row.client,
        wanted=ReplayFilter(
            state=RegistrationState(row.wanted_state),
            kind=row.kind,
            origin=row.origin,
            since=row.since,
            until=row.until,
        ),
        state=ReplayState(row.state),
        created_at=row.created_at,
        closed_at=row.closed_at,
        counted=None
        if row.counted_id is None
        else Place(origin=row.counted_origin, registration=row.counted_id),
        matching=row.matching,
        replayed=row.replayed,
        skipped=row.skipped,
    )


def _part(row: AnyRow) -> Part:
    return Part(
        origin=row.origin,
        open=row.next_at is not None,
        matching=row.matching,
        replayed=row.replayed,
        hold=None if row.hold is None else Hold(row.hold),
        held_until=row.held_until,
    )
