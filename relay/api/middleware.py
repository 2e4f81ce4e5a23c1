"""Plain ASGI around the whole application: a request id, and no exception that gets past it unseen."""

import re
from collections.abc import Callable
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relay.api.problems import problem, respond

_GIVEN_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

_log = structlog.get_logger()


class RequestContext:
    """Takes the caller's `x-request-id` or makes one, answers with it, and binds it to every log line of the request."""

    def __init__(self, app: ASGIApp, *, new_id: Callable[[], str]) -> None:
        self._app = app
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _GIVEN_ID.fullmatch(given) else self._new_id()
        scope["request_id"] = request_id
        answered = False

        async def send_with_id(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:
                # Broad, for it is the last: the caller gets a document, the operator the traceback.
                _log.exception("request.failed", method=scope["method"])
                if answered:
                    raise
                detail = "the fault was logged under this request's id"
                response = respond(problem(500, detail, request_id=request_id), {})
                await response(scope, receive, send_with_id)
