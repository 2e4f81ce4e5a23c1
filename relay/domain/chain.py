"""A causal chain of steps for a person to read: each says what happened, when, and because of what."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from relay.domain.instants import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Instant

Fact = str | int | None


class What(StrEnum):
    REGISTERED = "registered"
    POLLED = "polled"
    TIME_OVER = "time-over"
    """The registration's time is over, and one more answer of CAMB's is awaited."""
    SEEN = "seen"
    LOST = "lost"
    EXPIRED = "expired"
    AVAILABLE = "available"
    QUEUED = "queued"
    LEFT_OUT = "left-out"
    """Older attempts that the chain does not name."""
    TRIED = "tried"
    REDELIVERED = "redelivered"
    HELD = "held"
    NEXT_POLL = "next-poll"
    NEXT_TRY = "next-try"
    DELIVERED = "delivered"
    DEAD = "dead"
    CANCELLED = "cancelled"


PLANNED: Final = frozenset({What.NEXT_POLL, What.NEXT_TRY})


class Rule(StrEnum):
    """What a step follows from beside the step before it."""

    REQUEST = "request"
    """Somebody asked for it."""
    AT_ONCE = "at-once"
    """What is new is due at once."""
    PACE = "pace"
    KEY = "key"
    """The client's CAMB key is paused."""
    LEASE = "lease"
    """A worker has it: nobody else takes it up before the lease is over."""
    CLIENT = "client"
    """The client is not configured: its work is kept and left alone."""
    CLOCK = "clock"
    """The clock has jumped: on its word nothing expires."""
    HEALING = "healing"
    """What must never be is looked for once a minute and put right."""
    TERMINAL = "terminal"
    """Only CAMB's word ends a task."""
    LOST = "lost"
    EXPIRY = "expiry"
    PULLED = "pulled"
    """There is no callback: whoever wants the event fetches it."""
    RETRY_SCHEDULE = "retry-schedule"
    RETRY_AFTER = "retry-after"
    """The answer asked for a rest that is longer than the schedule's wait."""
    GIVEN_BACK = "given-back"
    """A process that stopped, or one that started, made it due."""
    LANE = "lane"
    """Its origin is paused, or has fewer slots than are configured."""
    BOUND = "bound"
    """A chain is only so long."""
    ACCEPTED = "accepted"
    """Any 2xx accepts."""
    EXHAUSTED = "exhausted"
    GONE = "gone"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`at` is None where nobody knows; `because` is the place of an earlier step in its chain, `rule` what follows from it."""

    what: What
    at: Instant | None
    detail: str
    because: int | None = None
    rule: Rule | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)

    @property
    def planned(self) -> bool:
        return self.what in PLANNED


class Chain:
    """Steps in the order in which they caused each other; none is shown before the one it stands behind.

    Replicas' clocks differ by milliseconds, which would otherwise put an attempt before its event.
    """

    def __init__(self) -> None:
        self._steps: list[Step] = []
        self._latest = Instant(0)

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(self._steps)

    def add(
        self,
        what: What,
        at: Instant | None,
        detail: str,
        *,
        because: int | None = None,
        rule: Rule | None = None,
        **facts: Fact,
    ) -> int:
        """The place of the new step."""
        if at is not None:
            at = self._latest = max(at, self._latest)
        self._steps.append(Step(what=what, at=at, detail=detail, because=because, rule=rule, facts=facts))
        return len(self._steps) - 1


_SPOKEN: Final = (
    (5 * DAY, DAY, "d"),
    (2 * HOUR, HOUR, "h"),
    (2 * MINUTE, MINUTE, "min"),
    (SECOND, SECOND, "s"),
)
"""From which length on which unit is spoken of."""


def spoken(span: int) -> str:
    """A length of time for a person, as `120 ms`, `90 s` or `75 h`."""
    for least, unit, name in _SPOKEN:
        if span >= least:
            return f"{round(span / unit)} {name}"
    return f"{round(span / MILLISECOND)} ms"


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
