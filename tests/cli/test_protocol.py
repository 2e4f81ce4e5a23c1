"""How much of a head the server reads."""

import asyncio

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.server import ServerState

from relay.cli.protocol import MAX_HEAD, BoundedProtocol

LARGE = 3 * MAX_HEAD


class Wire(asyncio.Transport):
    """What a read brings is up to the kernel: here it is up to the test."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = b""
        self.wrote = asyncio.Event()
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)
        self.wrote.set()

    def close(self) -> None:
        self._closing = True

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    async def answer(self) -> bytes:
        """The body of the next answer."""
        async with asyncio.timeout(5):
            while b"\r\n\r\n" not in self.written or self.written.endswith(b"\r\n\r\n"):
                self.wrote.clear()
                await self.wrote.wait()
        body = self.written.partition(b"\r\n\r\n")[2]
        self.written = b""
        return body


async def _length(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


def _connected() -> tuple[BoundedProtocol, Wire]:
    app = Starlette(routes=[Route("/", _length, methods=["POST"])])
    config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None)
    config.load()
    protocol, wire = BoundedProtocol(config, ServerState(), {}), Wire()
    protocol.connection_made(wire)
    return protocol, wire


def _request(length: int) -> bytes:
    return b"POST / HTTP/1.1\r\nhost: relay\r\ncontent-length: %d\r\n\r\n" % length + b" " * length


async def test_a_body_larger_than_a_head_may_be_is_read_though_it_comes_in_one_piece_with_its_head() -> None:
    protocol, wire = _connected()

    answers = []
    for _ in range(2):
        protocol.data_received(_request(LARGE))
        answers.append(await wire.answer())

    assert answers == [str(LARGE).encode()] * 2
    protocol.connection_lost(None)


async def test_the_last_piece_of_a_body_counts_for_no_head() -> None:
    protocol, wire = _connected()
    whole = _request(LARGE)
    protocol.data_received(whole[:100])

    protocol.data_received(whole[100:])
    first = await wire.answer()
    protocol.data_received(_request(5))
    second = await wire.answer()

    assert (first, second) == (str(LARGE).encode(), b"5")
    protocol.connection_lost(None)


async def test_a_head_that_is_too_large_is_answered_431_and_the_connection_closed() -> None:
    protocol, wire = _connected()
    protocol.data_received(b"POST / HTTP/1.1\r\nx-long: ")

    protocol.data_received(b"x" * MAX_HEAD)

    assert wire.written.startswith(b"HTTP/1.1 431 ")
    assert wire.is_closing()
    protocol.connection_lost(None)
