"""The work of a replay, in steps of one transaction each: what an origin has room for begins a new round."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection, bindparam, func, select, update

from relay.domain.ids import RegistrationId, ReplayId, TaskRef
from relay.domain.instants import Instant
from relay.domain.lanes import Lane, origin_lane
from relay.domain.replays import MOST_DUE, Replay, ReplayChange, ReplayState, Wait, after_change, room
from relay.storage import lanes, tasks
from relay.storage.many import Many
from relay.storage.redelivery import begin_round
from relay.storage.replay_walk import look_statement
from relay.storage.replays import replay_of
from relay.storage.tables import AnyRow, deliveries, registrations, replay_parts, replays

MOST_PARTS: Final = 50
MOST_LOOKED_AT: Final = 1_000
MOST_REPLAYED: Final = 400
"""What one step may do, so that nobody waits for long behind it."""

_R, _C, _P = registrations.c, replays.c, replay_parts.c

_LOCK: Final = (
    select(replays)
    .where(_C.id == bindparam("id"), _C.state == ReplayState.RUNNING, _C.counted_id.is_(None))
    .with_for_update(key_share=True, skip_locked=True)
)
_DUE_PARTS: Final = (
    select(replay_parts)
    .where(_P.replay == bindparam("id"), _P.next_at <= bindparam("now"))
    .order_by(_P.next_at, _P.origin)
    .limit(MOST_PARTS)
)
_ANY_OPEN: Final = select(_P.origin).where(_P.replay == bindparam("id"), _P.next_at.is_not(None)).limit(1)
_SOME_DUE: Final = (
    select(deliveries.c.registration)
    .where(deliveries.c.lane == bindparam("lane"), deliveries.c.next_at <= bindparam("now"))
    .limit(MOST_DUE)
    .subquery()
)
_DUE: Final = select(func.count()).select_from(_SOME_DUE)
_LOCK_STATES: Final = (
    select(_R.id, _R.state, _R.closed_at)
    .where(_R.id.in_(bindparam("ids", expanding=True)))
    .order_by(_R.id)
    .with_for_update(key_share=True)
)
_SAVE_PARTS: Final = Many(
    update(replay_parts)
    .where(_P.replay == bindparam("b_replay"), _P.origin == bindparam("b_origin"))
    .values(
        cursor=bindparam("b_cursor"),
        next_at=bindparam("b_next_at"),
        hold=bindparam("b_hold"),
        held_until=bindparam("b_held_until"),
        replayed=bindparam("b_replayed"),
    )
)
_SAVE: Final = (
    update(replays)
    .where(_C.id == bindparam("b_id"))
    .values(replayed=_C.replayed + bindparam("b_replayed"), skipped=_C.skipped + bindparam("b_skipped"))
)
_FINISH: Final = (
    update(replays)
    .where(_C.id == bindparam("b_id"))
    .values(state=after_change(ReplayState.RUNNING, ReplayChange.FINISHED), closed_at=bindparam("b_now"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a step did; `done` is the replay at its end, where nothing was left to do."""

    replayed: int = 0
    done: Replay | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """A part after it was looked at, and whom to replay."""

    part: AnyRow
    chosen: Sequence[AnyRow] = ()
    cursor: str
    next_at: Instant | None
    wait: Wait | None = None


def step(connection: Connection, wanted: ReplayId, now: Instant) -> Step | None:
    """Redeliver some of what is next; None where nothing is to be done now, or another process does it.

    The replay's row is locked before all others: whoever holds it alone moves its cursors.
    """
    row = connection.execute(_LOCK, {"id": wanted}).one_or_none()
    if row is None:
        return None
    parts = connection.execute(_DUE_PARTS, {"id": wanted, "now": now}).all()
    if not parts:
        if connection.scalar(_ANY_OPEN, {"id": wanted}) is not None:
            return None
        connection.execute(_FINISH, {"b_id": wanted, "b_now": now})
        done = after_change(ReplayState.RUNNING, ReplayChange.FINISHED)
        return Step(done=replace(replay_of(row), state=done, closed_at=now))
    replay = replay_of(row)
    looks = _look(connection, replay, parts, now)
    begun = _begin(connection, replay, [chosen for look in looks for chosen in look.chosen], now)
    counts = {look.part.origin: sum(chosen.id in begun for chosen in look.chosen) for look in looks}
    _save(connection, replay, looks, counts)
    return Step(replayed=len(begun))


def _look(connection: Connection, replay: Replay, parts: Iterable[AnyRow], now: Instant) -> list[_Look]:
    """Parts that the step has nothing left for stay due, and are the first of the next."""
    names = {part.origin: origin_lane(replay.client, part.origin) for part in parts}
    known = lanes.read(connection, names.values())
    looks: list[_Look] = []
    to_look_at, to_replay = MOST_LOOKED_AT, MOST_REPLAYED
    for part in parts:
        if not to_look_at or not to_replay:
            break
        name = names[part.origin]
        free = _room(connection, known.get(name, Lane(name=name)), now)
        if isinstance(free, Wait):
            looks.append(_Look(part=part, cursor=part.cursor, next_at=free.next_at, wait=free))
            continue
        rows = connection.execute(look_statement(replay, part, to_look_at)).all()
        matching = [row for row in rows if row.matches]
        chosen = matching[: min(free, to_replay)]
        if len(chosen) < len(matching):
            cursor, over = chosen[-1].id, False
        else:
            cursor, over = rows[-1].id if rows else part.cursor, len(rows) < to_look_at
        looks.append(_Look(part=part, chosen=chosen, cursor=cursor, next_at=None if over else now))
        to_look_at -= len(rows)
        to_replay -= len(chosen)
    return looks


def _room(connection: Connection, lane: Lane, now: Instant) -> int | Wait:
    due = connection.execute(_DUE, {"lane": lane.name, "now": now}).scalar_one()
    return room(lane, due, now)


def _begin(
    connection: Connection, replay: Replay, chosen: Sequence[AnyRow], now: Instant
) -> frozenset[RegistrationId]:
    """Those that, under their locks, are still what was chosen begin a new round."""
    if not chosen:
        return frozenset()
    tasks.lock(connection, {TaskRef(row.task) for row in chosen})
    locked = connection.execute(_LOCK_STATES, {"ids": sorted(row.id for row in chosen)}).all()
    still = {
        RegistrationId(row.id): replay.wanted.state
        for row in locked
        if row.state == replay.wanted.state and row.closed_at <= replay.created_at
    }
    begin_round(connection, still, now)
    return frozenset(still)


def _save(connection: Connection, replay: Replay, looks: Sequence[_Look], counts: Mapping[str, int]) -> None:
    rows = [
        {
            "b_replay": replay.id,
            "b_origin": look.part.origin,
            "b_cursor": look.cursor,
            "b_next_at": look.next_at,
            "b_hold": None if look.wait is None else look.wait.hold,
            "b_held_until": None if look.wait is None else look.wait.until,
            "b_replayed": look.part.replayed + counts[look.part.origin],
        }
        for look in looks
    ]
    _SAVE_PARTS.run(connection, sorted(rows, key=lambda row: str(row["b_origin"])))
    skipped = sum(
        max(0, look.part.matching - look.part.replayed - counts[look.part.origin])
        for look in looks
        if look.next_at is None
    )
    connection.execute(_SAVE, {"b_id": replay.id, "b_replayed": sum(counts.values()), "b_skipped": skipped})
