"""uvicorn's HTTP protocol with an end to a request's head: httptools takes one of any size, for as long as it lasts."""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD: Final = 64 * 1024
"""Bytes of request line and headers, over whole reads: one that the head begins or ends in may hold a body too."""
HEAD_SECONDS: Final = 10.0

_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


class BoundedProtocol(HttpToolsProtocol):
    """A head that is too large is answered 431, one that takes too long is not answered."""

    _in_head = True
    _head = 0
    _turned = False
    """A head or a message came to its end in this read, which counts for no head then."""
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_there()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._turned = False
        super().data_received(data)
        if self._in_head and not self._turned:
            self._head += len(data)
            if self._head > MAX_HEAD and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        if self._late is None:
            self._expect_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_is_there()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head, self._head, self._turned = True, 0, True
        super().on_message_complete()

    def _expect_head(self) -> None:
        self._in_head = True
        self._late = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _head_is_there(self) -> None:
        self._in_head, self._head, self._turned = False, 0, True
        if self._late is not None:
            self._late.cancel()
            self._late = None
