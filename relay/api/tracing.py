"""Where a request stands in its caller's trace."""

from dataclasses import dataclass, field
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relay.domain.traces import TraceContext, parse_trace_context
from relay.tracing.spans import Span, SpanKind
from relay.tracing.tracer import Tracer

_KEY: Final = "trace"
_UNKNOWN: Final = 401
_SERVER_ERRORS: Final = 500


@dataclass(slots=True)
class RequestTrace:
    """`context` is the request's own span where one is made, its caller's otherwise; `attributes` are for that span."""

    context: TraceContext | None
    attributes: dict[str, str | int] = field(default_factory=dict)


def trace_of(scope: Scope) -> RequestTrace:
    """What Traced has found."""
    found: RequestTrace = scope[_KEY]
    return found


class Traced:
    """Plain ASGI around a route: each of its POSTs is a span, but for those of strangers, who shall cost nothing."""

    def __init__(self, app: ASGIApp, *, tracer: Tracer, path: str) -> None:
        self._app = app
        self._tracer = tracer
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        caller = _caller(scope)
        trace = scope[_KEY] = RequestTrace(self._tracer.begin(caller))
        if trace.context is None or not self._tracer.makes(trace.context):
            await self._app(scope, receive, send)
            return
        begun_at, status = self._tracer.now(), _SERVER_ERRORS

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            if status != _UNKNOWN:
                self._tracer.keep(
                    Span(
                        name=f"POST {self._path}",
                        kind=SpanKind.SERVER,
                        context=trace.context,
                        parent=None if caller is None else caller.span_id,
                        begun_at=begun_at,
                        ended_at=self._tracer.now(),
                        attributes={
                            "http.request.method": "POST",
                            "http.route": self._path,
                            "url.scheme": scope["scheme"],
                            "url.path": self._path,
                            "http.response.status_code": status,
                            **trace.attributes,
                        },
                        error=str(status) if status >= _SERVER_ERRORS else None,
                    )
                )


def _caller(scope: Scope) -> TraceContext | None:
    headers = scope["headers"]
    parents = [value.decode("latin-1") for name, value in headers if name == b"traceparent"]
    if not parents:
        return None
    return parse_trace_context(
        parents, [value.decode("latin-1") for name, value in headers if name == b"tracestate"]
    )
