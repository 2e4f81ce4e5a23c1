"""What people read about callback origins: what waits for each, and how it fares."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, func, select, text

from relay.domain.instants import Instant, Span
from relay.domain.lanes import Lane, LaneName, OriginState, origin_lane, origin_of
from relay.domain.registrations import RegistrationState
from relay.storage import lanes
from relay.storage.lists import Filter, page_of
from relay.storage.tables import attempts, deliveries

MOST_COUNTED: Final = 10_000
MOST_ANSWERS: Final = 20
"""Newest registrations of an origin whose accepted attempts its latency is told from."""

_ACCEPTED: Final = "accepted"
_D: Final = deliveries.c
_WITH_OPEN_DELIVERIES: Final = text(
    """
    WITH RECURSIVE found (lane) AS (
        SELECT min(lane) FROM deliveries WHERE next_at IS NOT NULL AND lane > :after AND lane < :beyond
        UNION ALL
        SELECT (
            SELECT min(lane) FROM deliveries
            WHERE next_at IS NOT NULL AND lane > found.lane AND lane < :beyond
        )
        FROM found WHERE found.lane IS NOT NULL
    )
    SELECT lane FROM found WHERE lane IS NOT NULL LIMIT :most"""
)
_WAITING: Final = select(func.count()).select_from(
    select(_D.registration)
    .where(_D.lane == bindparam("lane"), _D.next_at.is_not(None))
    .limit(MOST_COUNTED)
    .subquery()
)
_OLDEST: Final = select(func.min(_D.next_at)).where(_D.lane == bindparam("lane"), _D.next_at.is_not(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginView:
    """`waiting` are open deliveries, counted to MOST_COUNTED; `next_at` is when the first of them is due.

    `paused_until` is None where nothing holds the origin now.
    """

    origin: str
    lane: Lane
    state: OriginState
    paused_until: Instant | None
    waiting: int
    next_at: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long an origin took to accept what it was last sent."""

    median: Span
    slowest: Span


def find(connection: Connection, client: str, after: str, now: Instant, most: int) -> list[OriginView]:
    """A client's origins that something waits for or that are held back, by name, from the first one beyond `after`."""
    start, beyond = origin_lane(client, after), LaneName(f"{client}!")
    waiting = connection.scalars(_WITH_OPEN_DELIVERIES, {"after": start, "beyond": beyond, "most": most})
    names = {LaneName(name) for name in waiting}
    known = lanes.held_back_between(connection, start, beyond, now, most)
    shown = sorted(names | known.keys())[:most]
    known |= lanes.read(connection, [name for name in shown if name not in known])
    return [_view(connection, known.get(name, Lane(name=name)), now) for name in shown]


def latencies(connection: Connection, client: str, origins: Iterable[str]) -> dict[str, Latency | None]:
    """None for an origin that has accepted nothing which is still kept."""
    return {origin: _latency(connection, client, origin) for origin in origins}


def _latency(connection: Connection, client: str, origin: str) -> Latency | None:
    wanted = Filter(client=client, state=RegistrationState.DELIVERED, origin=origin, limit=MOST_ANSWERS)
    statement = select(attempts.c.duration).where(
        attempts.c.registration.in_(page_of(wanted)), attempts.c.outcome == _ACCEPTED
    )
    durations = sorted(connection.scalars(statement))
    if not durations:
        return None
    return Latency(median=Span(durations[len(durations) // 2]), slowest=Span(durations[-1]))


def _view(connection: Connection, lane: Lane, now: Instant) -> OriginView:
    return OriginView(
        origin=origin_of(lane.name),
        lane=lane,
        state=lane.state(now),
        paused_until=lane.paused_until if lane.paused_until > now else None,
        waiting=connection.execute(_WAITING, {"lane": lane.name}).scalar_one(),
        next_at=connection.execute(_OLDEST, {"lane": lane.name}).scalar_one(),
    )
