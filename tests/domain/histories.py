"""Histories that a relay can come to, made by its own rules."""

from dataclasses import dataclass, replace
from typing import Final

from hypothesis import strategies as st

from relay.domain.deliveries import (
    Accepted,
    Attempt,
    Blocked,
    Dead,
    Delivered,
    Failure,
    Outcome,
    Rejected,
    Retry,
    RetryPolicy,
    Unreachable,
)
from relay.domain.history import Event, History, Notification, Terms, Tried
from relay.domain.instants import DAY, HOUR, MINUTE, SECOND, Instant, Span
from relay.domain.lanes import Cause, Lane, LaneName, origin_lane
from relay.domain.registrations import EventType
from relay.domain.tasks import PollResult, TaskState
from relay.domain.watching import LostRule
from tests.domain.samples import NOON, REGISTRATION, TASK

POLICY: Final = RetryPolicy(
    schedule=(Span(5 * SECOND), Span(5 * MINUTE), Span(2 * HOUR)),
    jitter=0.1,
    retry_after_ceiling=Span(24 * HOUR),
    pause_without_retry_after=Span(5 * SECOND),
)
TERMS: Final = Terms(retry=POLICY, slots=8, lost=LostRule(answers=3, grace=Span(10 * MINUTE)), now=NOON)
OUTCOMES: Final[tuple[Outcome, ...]] = (
    Rejected(http_status=503),
    Rejected(http_status=429),
    Rejected(http_status=503, retry_after=Span(HOUR)),
    Rejected(http_status=410),
    Unreachable(failure=Failure.DNS, detail="no such name"),
    Blocked(rule="loopback", final=False),
    Blocked(rule="loopback", final=True),
    Accepted(http_status=204),
)
REGISTRATION_LANE: Final = origin_lane(REGISTRATION.client, "https://shop.example")
_spans = st.integers(0, 3 * HOUR)
_chances = st.floats(0, 1, exclude_max=True)


def tried(attempt: Attempt, number: int, round_: int | None, policy: RetryPolicy = POLICY) -> Tried:
    """As its row holds it."""
    word = policy.word(attempt)
    return Tried(
        number=number,
        round=round_,
        started_at=attempt.started_at,
        duration=attempt.duration,
        outcome=attempt.label,
        http_status=attempt.http_status,
        error=attempt.error,
        pause=word.pause if word and word.pause else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watched:
    """A history up to its event, and the moment it has come to."""

    history: History
    now: Instant


@st.composite
def _watched(draw: st.DrawFn) -> _Watched:
    polls = draw(st.integers(0, 5))
    now = Instant(NOON + draw(_spans))
    task = TASK
    if polls:
        result = draw(st.sampled_from([result for result in PollResult if result is not PollResult.TERMINAL]))
        task = replace(
            task, polls=polls, last_poll_at=now, last_poll_result=result, last_poll_http_status=200
        )
        if draw(st.booleans()):
            task = replace(task, last_pending_at=Instant(draw(st.integers(NOON - HOUR, now))))
    due = draw(st.sampled_from([TASK.paced_from, Instant(now + 2 * SECOND)]))
    lease = draw(st.none() | st.just(Instant(now + 25 * SECOND)))
    task = replace(task, next_at=due if lease is None else lease, leased_until=lease)
    key = Lane(name=LaneName("key:1"), paused_until=Instant(now + draw(st.integers(-HOUR, HOUR))))
    expires = REGISTRATION.expires_at
    history = History(
        registration=REGISTRATION,
        closed_at=None,
        verdict_at=draw(st.sampled_from([expires, Instant(expires + 2 * MINUTE)])),
        task=task,
        status=draw(st.sampled_from([None, "PENDING", "{odd}"])),
        key_lane=draw(st.none() | st.just(key)),
    )
    return _Watched(history=history, now=Instant(now + draw(st.sampled_from([0, SECOND, DAY]))))


@st.composite
def _decided(draw: st.DrawFn) -> _Watched:
    """CAMB's word, before the registration or after it, or a verdict of the relay's own."""
    watched = draw(_watched())
    history, now = watched.history, watched.now
    type_ = draw(st.sampled_from([type_ for type_ in EventType if type_ is not EventType.RELAY_TEST]))
    task = history.task
    if type_ in {EventType.TASK_SUCCEEDED, EventType.TASK_FAILED}:
        ended = draw(st.sampled_from([now, Instant(NOON - HOUR)]))
        now = max(ended, NOON)
        state = TaskState.SUCCEEDED if type_ is EventType.TASK_SUCCEEDED else TaskState.FAILED
        task = replace(
            task,
            state=state,
            next_at=None,
            leased_until=None,
            polls=task.polls + 1,
            last_poll_at=ended,
            last_poll_result=PollResult.TERMINAL,
            last_pending_at=draw(st.none() | st.just(Instant(ended - SECOND))),
            first_terminal_at=ended,
        )
    elif draw(st.booleans()):  # somebody else still watches it
        task = replace(task, polls=9, last_poll_at=Instant(now + HOUR), last_poll_result=PollResult.NOT_FOUND)
    event = Notification(
        type=type_,
        created_at=now,
        position=7,
        round=1,
        round_at=None,
        attempts=0,
        failures=0,
        next_at=now,
        leased_until=None,
        ended_at=None,
        delivered_at=None,
        dead_reason=None,
    )
    history = replace(history, task=task, verdict_at=None, status="SUCCESS", event=event)
    return _Watched(history=history, now=now)


def _after(event: Notification, attempt: Attempt, chance: float, *, old: bool) -> Notification:
    number = event.attempts + 1
    row = tried(attempt, number, None if old else event.round)
    decision = POLICY.decide(attempt, tries=event.failures + 1, chance=chance)
    event = replace(event, attempts=number, tried=(*event.tried, row))
    ended = attempt.ended_at
    match decision:
        case Delivered():
            return replace(event, next_at=None, ended_at=ended, delivered_at=ended)
        case Retry(at=at):
            return replace(event, next_at=at, failures=event.failures + 1)
        case Dead(reason=reason):
            return replace(
                event, next_at=None, ended_at=ended, failures=event.failures + 1, dead_reason=reason
            )


@st.composite
def delivered(draw: st.DrawFn) -> tuple[History, Instant]:
    """A history with an event, through rounds of tries, and the moment at which it is looked at."""
    decided = draw(_decided())
    event = decided.history.notification
    assert event is not None
    now = decided.now
    old = draw(st.booleans())
    for _ in range(draw(st.integers(0, 9))):
        if event.next_at is None:
            now = Instant(now + draw(_spans))
            event = replace(
                event,
                round=event.round + 1,
                round_at=None if old else now,
                next_at=now,
                failures=0,
                ended_at=None,
                delivered_at=None,
                dead_reason=None,
            )
            continue
        attempt = Attempt(
            started_at=Instant(max(event.next_at, now) + draw(st.integers(0, SECOND))),
            duration=Span(draw(st.integers(0, 15 * SECOND))),
            outcome=draw(st.sampled_from(OUTCOMES)),
        )
        now = attempt.ended_at
        event = _after(event, attempt, draw(_chances), old=old)
    closed_at = event.ended_at
    if event.next_at is not None:
        match draw(st.sampled_from(["open", "leased", "given back", "cancelled"])):
            case "leased":
                now = max(now, event.next_at)
                lease = Instant(now + 30 * SECOND)
                event = replace(event, next_at=lease, leased_until=lease)
            case "given back":
                event = replace(event, next_at=Instant(now + 1))
            case "cancelled":
                closed_at = Instant(now + 1)
                event = replace(event, next_at=None, ended_at=closed_at)
            case _:
                pass
    now = Instant(now + draw(_spans))
    most = draw(st.integers(1, 9))
    event = replace(
        event,
        tried=event.tried[-most:],
        left_out=max(0, len(event.tried) - most),
        lane=draw(st.none() | lanes(now)),
    )
    return replace(decided.history, closed_at=closed_at, event=event), now


def lanes(now: Instant) -> st.SearchStrategy[Lane]:
    return st.builds(
        Lane,
        name=st.just(REGISTRATION_LANE),
        paused_until=st.integers(now - HOUR, now + HOUR).map(Instant),
        paused_at=st.integers(now - HOUR, now).map(Instant),
        slots=st.none() | st.integers(0, 8),
        failing_since=st.none() | st.just(Instant(now - HOUR)),
        cause=st.none() | st.sampled_from(Cause),
    )


@st.composite
def waiting(draw: st.DrawFn) -> tuple[History, Instant]:
    """A history without an event: still waiting for CAMB's word, or taken back before that."""
    watched = draw(_watched())
    closed_at = draw(st.none() | st.just(Instant(watched.now - draw(st.integers(0, SECOND)))))
    if closed_at is not None:
        return replace(watched.history, closed_at=max(closed_at, NOON), verdict_at=None), watched.now
    return watched.history, watched.now


@st.composite
def published(draw: st.DrawFn) -> tuple[History, Instant]:
    """A history with an event that is pulled only."""
    decided = draw(_decided())
    event = decided.history.event
    assert event is not None
    registration = replace(REGISTRATION, callback_url=None, origin=None)
    alone = Event(type=event.type, created_at=event.created_at, position=event.position)
    history = replace(decided.history, registration=registration, closed_at=event.created_at, event=alone)
    return history, decided.now


HISTORIES: Final = waiting() | delivered() | published()


def terms(now: Instant, *, configured: bool, clock_halted: bool) -> Terms:
    return replace(TERMS, now=now, configured=configured, clock_halted=clock_halted)
