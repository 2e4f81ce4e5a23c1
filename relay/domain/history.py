"""All that is known of one registration, and what the relay goes by: what a timeline is made of."""

from dataclasses import dataclass

from relay.domain.deliveries import DeadReason, RetryPolicy
from relay.domain.instants import Instant, Span
from relay.domain.lanes import Lane
from relay.domain.registrations import EventType, Registration
from relay.domain.watching import LostRule, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """An attempt on record; `round` is None in old rows, `pause` is how long it asked to be left alone."""

    number: int
    round: int | None
    started_at: Instant
    duration: Span
    outcome: str
    http_status: int | None
    error: str | None
    pause: Span | None

    @property
    def ended_at(self) -> Instant:
        return Instant(self.started_at + self.duration)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`position` is its place in its client's order. Without a delivery it is pulled only."""

    type: EventType
    created_at: Instant
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification(Event):
    """An event and its delivery; `tried` holds the newest attempts, oldest first, and `left_out` counts the others.

    `failures` are this round's recorded ones, `attempts` all rounds'; `round_at` is None in the first round and in old rows.
    """

    round: int
    round_at: Instant | None
    attempts: int
    failures: int
    next_at: Instant | None
    leased_until: Instant | None
    ended_at: Instant | None
    delivered_at: Instant | None
    dead_reason: DeadReason | None
    tried: tuple[Tried, ...] = ()
    left_out: int = 0
    lane: Lane | None = None

    @property
    def begun_at(self) -> Instant | None:
        """When this round began."""
        return self.created_at if self.round == 1 else self.round_at

    @property
    def last(self) -> Tried | None:
        """The newest attempt of this round."""
        newest = self.tried[-1] if self.tried else None
        return None if newest is None or self.round_of(newest) < self.round else newest

    def round_of(self, attempt: Tried) -> int:
        """Old rows do not say; those of this round are as many as its failures, and the one that was accepted."""
        this_round = self.failures + (self.delivered_at is not None)
        return attempt.round or (self.round if attempt.number > self.attempts - this_round else 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """`status` and `run_id` are CAMB's last word, `key_lane` is the client's CAMB key's.

    `verdict_at` is when it expires, or until when one more poll is awaited; None once the watching is over.
    """

    registration: Registration
    closed_at: Instant | None
    verdict_at: Instant | None
    task: Task
    status: str | None = None
    run_id: int | None = None
    key_lane: Lane | None = None
    event: Event | None = None

    @property
    def notification(self) -> Notification | None:
        """The event, where it is to be delivered."""
        return self.event if isinstance(self.event, Notification) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the relay goes by, and how things stand with it at `now`; `slots` are an origin's while all is well."""

    retry: RetryPolicy
    slots: int
    lost: LostRule
    now: Instant
    configured: bool = True
    """Whether the client is."""
    clock_halted: bool = False
