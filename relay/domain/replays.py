"""A replay: send again what a filter finds among the finished, at the pace of the origins it goes to."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from relay.domain.errors import BrokenRule
from relay.domain.ids import ReplayId
from relay.domain.instants import SECOND, Instant, Span
from relay.domain.lanes import Lane
from relay.domain.registrations import RegistrationState

MOST_OPEN: Final = 10
"""Replays of one client that may be running or paused at once."""
MOST_CLOSED: Final = 100
"""Of a client's replays that are over the newest are kept; of the others, until they are pruned, there may be some."""
MOST_IN_ALL: Final = 200
MOST_SHOWN: Final = 100
"""Origins that a replay is shown with; of one that is over the rest is dropped."""
MOST_DUE: Final = 200
"""While as many deliveries are due to an origin, a replay adds none: a fresh one waits behind no more than these."""
LOOK_AGAIN: Final = Span(1 * SECOND)
LOOK_AT_PAUSE: Final = Span(10 * SECOND)
"""How often a paused origin is looked at: its pause may be over before its time."""


class Full(StrEnum):
    """What a client has so many of that it may begin no replay."""

    OPEN = "open"
    IN_ALL = "in all"


def full(open_: int, in_all: int) -> Full | None:
    if open_ >= MOST_OPEN:
        return Full.OPEN
    return Full.IN_ALL if in_all >= MOST_IN_ALL else None


class ReplayState(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"


class ReplayChange(StrEnum):
    PAUSED = "paused"
    RESUMED = "resumed"
    CANCELLED = "cancelled"
    FINISHED = "finished"


_S, _C = ReplayState, ReplayChange

REPLAY_TRANSITIONS: Final[Mapping[tuple[ReplayState, ReplayChange], ReplayState]] = MappingProxyType(
    {
        (_S.RUNNING, _C.PAUSED): _S.PAUSED,
        (_S.RUNNING, _C.RESUMED): _S.RUNNING,
        (_S.RUNNING, _C.CANCELLED): _S.CANCELLED,
        (_S.RUNNING, _C.FINISHED): _S.DONE,
        (_S.PAUSED, _C.PAUSED): _S.PAUSED,
        (_S.PAUSED, _C.RESUMED): _S.RUNNING,
        (_S.PAUSED, _C.CANCELLED): _S.CANCELLED,
        (_S.CANCELLED, _C.CANCELLED): _S.CANCELLED,
    }
)
CLOSED_STATES: Final = frozenset({ReplayState.DONE, ReplayState.CANCELLED})


def allows(state: ReplayState, change: ReplayChange) -> bool:
    return (state, change) in REPLAY_TRANSITIONS


def after_change(state: ReplayState, change: ReplayChange) -> ReplayState:
    """Raises BrokenRule where the table has no such transition."""
    try:
        return REPLAY_TRANSITIONS[state, change]
    except KeyError:
        raise BrokenRule(f"a replay that is {state} cannot be {change}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayFilter:
    """Registrations in the final `state` whose event was made in [since, until); what is None narrows nothing."""

    state: RegistrationState
    kind: str | None = None
    origin: str | None = None
    since: Instant | None = None
    until: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far a walk in the order of origins and registration ids has come; the next row is beyond it."""

    origin: str = ""
    registration: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """`created_at` is its upper bound too: what was finished later is not replayed, nor what it has replayed itself.

    `counted` is how far `matching` has been counted, None once it is whole; only then is anything replayed. `skipped`
    is what somebody else had changed, or retention had dropped, before its turn came.
    """

    id: ReplayId
    client: str
    wanted: ReplayFilter
    state: ReplayState
    created_at: Instant
    closed_at: Instant | None = None
    counted: Place | None = Place()
    matching: int = 0
    replayed: int = 0
    skipped: int = 0


class Hold(StrEnum):
    """Why a replay adds nothing to an origin for now."""

    PAUSED = "paused"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Look again at `next_at`; `until` is the end of the origin's pause, where it is known."""

    hold: Hold
    next_at: Instant
    until: Instant | None = None


def room(lane: Lane, due: int, now: Instant) -> int | Wait:
    """How many deliveries may be added to those that are `due` to the lane's origin, at least one, or how long to wait.

    An origin without slots whose pause is over is probed by one delivery: with nothing due, a replay must bring it.
    """
    if not lane.room(MOST_DUE, now):
        next_at = Instant(min(lane.paused_until, now + LOOK_AT_PAUSE))
        return Wait(hold=Hold.PAUSED, next_at=next_at, until=lane.paused_until)
    left = (1 if lane.to_be_probed else MOST_DUE) - due
    if left > 0:
        return left
    return Wait(hold=Hold.PAUSED if lane.to_be_probed else Hold.FULL, next_at=Instant(now + LOOK_AGAIN))
