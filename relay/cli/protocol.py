"""uvicorn's HTTP protocol with bounds: left alone it takes heads, trailers, waiting requests and connections without end."""

import asyncio
from typing import Final

import orjson
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from relay.api.event_stream import ABORT
from relay.api.problems import CONTENT_TYPE, RETRY_AFTER_SECONDS, problem

MAX_CONNECTIONS: Final = 4_096
"""Open connections of one port, idle ones among them."""
MAX_HEAD: Final = 64 * 1024
"""Bytes of request line and headers, and of a chunk's extension or trailers, over whole reads: one that the head begins
or ends in may hold a body too."""
HEAD_SECONDS: Final = 10.0
REST_SECONDS: Final = 60.0
"""For what follows a head. Whoever reads a body gives it less time; what nobody reads must end as well."""
MAX_PIPELINED: Final = 64
"""Requests of one connection that wait for the answer to the one before."""
UNREAD_SECONDS: Final = 60.0
"""For the other side to read what it was answered."""

_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


def _no_room() -> bytes:
    detail = f"this process has {MAX_CONNECTIONS} connections open; send the same request again in a moment"
    body = orjson.dumps(problem(503, detail))
    return (
        b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n"
        b"content-type: %b\r\nretry-after: %d\r\ncontent-length: %d\r\n\r\n%b"
        % (CONTENT_TYPE.encode(), RETRY_AFTER_SECONDS, len(body), body)
    )


class TooManyWait(Exception):
    """Answered 400 by uvicorn, as whatever goes wrong in its parser."""


class BoundedProtocol(HttpToolsProtocol):
    """A head that is too large is answered 431, and a connection too many 503; who takes too long is hung up on."""

    _in_head = True
    _head = 0
    _turned = False
    """A head or a message came to its end in this read, or there was some of a body: it counts for no head then."""
    _late: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _answered: RequestResponseCycle | None = None
    """The request that is being answered, of which uvicorn loses sight once another one waits behind it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self.transport.write(_no_room())
            self.transport.close()
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._done_waiting()
        self._was_read()
        super().connection_lost(exc)
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()

    def data_received(self, data: bytes) -> None:
        self._turned = False
        super().data_received(data)
        if self._turned:
            return
        self._head += len(data)
        if self._head > MAX_HEAD and not self.transport.is_closing():
            if self._in_head:
                self.transport.write(_TOO_LARGE)
                self.transport.close()
            else:
                self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        self._was_read()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Aborts, for a connection that is closed stays open until the last answer was read."""
        self.transport.abort()

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            raise TooManyWait
        if self._late is None:
            self._expect_head()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Trailers come this way too, and would be kept beside the headers."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_is_there()
        self._late = self.loop.call_later(REST_SECONDS, self.transport.abort)
        self.scope["extensions"] = {ABORT: {"abort": self.transport.abort}}
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head, self._turned = 0, True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head, self._head, self._turned = True, 0, True
        self._done_waiting()
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _expect_head(self) -> None:
        self._in_head = True
        self._late = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _head_is_there(self) -> None:
        self._in_head, self._head, self._turned = False, 0, True
        self._done_waiting()

    def _done_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _was_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
