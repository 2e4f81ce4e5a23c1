"""What was done, when, and where in which trace."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from relay.domain.instants import Instant
from relay.domain.traces import TraceContext


class SpanKind(IntEnum):
    """In OTLP's numbers."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something that is over; `error` is OpenTelemetry's `error.type`, None where it went well."""

    name: str
    kind: SpanKind
    context: TraceContext
    parent: str | None
    begun_at: Instant
    ended_at: Instant
    attributes: Mapping[str, str | int]
    links: tuple[TraceContext, ...] = ()
    error: str | None = None
