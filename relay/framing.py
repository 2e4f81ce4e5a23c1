"""Where an answer begins and ends on a connection: one to a request, and no more around it than there may be."""

import asyncio
import re
import select
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError

MAX_HEADS: Final = 16
"""The final answer and the 1xx before it, in one exchange."""
FRAMING_BYTES: Final = 65_536
FRAMING_SHARE: Final = 16
"""What may come around a body: so much, and so many bytes for each of its own; a chunk of one byte takes five."""

_INTERIM: Final = frozenset({100, *range(102, 200)})  # after 101 nothing follows
_END_OF_HEAD: Final = re.compile(rb"\n\r?\n")
_CARRIED: Final = 2  # as much of an end of head as may have come with the read before


class Answers(ResponseHandler):
    """Hands aiohttp's parser one head at a time.

    Left alone, the parser forgets an answer whose head came in one read with bytes it cannot make sense of, as a 204
    with a body does, though the status had been told. It also takes 1xx and a chunk's extension without end, keeps a
    reader waiting for the rest of a body that is already known to be broken, and on an idle connection takes an answer
    nobody asked for, which the next request would get.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._in_head = False
        self._heads = 0
        self._carried = b""
        self._body: aiohttp.StreamReader | None = None
        self._after_head = 0

    def is_connected(self) -> bool:
        """Asked before an idle connection is used again.

        What can be read from it now is its end, which the loop has not come to yet, or an answer nobody asked for:
        a request sent into that is lost, and costs an attempt.
        """
        if self.transport is None or self.transport.is_closing():
            return False
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket"), select.POLLIN)
        return not poll.poll(0)

    def set_response_params(self, **params: Any) -> None:  # noqa: ANN401 - passed on as aiohttp has them
        self._in_head = True
        self._heads = 0
        self._carried = b""
        self._body = None
        self._after_head = 0
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        while self._in_head and data:
            window = self._carried + data
            end = _END_OF_HEAD.search(window)
            if end is None:
                self._carried = window[-_CARRIED:]
                break
            if self._heads == MAX_HEADS:
                self._drop()
                return
            self._heads += 1
            cut = end.end() - len(self._carried)
            self._carried = b""
            self._parse(data[:cut])
            data = data[cut:]
        if data:
            self._parse(data)

    def feed_data(self, data: tuple[RawResponseMessage, aiohttp.StreamReader], size: int = 0) -> None:
        if not self._in_head:
            self._drop()
            return
        if data[0].code in _INTERIM:
            return
        self._in_head = False
        self._body = data[1]
        super().feed_data(data, size)

    def _parse(self, data: bytes) -> None:
        if self._body is not None:
            self._after_head += len(data)
            if self._body.is_eof():
                self._drop()
                return
        super().data_received(data)
        if self._body is None or self._body.is_eof():
            return
        if self._after_head > FRAMING_BYTES + FRAMING_SHARE * self._body.total_bytes:
            self._drop()
        if self.exception() is not None:
            self._body.set_exception(aiohttp.ClientPayloadError())

    def _drop(self) -> None:
        self.close()
        self.set_exception(HttpProcessingError(message="an answer nobody asked for"))
