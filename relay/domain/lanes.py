"""What shares a budget: a CAMB key by tokens, a client's callback origin by slots. Both can be paused."""

import email.utils
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from enum import StrEnum
from types import MappingProxyType
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


def origin_of(lane: LaneName) -> str:
    return lane.partition(" ")[2]


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


class Cause(StrEnum):
    """Why an origin has fewer slots than are configured."""

    RETRY_AFTER = "retry-after"
    TOO_MANY_REQUESTS = "too-many-requests"
    """It answered 429 and did not say for how long."""
    FAILING = "failing"
    PROBING = "probing"
    """Its pause is over, and one attempt at a time finds out whether it is back."""
    RECOVERING = "recovering"
    """It answers again, and gets a slot for each success."""


class OriginState(StrEnum):
    OPEN = "open"
    SLOWED = "slowed"
    """It has fewer slots than are configured."""
    PAUSED = "paused"
    PROBING = "probing"
    """Its pause is over: the next attempt finds out whether it is back."""


class Signal(StrEnum):
    """What an attempt says about the origin it went to."""

    ACCEPTED = "accepted"
    ANSWERED = "answered"
    """It is there, though it did not accept: nothing is wrong with the origin."""
    FAILED = "failed"
    ASKED = "asked"
    """It wants to be left alone for a while."""


NEXT_SLOTS: Final[Mapping[Signal, Callable[[int], int]]] = MappingProxyType(
    {
        Signal.ACCEPTED: lambda slots: slots + 1,
        Signal.ANSWERED: lambda slots: slots,
        Signal.FAILED: lambda slots: slots // 2,
        Signal.ASKED: lambda _: 0,
    }
)
"""The controller of an origin: how many slots it has after a signal, from how many it had. None at all is a pause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A signal with its attempt's times; `pause` is how long the origin asked to be left alone, for `cause`.

    `answered` is whether there was an answer at all, whatever it said.
    """

    signal: Signal
    begun: Instant
    ended: Instant
    answered: bool = True
    pause: Span = Span(0)
    cause: Cause = Cause.FAILING


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotPolicy:
    """`most` slots while all is well; an origin that fails is paused for `first_pause`.

    For one that does not answer at all that doubles up to `longest_pause`, until it has failed for `patience`: from then on
    a probe is the one try that each of those which wait gets before it is given up.
    """

    most: int
    first_pause: Span
    longest_pause: Span
    patience: Span

    def pause(self, word: Word, failures: int, failing_since: Instant) -> Span:
        """After so many pauses in a row."""
        if word.answered or word.ended - failing_since > self.patience:
            return self.first_pause
        return Span(min(self.first_pause << min(failures, 16), max(self.longest_pause, self.first_pause)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """`spent_until` is the instant at which the budget will be whole again (a virtual schedule: one column, no refill job).

    `failures` counts pauses in a row; while it is not zero one probe at a time is let through. `slots` is an origin's, None
    for as many as are configured. `paused_at` is when a failure last took something away. `failing_since` is when an origin
    began to fail, and a key to be refused.
    """

    name: LaneName
    spent_until: Instant = Instant(0)
    paused_until: Instant = Instant(0)
    paused_at: Instant = Instant(0)
    failures: int = 0
    slots: int | None = None
    failing_since: Instant | None = None
    cause: Cause | None = None

    def held_back(self, now: Instant) -> bool:
        """Whether the origin has less than it is configured for."""
        return self.slots is not None or now < self.paused_until

    def room(self, most: int, now: Instant) -> int:
        """How many attempts may be under way at this origin: none while it is paused, one when that is over."""
        if now < self.paused_until:
            return 0
        return most if self.slots is None else max(1, min(self.slots, most))

    def state(self, now: Instant) -> OriginState:
        if self.cause is not Cause.PROBING and now < self.paused_until:
            return OriginState.PAUSED
        if self.slots is None:
            return OriginState.OPEN
        return OriginState.SLOWED if self.slots else OriginState.PROBING

    @property
    def to_be_probed(self) -> bool:
        return self.slots == 0

    def probed(self, until: Instant) -> "Lane":
        """Held for the one attempt that is under way, until its answer is there or cannot come any more."""
        return replace(self, paused_until=until, cause=Cause.PROBING)

    def after_word(self, word: Word, policy: SlotPolicy) -> "Lane":
        """What an attempt begun before the last step down says is part of what led to it: it may lengthen a pause, no more."""
        if word.signal is Signal.ASKED:
            return self._asked(word)
        if word.begun < self.paused_at or self._rests_through(word):
            return self
        slots = min(NEXT_SLOTS[word.signal](self.room(policy.most, self.paused_until)), policy.most)
        if word.signal is not Signal.FAILED:
            whole = slots == policy.most
            return replace(
                self,
                slots=None if whole else slots,
                cause=None if whole else Cause.RECOVERING,
                paused_until=Instant(0),
                failures=0,
                failing_since=None,
            )
        since = self.failing_since or word.ended
        lane = replace(self, slots=slots, paused_at=word.ended, failing_since=since, cause=Cause.FAILING)
        if slots:
            return lane
        pause = policy.pause(word, self.failures, since)
        return replace(lane, failures=self.failures + 1, paused_until=Instant(word.ended + pause))

    def _rests_through(self, word: Word) -> bool:
        """What was asked for is kept whatever else is said; a pause of our own ends early for an origin that is back."""
        resting = word.ended < self.paused_until and self.cause is not Cause.PROBING
        return resting and (word.signal is Signal.FAILED or self.cause is not Cause.FAILING)

    def _asked(self, word: Word) -> "Lane":
        return replace(
            self,
            slots=NEXT_SLOTS[Signal.ASKED](0),
            paused_at=max(self.paused_at, word.ended),
            paused_until=max(self.paused_until, Instant(word.ended + word.pause)),
            failing_since=self.failing_since or word.ended,
            cause=word.cause,
        )

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
        return replace(self, failures=failures, paused_at=now, paused_until=until, failing_since=None)

    def after_refusal(self, begun: Instant, now: Instant, asked: Span | None) -> "Lane":
        """CAMB does not know the key, or not as one that may ask: waiting alone will not put that right."""
        since = now if self.failing_since is None else self.failing_since
        return replace(self.after_failure(begun, now, asked, UNAUTHORIZED_PAUSE), failing_since=since)

    def after_answer(self, begun: Instant) -> "Lane":
        """An answer to a request begun after the pause ends it; an older one proves nothing."""
        if begun < self.paused_at:
            return self
        return replace(self, failures=0, paused_until=Instant(0), failing_since=None)


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
