"""What of the work becomes a span: ids of our own, words, numbers and hosts; no path, query, body, task's name or address."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from relay.domain.deliveries import Attempt
from relay.domain.ids import event_id_of
from relay.domain.tasks import Poll, PollResult
from relay.domain.traces import TraceContext, event_span_id
from relay.domain.urls import parse_callback_url
from relay.domain.watching import Announced
from relay.storage.deliveries import ClaimedDelivery
from relay.storage.polls import ClaimedPoll
from relay.tracing.spans import Span, SpanKind
from relay.tracing.tracer import Tracer

MOST_LINKS: Final = 16
"""Of a poll, to registrations that share it."""

_FINE: Final = frozenset({PollResult.PENDING, PollResult.TERMINAL, PollResult.UNKNOWN_STATUS})
_PORTS: Final = {"http": 80, "https": 443}


def keep_poll(tracer: Tracer, row: ClaimedPoll, poll: Poll, base_url: str) -> tuple[TraceContext, ...]:
    """A span under the oldest traced registration that waits for the task, linked to others; answers with its place, if any."""
    if not row.traces:
        return ()
    first, *others = row.traces
    place = tracer.below(first)
    result = poll.answer.result
    parts = urlsplit(base_url)
    tracer.keep(
        Span(
            name="poll",
            kind=SpanKind.CLIENT,
            context=place,
            parent=first.span_id,
            begun_at=poll.begun_at,
            ended_at=poll.ended_at,
            attributes={
                "relay.client": row.client,
                "relay.kind": row.kind,
                "relay.poll.result": result.value,
                "http.request.method": "GET",
                "url.scheme": parts.scheme,
                "server.address": parts.hostname or "",
                "server.port": parts.port or _PORTS[parts.scheme],
                **_status(poll.answer.http_status),
            },
            links=tuple(others),
            error=None if result in _FINE else result.value,
        )
    )
    return (place,)


def keep_events(
    tracer: Tracer, announced: Iterable[Announced], because: tuple[TraceContext, ...] = ()
) -> None:
    """Each under its registration, wherever that is traced, with a link to the poll that decided it."""
    for each in announced:
        if each.trace is not None and tracer.makes(each.trace):
            tracer.keep(
                Span(
                    name=f"event {each.type}",
                    kind=SpanKind.INTERNAL,
                    context=each.trace.with_span(event_span_id(each.registration)),
                    parent=each.trace.span_id,
                    begun_at=each.at,
                    ended_at=tracer.now(),
                    attributes={
                        "relay.registration.id": each.registration,
                        "relay.event.id": event_id_of(each.registration),
                        "relay.event.type": each.type.value,
                    },
                    links=because,
                )
            )


def keep_attempt(tracer: Tracer, row: ClaimedDelivery, place: TraceContext | None, attempt: Attempt) -> None:
    """Under its event, at the place that the callback was told."""
    if place is None or not tracer.makes(place):
        return
    url = parse_callback_url(row.callback_url)
    tracer.keep(
        Span(
            name="attempt",
            kind=SpanKind.CLIENT,
            context=place,
            parent=event_span_id(row.registration),
            begun_at=attempt.started_at,
            ended_at=attempt.ended_at,
            attributes={
                "relay.client": row.client,
                "relay.registration.id": row.registration,
                "relay.event.id": row.event,
                "relay.event.type": row.type.value,
                "relay.attempt": row.number,
                "relay.attempt.outcome": attempt.label,
                "http.request.method": "POST",
                "url.scheme": url.scheme,
                "server.address": url.host,
                "server.port": url.port,
                **_resent(row.number),
                **_status(attempt.http_status),
            },
            error=_error(attempt),
        )
    )


def _resent(number: int) -> dict[str, int]:
    return {} if number == 1 else {"http.request.resend_count": number - 1}


def _status(http_status: int | None) -> dict[str, int]:
    return {} if http_status is None else {"http.response.status_code": http_status}


def _error(attempt: Attempt) -> str | None:
    """OpenTelemetry's words for an HTTP client: the status where there is one."""
    if attempt.error is None:
        return None
    return attempt.label if attempt.http_status is None else str(attempt.http_status)
