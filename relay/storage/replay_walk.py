"""Walks over what is finished, origin by origin in the order of ids: a replay's count, and the rows of its steps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    func,
    literal,
    select,
    text,
    tuple_,
    update,
)

from relay.domain.ids import RegistrationId
from relay.domain.instants import Instant
from relay.domain.registrations import RegistrationState
from relay.domain.replays import Place, Replay, ReplayFilter, ReplayState
from relay.storage.many import Many
from relay.storage.tables import AnyRow, events, registrations, replays, tasks

MOST_COUNTED: Final = 10_000
"""Rows that one slice of a count reads: some 20 ms of whoever else wants to read on SQLite."""

_R, _C = registrations.c, replays.c
# Bounds on both columns, also within one origin: in the order of ids alone PostgreSQL may walk the primary key instead.
_PLACE: Final = tuple_(_R.origin, _R.id)

_KEEP_COUNT: Final = (
    update(replays)
    .where(_C.id == bindparam("b_id"), _C.state == ReplayState.RUNNING)
    .where(_C.counted_id == bindparam("b_registration"))
    .values(
        counted_origin=bindparam("b_to_origin"),
        counted_id=bindparam("b_to_registration"),
        matching=_C.matching + bindparam("b_more"),
    )
)
_ADD_PARTS: Final = Many(
    text(
        "INSERT INTO replay_parts (replay, origin, last, cursor, next_at, matching, replayed)"
        " VALUES (:replay, :origin, :last, '', :now, :matching, 0)"
        " ON CONFLICT (replay, origin) DO UPDATE SET"
        " last = excluded.last, matching = replay_parts.matching + excluded.matching"
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginCount:
    """`last` is the last registration that matches."""

    origin: str
    matching: int
    last: RegistrationId


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A slice of a count; `place` is where the next one begins, None after the last."""

    origins: Sequence[OriginCount]
    place: Place | None

    @property
    def matching(self) -> int:
        return sum(item.matching for item in self.origins)


def count(
    connection: Connection, client: str, wanted: ReplayFilter, frozen_at: Instant, after: Place
) -> Counted:
    """Count on from a place, over MOST_COUNTED rows at most."""
    rows = connection.execute(count_statement(client, wanted, frozen_at, after)).all()
    looked_at = sum(row.looked_at for row in rows)
    return Counted(
        origins=[
            OriginCount(origin=row.origin, matching=row.matching, last=row.last_matching)
            for row in rows
            if row.matching
        ],
        place=Place(origin=rows[-1].origin, registration=rows[-1].last)
        if looked_at == MOST_COUNTED
        else None,
    )


def keep_count(connection: Connection, replay: Replay, counted: Counted, now: Instant) -> Replay | None:
    """Write a slice of the count down; None where somebody else has, or the replay does not run any more."""
    before, after = replay.counted or Place(), counted.place
    kept = connection.execute(
        _KEEP_COUNT,
        {
            "b_id": replay.id,
            "b_registration": before.registration,
            "b_to_origin": None if after is None else after.origin,
            "b_to_registration": None if after is None else after.registration,
            "b_more": counted.matching,
        },
    ).rowcount
    if not kept:
        return None
    _ADD_PARTS.run(
        connection,
        [
            {
                "replay": replay.id,
                "origin": item.origin,
                "last": item.last,
                "now": now,
                "matching": item.matching,
            }
            for item in counted.origins
        ],
    )
    return replace(replay, counted=after, matching=replay.matching + counted.matching)


def count_statement(client: str, wanted: ReplayFilter, frozen_at: Instant, after: Place) -> Select[Any]:
    """For each origin of the slice, in order: rows looked at, the last of them, how many match, the last of those."""
    ended = _ended(client, wanted.state)
    if wanted.origin is None:
        ended = ended.where(tuple_(after.origin, after.registration) < _PLACE)
    else:
        ended = ended.where(tuple_(wanted.origin, after.registration) < _PLACE, _R.origin <= wanted.origin)
    rows = _matched(ended.order_by(_R.origin, _R.id).limit(MOST_COUNTED), wanted, frozen_at)
    found = rows.subquery("found")
    return (
        select(
            found.c.origin,
            func.count().label("looked_at"),
            func.max(found.c.id).label("last"),
            func.sum(found.c.matches).label("matching"),
            func.max(case((found.c.matches == 1, found.c.id))).label("last_matching"),
        )
        .group_by(found.c.origin)
        .order_by(found.c.origin)
    )


def look_statement(replay: Replay, part: AnyRow, most: int) -> Select[Any]:
    """The part's next rows, in order, each with whether it matches."""
    ended = _ended(replay.client, replay.wanted.state)
    within = ended.where(tuple_(part.origin, part.cursor) < _PLACE, tuple_(part.origin, part.last) >= _PLACE)
    rows = _matched(within.order_by(_R.origin, _R.id).limit(most), replay.wanted, replay.created_at)
    return rows.order_by("id")


def _ended(client: str, state: RegistrationState) -> Select[Any]:
    """By the index `ix_registrations_ended`, which holds nothing else."""
    return select(_R.origin, _R.id, _R.task, _R.closed_at).where(
        _R.client == client, _R.state == state, _R.closed_at.is_not(None)
    )


def _matched(ended: Select[Any], wanted: ReplayFilter, frozen_at: Instant) -> Select[Any]:
    """Each of the rows with whether it matches; those that do not count for the bound of a look all the same."""
    rows = ended.subquery("ended")
    conditions = [rows.c.closed_at <= frozen_at]
    if wanted.kind is not None:
        conditions.append(_there(tasks.c.ref == rows.c.task, tasks.c.kind == wanted.kind))
    times = []
    if wanted.since is not None:
        times.append(events.c.created_at >= wanted.since)
    if wanted.until is not None:
        times.append(events.c.created_at < wanted.until)
    if times:
        conditions.append(_there(events.c.registration == rows.c.id, *times))
    matches = case((and_(*conditions), 1), else_=0).label("matches")
    return select(rows.c.origin, rows.c.id, rows.c.task, matches)


def _there(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Looked up for each row by its key: joined, or as EXISTS, PostgreSQL would rather read a whole table of a million."""
    return select(literal(1)).where(*conditions).scalar_subquery().is_not(None)
