"""What shares a budget: a CAMB key by tokens, a client's callback origin by slots. Both can be paused."""

import email.utils
import hashlib
import hmac
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Final, NewType

from relay.domain.instants import SECOND, Instant, Span, instant_of

LaneName = NewType("LaneName", str)

FIRST_PAUSE: Final = Span(1 * SECOND)
LONGEST_PAUSE: Final = Span(60 * SECOND)
UNAUTHORIZED_PAUSE: Final = Span(60 * SECOND)
_MAX_RETRY_AFTER_TEXT = 64
_NAME_DIGITS = 24


def key_lane(base_url: str, key: str) -> LaneName:
    """Clients on one CAMB key share its lane; the name gives nothing of the key away."""
    return LaneName(
        "key:" + hmac.new(key.encode(), base_url.encode(), hashlib.sha256).hexdigest()[:_NAME_DIGITS]
    )


def origin_lane(client: str, origin: str) -> LaneName:
    """Two clients that call one origin have a lane each: neither can hold the other up."""
    return LaneName(f"{client} {origin}")


def client_of(lane: LaneName) -> str:
    """Whose lane of a queue it is: tasks queue under their client, deliveries under client and origin."""
    return lane.partition(" ")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A rate and a burst: `rate` tokens a second, at most `burst` of them saved up."""

    rate: float
    burst: int

    @property
    def interval(self) -> int:
        return max(1, round(SECOND / self.rate))

    @property
    def whole(self) -> int:
        """How long an empty budget takes to fill."""
        return self.burst * self.interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """`spent_until` is the instant at which the budget will be whole again (a virtual schedule: one column, no refill job).

    `failures` counts pauses in a row; while it is not zero one probe at a time is let through.
    """

    name: LaneName
    spent_until: Instant = Instant(0)
    paused_until: Instant = Instant(0)
    paused_at: Instant = Instant(0)
    failures: int = 0

    def tokens(self, budget: Budget, now: Instant) -> int:
        if now < self.paused_until:
            return 0
        saved = (budget.whole - (self._spent(budget, now) - now)) // budget.interval
        return max(0, min(saved, 1) if self.failures else saved)

    def spend(self, count: int, budget: Budget, now: Instant, probe_hold: Span) -> "Lane":
        """A probe holds the lane until its answer is there, or for `probe_hold` if none ever comes."""
        spent = Instant(self._spent(budget, now) + count * budget.interval)
        held = Instant(now + probe_hold) if self.failures and count else self.paused_until
        return replace(self, spent_until=spent, paused_until=held)

    def _spent(self, budget: Budget, now: Instant) -> int:
        """Never more than a whole budget ahead: what stands further off was written by a clock that was set back since."""
        return min(max(self.spent_until, now), now + budget.whole)

    def after_failure(
        self, begun: Instant, now: Instant, asked: Span | None, floor: Span = FIRST_PAUSE
    ) -> "Lane":
        """Pause for what the other side asked, else for `floor` doubling up to LONGEST_PAUSE.

        A request that left before the last pause began belongs to the same wave: it may lengthen that pause, not double it.
        """
        same_wave = self.failures > 0 and begun < self.paused_at
        failures = self.failures if same_wave else self.failures + 1
        pause = asked if asked is not None else min(floor << min(failures - 1, 16), max(LONGEST_PAUSE, floor))
        until = Instant(now + pause)
        if same_wave:
            return replace(self, paused_until=max(self.paused_until, until))
        return replace(self, failures=failures, paused_at=now, paused_until=until)

    def after_answer(self, begun: Instant) -> "Lane":
        """An answer to a request begun after the pause ends it; an older one proves nothing."""
        if begun < self.paused_at:
            return self
        return replace(self, failures=0, paused_until=Instant(0))


def parse_retry_after(value: str, wall: Instant) -> Span | None:
    """Read a Retry-After of seconds or of a date (RFC 9110 §10.2.3); None where it asks for nothing sensible."""
    text = value.strip()
    if not text or len(text) > _MAX_RETRY_AFTER_TEXT:
        return None
    if text.isascii() and text.isdigit():
        return Span(int(text) * SECOND) if int(text) else None
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    wait = instant_of(moment) - wall
    return Span(wait) if wait > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How many rows to claim of each lane; the next rotation begins after `last`."""

    counts: Mapping[LaneName, int]
    last: LaneName | None


def share(
    due: Sequence[LaneName],
    rooms: Mapping[LaneName, int],
    *,
    group_of: Callable[[LaneName], LaneName],
    free: int,
    quantum: int,
    last: LaneName | None,
) -> Shares:
    """Rows for each due lane: in rotation after `last`, at most `quantum` a lane and `free` in all.

    `rooms` is what each group of lanes has left: tokens for the lanes of one CAMB key, slots for an origin.
    The next rotation begins with the first lane that others left too little for, so that none of a group is always too late.
    """
    left = dict(rooms)
    ordered = sorted(due)
    turn = bisect_right(ordered, last) if last is not None else 0
    turns = ordered[turn:] + ordered[:turn]
    counts: dict[LaneName, int] = {}
    for lane in turns:
        group = group_of(lane)
        count = min(left.get(group, 0), quantum, free)
        if count > 0:
            counts[lane] = count
            left[group] -= count
            free -= count
    served_first = next(iter(counts), None)
    for place, lane in enumerate(turns):
        if lane != served_first and counts.get(lane, 0) < min(rooms.get(group_of(lane), 0), quantum):
            return Shares(counts=counts, last=turns[place - 1])
    return Shares(counts=counts, last=last)
