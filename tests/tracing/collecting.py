"""What a collector reads in the requests it was sent."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

SERVER: Final = Span.SPAN_KIND_SERVER
CLIENT: Final = Span.SPAN_KIND_CLIENT
INTERNAL: Final = Span.SPAN_KIND_INTERNAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A span, its ids in hex; `links` are spans' ids, `lasted` is in microseconds."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent: str
    state: str
    flags: int
    begun_at: int
    lasted: float
    attributes: dict[str, str | int]
    links: tuple[str, ...]
    failed: bool
    resource: dict[str, str | int]


def seen_in(bodies: Iterable[bytes]) -> list[Seen]:
    """Every span, in the order they were sent."""
    return [
        Seen(
            name=span.name,
            kind=span.kind,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            state=span.trace_state,
            flags=span.flags,
            begun_at=span.start_time_unix_nano // 1_000,
            lasted=(span.end_time_unix_nano - span.start_time_unix_nano) / 1_000,
            attributes=_read(span.attributes),
            links=tuple(link.span_id.hex() for link in span.links),
            failed=span.status.code == Status.STATUS_CODE_ERROR,
            resource=_read(whole.resource.attributes),
        )
        for body in bodies
        for whole in ExportTraceServiceRequest.FromString(body).resource_spans
        for scoped in whole.scope_spans
        for span in scoped.spans
    ]


def _read(attributes: Iterable[KeyValue]) -> dict[str, str | int]:
    return {
        each.key: each.value.string_value
        if each.value.WhichOneof("value") == "string_value"
        else each.value.int_value
        for each in attributes
    }
