"""What an answer does to a task, and to each registration that waits for it.

Verdicts on a registration (`registration.expired`, `task.lost`) are not verdicts on its task: that goes on for the others.
"""

from dataclasses import dataclass, replace
from typing import Any, assert_never

from relay.domain.envelope import Window, terminal_body, type_of, verdict_body
from relay.domain.ids import RegistrationId, TaskRef
from relay.domain.instants import Instant, Span
from relay.domain.registrations import EventType, Registration
from relay.domain.tasks import (
    Poll,
    PollResult,
    TaskChange,
    TaskReport,
    TaskState,
    UpstreamError,
    after_change,
)
from relay.domain.traces import TraceContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """CAMB's job, as the last answers left it. It stands in its queue while `next_at` is set."""

    ref: TaskRef
    client: str
    kind: str
    task_id: str
    state: TaskState
    next_at: Instant | None
    leased_until: Instant | None
    fence: int
    paced_from: Instant
    polls: int = 0
    not_found: int = 0
    """404s so far, of which `not_found_before` came before the last other answer, at `last_other_at`."""
    not_found_before: int = 0
    last_other_at: Instant | None = None
    verdict_from: Instant | None = None
    """The latest expiry so far: a poll begun after it decides on every expired registration."""
    last_poll_at: Instant | None = None
    last_poll_result: PollResult | None = None
    last_poll_http_status: int | None = None
    last_pending_at: Instant | None = None
    first_terminal_at: Instant | None = None

    @property
    def window(self) -> Window:
        return Window(
            last_seen_pending_at=self.last_pending_at, first_seen_terminal_at=self.first_terminal_at
        )

    def polled(self, poll: Poll, next_at: Instant) -> "Task":
        """The task after `poll`; while it goes on it is due again at `next_at`."""
        answer = poll.answer
        changes: dict[str, Any] = {}
        if isinstance(answer, TaskReport):
            changes = {"not_found_before": self.not_found, "last_other_at": poll.ended_at}
            if answer.ending is None:
                changes["last_pending_at"] = poll.begun_at
        elif answer.result is PollResult.NOT_FOUND:
            changes = {"not_found": self.not_found + 1}
        elif answer.http_status is not None:
            changes = {"not_found_before": self.not_found, "last_other_at": poll.ended_at}
        return replace(
            self,
            leased_until=None,
            polls=self.polls + 1,
            last_poll_at=poll.ended_at,
            last_poll_result=answer.result,
            last_poll_http_status=answer.http_status,
            **changes,
            **self._next(poll, next_at),
        )

    def _next(self, poll: Poll, next_at: Instant) -> dict[str, Any]:
        """When it is due again, if at all, and whether an expiry still waits for a poll."""
        if isinstance(poll.answer, TaskReport) and poll.answer.ending is not None:
            state = after_change(self.state, poll.answer.ending)
            return {"state": state, "next_at": None, "verdict_from": None, "first_terminal_at": poll.ended_at}
        if self.verdict_from is None:
            return {"next_at": next_at}
        if poll.begun_at < self.verdict_from:  # it left too early to decide: look again at once
            return {"next_at": poll.ended_at}
        return {"next_at": next_at, "verdict_from": None if conclusive(poll) else self.verdict_from}

    def left(self) -> "Task":
        """Nobody watches any more: it is idle, and polled no more."""
        state = after_change(self.state, TaskChange.LEFT)
        return replace(self, state=state, next_at=None, leased_until=None, verdict_from=None)

    def due_for_verdict(self, expired_at: Instant, now: Instant) -> "Task":
        """A registration expired: look once more, begun after that moment."""
        asked = expired_at if self.verdict_from is None else max(self.verdict_from, expired_at)
        if self.leased_until is not None or self.next_at is None:
            return replace(self, verdict_from=asked)
        return replace(self, verdict_from=asked, next_at=min(self.next_at, now))


@dataclass(frozen=True, slots=True, kw_only=True)
class LostRule:
    """Given up as lost after `answers` 404s in a row that span at least `grace`."""

    answers: int
    grace: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """A registration that waits, and how many 404s its task had seen before it came."""

    registration: Registration
    not_found_before: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """That a registration got its event, decided at `at`."""

    registration: RegistrationId
    client: str
    type: EventType
    at: Instant
    trace: TraceContext | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a registration is to be told, decided at `at`."""

    registration: Registration
    type: EventType
    body: bytes
    at: Instant

    @property
    def announced(self) -> Announced:
        wanted = self.registration
        return Announced(
            registration=wanted.id, client=wanted.client, type=self.type, at=self.at, trace=wanted.trace
        )


def conclusive(poll: Poll) -> bool:
    """Whether CAMB said anything about the task; 404 counts, trouble with the key or the server does not."""
    match poll.answer:
        case TaskReport():
            return True
        case UpstreamError(result=result):
            return result is PollResult.NOT_FOUND
        case _:
            assert_never(poll.answer)


def verdict(
    task: Task, poll: Poll, watcher: Watcher, *, lost: LostRule, base_url: str, last_payload: bytes | None
) -> Verdict | None:
    """What `poll`, which left the task as `task`, means for one registration; None while it goes on waiting."""
    registration = watcher.registration
    if isinstance(poll.answer, TaskReport) and poll.answer.ending is not None:
        return ended(task, registration, poll.answer, at=poll.ended_at, base_url=base_url)
    if conclusive(poll) and registration.expires_at <= poll.begun_at:
        return expired(task, registration, at=poll.ended_at, last_payload=last_payload)
    if poll.answer.result is PollResult.NOT_FOUND and _is_lost(task, watcher, poll.ended_at, lost):
        return _ours(
            EventType.TASK_LOST, task, registration, poll.ended_at, not_found_hint(task.kind), last_payload
        )
    return None


def may_decide(task: Task, poll: Poll, lost: LostRule) -> bool:
    """Whether `poll` can mean anything for the registrations of the task it was made for, so that they must be read."""
    if (
        task.verdict_from is not None
    ):  # whoever expired before the poll began need not wait for those who did later
        return True
    match poll.answer:
        case TaskReport():
            return poll.answer.ending is not None
        case UpstreamError(result=result):
            return (
                result is PollResult.NOT_FOUND and task.not_found + 1 - task.not_found_before >= lost.answers
            )
        case _:
            assert_never(poll.answer)


def ended(
    task: Task, registration: Registration, report: TaskReport, *, at: Instant, base_url: str
) -> Verdict:
    """CAMB's word, decided at `at`: at once, or when somebody registers on a task that had ended before."""
    seen = task.first_terminal_at
    body = terminal_body(
        registration, report, task.window, at=at if seen is None else seen, base_url=base_url
    )
    return Verdict(registration=registration, type=type_of(report), body=body, at=at)


def expired(task: Task, registration: Registration, *, at: Instant, last_payload: bytes | None) -> Verdict:
    message = "the registration expired before CAMB reported an end of the task"
    return _ours(EventType.REGISTRATION_EXPIRED, task, registration, at, message, last_payload)


def not_found_hint(kind: str) -> str:
    return f"not found under kind {kind}; was it another kind?"


def _is_lost(task: Task, watcher: Watcher, now: Instant, rule: LostRule) -> bool:
    counted = task.not_found - max(task.not_found_before, watcher.not_found_before)
    since = max(watcher.registration.created_at, task.last_other_at or 0)
    return counted >= rule.answers and now - since >= rule.grace


def _ours(
    type_: EventType,
    task: Task,
    registration: Registration,
    at: Instant,
    message: str,
    last_payload: bytes | None,
) -> Verdict:
    body = verdict_body(type_, registration, task.window, at=at, message=message, last_payload=last_payload)
    return Verdict(registration=registration, type=type_, body=body, at=at)
