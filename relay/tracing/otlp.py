"""Spans in OTLP, https://opentelemetry.io/docs/specs/otlp: imported only where there is a collector, for it is an extra."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from relay import __version__
from relay.domain.traces import TraceContext
from relay.tracing.spans import Span

_NANOSECONDS: Final = 1_000  # in a microsecond


class Codec:
    """`instance` tells this process from the others of its service."""

    def __init__(self, service: str, instance: str) -> None:
        described = {"service.name": service, "service.version": __version__, "service.instance.id": instance}
        self._resource = Resource(attributes=_attributes(described))
        self._scope = InstrumentationScope(name="camb-relay", version=__version__)

    def request(self, spans: Sequence[Span]) -> bytes:
        scoped = ScopeSpans(scope=self._scope, spans=map(_message, spans))
        whole = ResourceSpans(resource=self._resource, scope_spans=[scoped])
        return ExportTraceServiceRequest(resource_spans=[whole]).SerializeToString()

    def rejected(self, answer: bytes) -> int:
        """How many spans of a request that it took the collector did not take."""
        try:
            return ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans
        except DecodeError:  # the status said that it was taken
            return 0


def _message(span: Span) -> Message:
    context = span.context
    return Message(
        trace_id=bytes.fromhex(context.trace_id),
        span_id=bytes.fromhex(context.span_id),
        trace_state=context.tracestate or "",
        flags=context.flags,
        parent_span_id=b"" if span.parent is None else bytes.fromhex(span.parent),
        name=span.name,
        kind=Message.SpanKind.ValueType(span.kind),
        start_time_unix_nano=span.begun_at * _NANOSECONDS,
        end_time_unix_nano=span.ended_at * _NANOSECONDS,
        attributes=_attributes(
            span.attributes if span.error is None else {**span.attributes, "error.type": span.error}
        ),
        links=map(_link, span.links),
        status=None if span.error is None else Status(code=Status.STATUS_CODE_ERROR),
    )


def _link(context: TraceContext) -> Message.Link:
    return Message.Link(
        trace_id=bytes.fromhex(context.trace_id),
        span_id=bytes.fromhex(context.span_id),
        trace_state=context.tracestate or "",
        flags=context.flags,
    )


def _attributes(values: Mapping[str, str | int]) -> Iterable[KeyValue]:
    return [
        KeyValue(
            key=key,
            value=AnyValue(string_value=value) if isinstance(value, str) else AnyValue(int_value=value),
        )
        for key, value in values.items()
    ]
