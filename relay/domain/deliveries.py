"""An event's way to its URL: what one try came to, and what follows from it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

from relay.domain.instants import Instant, Span
from relay.domain.lanes import Cause, Signal, Word
from relay.domain.pacing import spread

REQUEST_TIMEOUT: Final = 408
GONE: Final = 410
TOO_MANY_REQUESTS: Final = 429
SERVER_ERRORS: Final = 500


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
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    reason: DeadReason


Decision = Delivered | Retry | Dead


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """`schedule` holds the waits after each failed try; past its end the delivery is dead."""

    schedule: tuple[Span, ...]
    jitter: float
    retry_after_ceiling: Span
    pause_without_retry_after: Span

    @property
    def patience(self) -> Span:
        """How long a delivery waits for an origin that fails without a break: the whole schedule, and a pause asked for."""
        return Span(sum(self.schedule) + self.retry_after_ceiling)

    def decide(self, attempt: Attempt, *, tries: int, chance: float) -> Decision:
        """`tries` counts this round's recorded attempts, this one included; `chance` is uniform in [0, 1)."""
        match attempt.outcome:
            case Accepted():
                return Delivered()
            case Rejected(http_status=status) if status == GONE:
                return Dead(reason=DeadReason.GONE)
            case Blocked(final=True):
                return Dead(reason=DeadReason.BLOCKED)
            case Rejected() | Unreachable() | Blocked():
                return self._again(attempt, tries, chance)
            case _:
                assert_never(attempt.outcome)

    def word(self, attempt: Attempt) -> Word | None:
        """What the attempt says about its origin; None where nothing was asked of it."""
        match attempt.outcome:
            case Accepted():
                signal = Signal.ACCEPTED
            case Rejected(http_status=status) if status == GONE:
                # It says something about the registration, and nothing against the origin.
                signal = Signal.ANSWERED
            case Rejected(http_status=status, retry_after=asked) if asked or status == TOO_MANY_REQUESTS:
                return self._asked(attempt, asked)
            case Rejected(http_status=status):
                failed = status >= SERVER_ERRORS or status == REQUEST_TIMEOUT
                signal = Signal.FAILED if failed else Signal.ANSWERED
            case Unreachable():
                return Word(
                    signal=Signal.FAILED, begun=attempt.started_at, ended=attempt.ended_at, answered=False
                )
            case Blocked():
                return None
            case _:
                assert_never(attempt.outcome)
        return Word(signal=signal, begun=attempt.started_at, ended=attempt.ended_at)

    def _asked(self, attempt: Attempt, asked: Span | None) -> Word:
        return Word(
            signal=Signal.ASKED,
            begun=attempt.started_at,
            ended=attempt.ended_at,
            pause=min(asked, self.retry_after_ceiling) if asked else self.pause_without_retry_after,
            cause=Cause.RETRY_AFTER if asked else Cause.TOO_MANY_REQUESTS,
        )

    def _again(self, attempt: Attempt, tries: int, chance: float) -> Decision:
        if tries > len(self.schedule):
            return Dead(reason=DeadReason.EXHAUSTED)
        word = self.word(attempt)
        pause = Span(0) if word is None else word.pause
        # The later of the two: whoever always asks for a second must not use up a schedule meant for days.
        wait = max(spread(self.schedule[tries - 1], self.jitter, chance), pause)
        return Retry(at=Instant(attempt.ended_at + wait))
