"""Rows of `replays` and `replay_parts`: begin, read, change, drop. A replay's row is the lock of its parts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, insert, select, text, tuple_, update

from relay.domain.errors import NotFound
from relay.domain.ids import ReplayId
from relay.domain.instants import Instant
from relay.domain.registrations import RegistrationState
from relay.domain.replays import (
    CLOSED_STATES,
    MOST_OPEN,
    Hold,
    Place,
    Replay,
    ReplayChange,
    ReplayFilter,
    ReplayState,
    after_change,
    allows,
)
from relay.storage.tables import AnyRow, replay_parts, replays

MOST_SHOWN: Final = 100
"""Origins that a replay is shown with."""

_C, _P = replays.c, replay_parts.c

_LOCK_CLIENT: Final = text(
    "INSERT INTO clients (name, last_position) VALUES (:name, 0)"
    " ON CONFLICT (name) DO UPDATE SET last_position = clients.last_position"
)
_OPEN: Final = select(replays).where(_C.closed_at.is_(None))
_COUNT_OPEN: Final = (
    select(func.count()).select_from(replays).where(_C.client == bindparam("client"), _C.closed_at.is_(None))
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
_CLOSED: Final = (
    select(_C.id)
    .where(_C.closed_at < bindparam("before"))
    .order_by(_C.closed_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_PARTS_OF: Final = select(_P.replay, _P.origin).where(_P.replay == bindparam("id")).limit(bindparam("most"))


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


def add(connection: Connection, wanted: Replay) -> bool:
    """Whether there was room for one more; the client's row is locked, so that two at once cannot both take the last place."""
    connection.execute(_LOCK_CLIENT, {"name": wanted.client})
    if connection.execute(_COUNT_OPEN, {"client": wanted.client}).scalar_one() >= MOST_OPEN:
        return False
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
    return True


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


def prune(connection: Connection, before: Instant, most: int) -> int:
    """Delete a replay that was closed before then, or as many as `most` of its parts; answers how many rows went."""
    wanted = connection.scalar(_CLOSED, {"before": before})
    if wanted is None:
        return 0
    names = connection.execute(_PARTS_OF, {"id": wanted, "most": most}).all()
    if names:
        key = tuple_(_P.replay, _P.origin)
        return connection.execute(
            delete(replay_parts).where(key.in_([tuple(name) for name in names]))
        ).rowcount
    return connection.execute(delete(replays).where(_C.id == wanted)).rowcount


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
