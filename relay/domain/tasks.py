"""CAMB's job as we see it: what one answer means, and the states a task goes through."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import orjson

from relay.domain.errors import BrokenRule
from relay.domain.instants import Instant, Span

SUCCEEDED_WORDS: Final = frozenset({"SUCCESS"})
FAILED_WORDS: Final = frozenset({"ERROR", "FAILED", "TIMEOUT", "PAYMENT_REQUIRED"})
PENDING_WORDS: Final = frozenset({"PENDING"})
MAX_RUN_ID: Final = 2**63 - 1

_NULL: Final = b"null"


class TaskState(StrEnum):
    WATCHING = "watching"
    IDLE = "idle"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class TaskChange(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LEFT = "left"
    """Nobody watches it any more."""
    WATCHED = "watched"
    """Somebody registered."""


TASK_TRANSITIONS: Final[Mapping[tuple[TaskState, TaskChange], TaskState]] = MappingProxyType(
    {
        (TaskState.WATCHING, TaskChange.SUCCEEDED): TaskState.SUCCEEDED,
        (TaskState.WATCHING, TaskChange.FAILED): TaskState.FAILED,
        (TaskState.WATCHING, TaskChange.LEFT): TaskState.IDLE,
        (TaskState.WATCHING, TaskChange.WATCHED): TaskState.WATCHING,
        (TaskState.IDLE, TaskChange.WATCHED): TaskState.WATCHING,
        (TaskState.SUCCEEDED, TaskChange.WATCHED): TaskState.SUCCEEDED,
        (TaskState.FAILED, TaskChange.WATCHED): TaskState.FAILED,
    }
)

TERMINAL_STATES: Final = frozenset({TaskState.SUCCEEDED, TaskState.FAILED})


def after_change(state: TaskState, change: TaskChange) -> TaskState:
    """Raises BrokenRule where the table has no such transition."""
    try:
        return TASK_TRANSITIONS[state, change]
    except KeyError:
        raise BrokenRule(f"a task that is {state} cannot be {change}") from None


class PollResult(StrEnum):
    """What one poll came to; the label of its metric and `last_poll.result`."""

    PENDING = "pending"
    UNKNOWN_STATUS = "unknown_status"
    TERMINAL = "terminal"
    NOT_FOUND = "not_found"
    UNAUTHORIZED = "unauthorized"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    UNEXPECTED_STATUS = "unexpected_status"
    INVALID = "invalid"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReport:
    """A status body that could be read. `message` is JSON text, `payload` CAMB's bytes as they came."""

    status: str | None
    run_id: int | None
    exception_reason: str | None
    message: bytes
    payload: bytes
    http_status: int = 200

    @property
    def ending(self) -> TaskChange | None:
        """The change this answer makes, None while the task goes on. Only `status` decides."""
        match (self.status or "").upper():
            case word if word in SUCCEEDED_WORDS:
                return TaskChange.SUCCEEDED
            case word if word in FAILED_WORDS:
                return TaskChange.FAILED
            case _:
                return None

    @property
    def result(self) -> PollResult:
        if self.ending is not None:
            return PollResult.TERMINAL
        if (self.status or "").upper() in PENDING_WORDS:
            return PollResult.PENDING
        return PollResult.UNKNOWN_STATUS


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamError:
    """An answer that says nothing about the task, or no answer; `retry_after` is what CAMB asked for."""

    result: PollResult
    http_status: int | None = None
    retry_after: Span | None = None


PollAnswer = TaskReport | UpstreamError


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """One finished status request: when it left, when its answer was there, and what it said."""

    begun_at: Instant
    ended_at: Instant
    answer: PollAnswer


def parse_report(body: bytes) -> TaskReport | None:
    """Read a status body in any of its known shapes: an object, a bare string, a list of one of them; None if none fits.

    What passes here can be spliced into an envelope: orjson has accepted every byte of it.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        value = {"status": value}
    if not isinstance(value, dict):
        return None
    try:
        message = orjson.dumps(value.get("message"))
    except orjson.JSONEncodeError:  # nested deeper than it can be written again; the payload still has it
        message = _NULL
    return TaskReport(
        status=_text(value.get("status")),
        run_id=_run_id(value.get("run_id")),
        exception_reason=_text(value.get("exception_reason")),
        message=message,
        payload=body,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _run_id(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MAX_RUN_ID else None
