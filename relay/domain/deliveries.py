"""An event's way to its URL: what one try came to, and what follows from it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

from relay.domain.instants import Instant, Span
from relay.domain.pacing import spread

GONE: Final = 410
TOO_MANY_REQUESTS: Final = 429


class DeadReason(StrEnum):
    EXHAUSTED = "exhausted"
    GONE = "gone"
    BLOCKED = "blocked"


class Failure(StrEnum):
    """Why no answer was read."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    PROTOCOL = "protocol"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    http_status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """An answer outside 2xx; `retry_after` is what it asked for, if anything sensible."""

    http_status: int
    retry_after: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """No answer; `detail` is for a person and names no address."""

    failure: Failure
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """The guard refused by `rule`; `final` where the URL itself is at fault, so that no later try can differ."""

    rule: str
    final: bool


Outcome = Accepted | Rejected | Unreachable | Blocked


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One HTTP try; `answer` is the beginning of what came back."""

    started_at: Instant
    duration: Span
    outcome: Outcome
    answer: bytes = b""

    @property
    def ended_at(self) -> Instant:
        return Instant(self.started_at + self.duration)

    @property
    def http_status(self) -> int | None:
        match self.outcome:
            case Accepted(http_status=status) | Rejected(http_status=status):
                return status
            case Unreachable() | Blocked():
                return None
            case _:
                assert_never(self.outcome)

    @property
    def label(self) -> str:
        """A word for metrics and logs, out of a closed set."""
        match self.outcome:
            case Accepted():
                return "accepted"
            case Rejected():
                return "rejected"
            case Unreachable(failure=failure):
                return failure.value
            case Blocked():
                return "blocked"
            case _:
                assert_never(self.outcome)

    @property
    def error(self) -> str | None:
        match self.outcome:
            case Accepted():
                return None
            case Rejected(http_status=status):
                return f"the callback answered {status}"
            case Unreachable(failure=failure, detail=detail):
                return f"{failure.value}: {detail}"
            case Blocked(rule=rule):
                return f"blocked: {rule}"
            case _:
                assert_never(self.outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Try again at `at`; where `lane_until` is set, nothing else goes to that origin before it."""

    at: Instant
    lane_until: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    reason: DeadReason
    lane_until: Instant | None = None


Decision = Delivered | Retry | Dead


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """`schedule` holds the waits after each failed try; past its end the delivery is dead."""

    schedule: tuple[Span, ...]
    jitter: float
    retry_after_ceiling: Span
    pause_without_retry_after: Span

    def decide(self, attempt: Attempt, *, tries: int, chance: float) -> Decision:
        """`tries` counts this round's recorded attempts, this one included; `chance` is uniform in [0, 1)."""
        match attempt.outcome:
            case Accepted():
                return Delivered()
            case Rejected(http_status=status) if status == GONE:
                return Dead(reason=DeadReason.GONE)
            case Blocked(final=True):
                return Dead(reason=DeadReason.BLOCKED)
            case Rejected(http_status=status, retry_after=asked):
                return self._again(attempt.ended_at, tries, chance, self._pause(status, asked))
            case Unreachable() | Blocked():
                return self._again(attempt.ended_at, tries, chance, None)
            case _:
                assert_never(attempt.outcome)

    def _pause(self, status: int, asked: Span | None) -> Span | None:
        if asked is not None:
            return min(asked, self.retry_after_ceiling)
        return self.pause_without_retry_after if status == TOO_MANY_REQUESTS else None

    def _again(self, now: Instant, tries: int, chance: float, pause: Span | None) -> Decision:
        lane_until = None if pause is None else Instant(now + pause)
        if tries > len(self.schedule):
            return Dead(reason=DeadReason.EXHAUSTED, lane_until=lane_until)
        at = Instant(now + spread(self.schedule[tries - 1], self.jitter, chance))
        return Retry(at=at if lane_until is None else max(at, lane_until), lane_until=lane_until)
