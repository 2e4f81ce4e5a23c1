"""Views as they go over the wire."""

from typing import Any

import orjson

from relay.api.schemas import (
    AttemptResource,
    DeliveryResource,
    EventResource,
    LastPoll,
    RegistrationResource,
    TaskResource,
)
from relay.domain.deliveries import Attempt
from relay.domain.instants import MILLISECOND, text, text_or_none
from relay.domain.tasks import PollResult
from relay.domain.watching import not_found_hint
from relay.storage.views import AttemptView, DeliveryView, EventView, RegistrationView, TaskView


def registration_resource(view: RegistrationView) -> dict[str, Any]:
    """A RegistrationResource as data, with the event's body spliced in as it stands."""
    registration = view.registration
    resource = RegistrationResource(
        id=registration.id,
        task_id=registration.task_id,
        kind=registration.kind,
        callback_url=registration.callback_url,
        format=registration.format,
        state=view.state,
        metadata={},
        created_at=text(registration.created_at),
        expires_at=text(registration.expires_at),
        trace_id=None if registration.trace is None else registration.trace.trace_id,
        task=_task(view.task, registration.kind),
        event=None if view.event is None else _event(view.event),
        delivery=None if view.delivery is None else _delivery(view.delivery),
    ).model_dump()
    resource["metadata"] = orjson.Fragment(registration.metadata)
    if view.event is not None and view.event.body is not None:
        resource["event"]["body"] = orjson.Fragment(view.event.body)
    return resource


def attempt_resource(view: AttemptView) -> AttemptResource:
    return AttemptResource(
        number=view.number,
        at=text(view.started_at),
        duration_ms=view.duration / MILLISECOND,
        outcome=view.outcome,
        http_status=view.http_status,
        error=view.error,
        answer=view.answer.decode(errors="replace"),
    )


def test_attempt_resource(attempt: Attempt) -> AttemptResource:
    return attempt_resource(
        AttemptView(
            fence=1,
            number=1,
            started_at=attempt.started_at,
            duration=attempt.duration,
            outcome=attempt.label,
            http_status=attempt.http_status,
            error=attempt.error,
            answer=attempt.answer,
        )
    )


def _task(view: TaskView, kind: str) -> TaskResource:
    last_poll = None
    if view.last_poll_at is not None and view.last_poll_result is not None:
        last_poll = LastPoll(
            at=text(view.last_poll_at),
            result=view.last_poll_result,
            http_status=view.last_poll_http_status,
            hint=not_found_hint(kind) if view.last_poll_result is PollResult.NOT_FOUND else None,
        )
    return TaskResource(
        state=view.state.value,
        status=view.status,
        run_id=view.run_id,
        polls=view.polls,
        last_poll=last_poll,
        next_poll_at=text_or_none(view.next_at),
    )


def _event(view: EventView) -> EventResource:
    return EventResource(id=view.id, type=view.type, created_at=text(view.created_at))


def _delivery(view: DeliveryView) -> DeliveryResource:
    return DeliveryResource(
        attempts=view.attempts,
        last_http_status=view.last_http_status,
        last_error=view.last_error,
        next_attempt_at=text_or_none(view.next_at),
        delivered_at=text_or_none(view.delivered_at),
        dead_reason=None if view.dead_reason is None else view.dead_reason.value,
    )
