"""The body of a notification: fixed once, when the event is made."""

from dataclasses import dataclass
from typing import Final

import orjson

from relay.domain.instants import Instant, text, text_or_none
from relay.domain.kinds import KINDS
from relay.domain.registrations import EventType, Format, Registration
from relay.domain.tasks import TaskChange, TaskReport

_NULL: Final = b"null"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The task ended between the start of the last poll that saw it pending and the arrival of the answer that ended it."""

    last_seen_pending_at: Instant | None
    first_seen_terminal_at: Instant | None


def type_of(report: TaskReport) -> EventType:
    return EventType.TASK_SUCCEEDED if report.ending is TaskChange.SUCCEEDED else EventType.TASK_FAILED


def terminal_body(
    registration: Registration, report: TaskReport, window: Window, *, at: Instant, base_url: str
) -> bytes:
    """What CAMB's word becomes; under `raw`, CAMB's bytes as they came. `base_url` is the one the task was polled at."""
    if registration.format is Format.RAW:
        return report.payload
    path = None if report.run_id is None else KINDS[registration.kind].result_path(report.run_id)
    return _render(
        type_of(report),
        at,
        {
            "task_id": registration.task_id,
            "kind": registration.kind,
            "status": report.status,
            "run_id": report.run_id,
            "exception_reason": report.exception_reason,
            "message": orjson.Fragment(report.message),
            "result_url": None if path is None else base_url + path,
            **_ours(registration, window),
            "payload": orjson.Fragment(report.payload),
        },
    )


def verdict_body(
    type_: EventType,
    registration: Registration,
    window: Window,
    *,
    at: Instant,
    message: str,
    last_payload: bytes | None,
) -> bytes:
    """What the relay decided by itself, in either format: `status` is null, for it is always CAMB's word."""
    return _render(
        type_,
        at,
        {
            "task_id": registration.task_id,
            "kind": registration.kind,
            "status": None,
            "run_id": None,
            "exception_reason": None,
            "message": message,
            "result_url": None,
            **_ours(registration, window),
            "payload": orjson.Fragment(last_payload or _NULL),
        },
    )


def test_body(at: Instant) -> bytes:
    """The fields of every notification, with nothing in them."""
    return _render(
        EventType.RELAY_TEST,
        at,
        {
            "task_id": None,
            "kind": None,
            "status": None,
            "run_id": None,
            "exception_reason": None,
            "message": "This is a test; no task stands behind it.",
            "result_url": None,
            "registration_id": None,
            "metadata": None,
            "last_seen_pending_at": None,
            "first_seen_terminal_at": None,
            "payload": None,
        },
    )


def _ours(registration: Registration, window: Window) -> dict[str, object]:
    return {
        "registration_id": registration.id,
        "metadata": orjson.Fragment(registration.metadata),
        "last_seen_pending_at": text_or_none(window.last_seen_pending_at),
        "first_seen_terminal_at": text_or_none(window.first_seen_terminal_at),
    }


def _render(type_: EventType, at: Instant, data: dict[str, object]) -> bytes:
    return orjson.dumps({"type": type_, "timestamp": text(at), "data": data})
