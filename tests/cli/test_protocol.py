"""How much of a head the server reads."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from relay.api.event_stream import ABORT
from relay.api.requests import BODY_SECONDS
from relay.cli.protocol import (
    HEAD_SECONDS,
    MAX_CONNECTIONS,
    MAX_HEAD,
    MAX_PIPELINED,
    REST_SECONDS,
    UNREAD_SECONDS,
    BoundedProtocol,
)
from relay.cli.serving import KEEP_ALIVE_SECONDS, configured
from relay.settings import Settings

LARGE = 3 * MAX_HEAD
GET = b"GET / HTTP/1.1\r\nhost: relay\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: relay\r\ntransfer-encoding: chunked\r\n\r\n"


class Wire(asyncio.Transport):
    """What a read brings is up to the kernel: here it is up to the test."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = b""
        self.wrote = asyncio.Event()
        self.aborted = asyncio.Event()
        self._closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)
        self.wrote.set()

    def close(self) -> None:
        self._closing = True

    def abort(self) -> None:
        self.aborted.set()
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


class Endless:
    """An answer that goes on until its caller leaves, or it is told to cut itself off."""

    def __init__(self) -> None:
        self.begun, self.over = asyncio.Event(), asyncio.Event()
        self.cut_off: Callable[[], object] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.cut_off = scope["extensions"][ABORT]["abort"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        self.begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        self.over.set()


class Hours:
    """A loop whose timers go off when the test says so."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timers: list[tuple[float, asyncio.TimerHandle, Callable[[], object]]] = []

    def call_later(self, delay: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        handle = self._loop.call_later(3_600, callback)
        self._timers.append((delay, handle, callback))
        return handle

    def create_task(self, work: Coroutine[Any, Any, None], **more: Any) -> asyncio.Task[None]:  # noqa: ANN401 - as a loop has it
        return self._loop.create_task(work, **more)

    def pass_(self, seconds: float) -> None:
        """Whatever was to happen within that time happens, unless it was called off."""
        for delay, handle, callback in self._timers:
            if delay <= seconds and not handle.cancelled():
                callback()


def _connected(
    state: ServerState | None = None, *, hours: Hours | None = None, endless: Endless | None = None
) -> tuple[BoundedProtocol, Wire]:
    app = Starlette(routes=[Route("/", _length, methods=["POST"]), Route("/endless", endless or _length)])
    config = configured(app, Settings())
    config.load()
    protocol, wire = BoundedProtocol(config, state or ServerState(), {}), Wire()
    if hours is not None:
        protocol.loop = cast("asyncio.AbstractEventLoop", hours)
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


async def test_a_connection_too_many_is_answered_503_with_a_problem_and_closed() -> None:
    state = ServerState()
    open_ = [_connected(state) for _ in range(MAX_CONNECTIONS)]

    refused_protocol, refused = _connected(state)
    refused_protocol.connection_lost(None)
    open_[0][0].connection_lost(None)
    _, next_one = _connected(state)

    head, _, body = refused.written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"content-type: application/problem+json" in head
    assert b"retry-after: 2" in head
    assert orjson.loads(body)["status"] == 503
    assert refused.is_closing()
    assert open_[-1][1].written == next_one.written == b""


async def test_a_head_that_takes_too_long_is_hung_up_on() -> None:
    hours = Hours()
    protocol, wire = _connected(hours=hours)
    protocol.data_received(GET[:10])

    hours.pass_(HEAD_SECONDS - 1)
    early = wire.aborted.is_set()
    hours.pass_(HEAD_SECONDS)

    assert (early, wire.aborted.is_set()) == (False, True)
    protocol.connection_lost(None)


async def test_a_body_that_nobody_reads_must_end_as_well() -> None:
    hours = Hours()
    protocol, wire = _connected(hours=hours)
    protocol.data_received(GET.replace(b"\r\n\r\n", b"\r\ncontent-length: 10\r\n\r\n"))

    hours.pass_(BODY_SECONDS)
    early = wire.aborted.is_set()
    hours.pass_(REST_SECONDS)

    assert (early, wire.aborted.is_set()) == (False, True)
    protocol.connection_lost(None)


async def test_a_request_that_is_there_in_time_is_not_hung_up_on() -> None:
    hours = Hours()
    protocol, wire = _connected(hours=hours)
    protocol.data_received(_request(5))
    await wire.answer()

    hours.pass_(REST_SECONDS)

    assert not wire.aborted.is_set()
    protocol.connection_lost(None)


async def test_trailers_are_not_kept() -> None:
    protocol, wire = _connected()
    protocol.data_received(CHUNKED + b"1\r\n \r\n0\r\n")
    headers = protocol.headers

    protocol.data_received(b"x-trailer: 1\r\n" * 1_000 + b"\r\n")

    assert await wire.answer() == b"1"
    assert len(headers) == 2
    protocol.connection_lost(None)


@pytest.mark.parametrize("piece", [b"x-trailer: 1\r\n" * 100, b"x" * 1_000], ids=["many", "one"])
@pytest.mark.parametrize("begun", [CHUNKED + b"0\r\nx", CHUNKED + b"1;x="], ids=["trailers", "extension"])
async def test_what_is_neither_head_nor_body_is_hung_up_on_where_it_has_no_end(
    begun: bytes, piece: bytes
) -> None:
    protocol, wire = _connected()
    protocol.data_received(begun)

    sent = 0
    while not wire.is_closing() and sent <= 2 * MAX_HEAD:
        protocol.data_received(piece)
        sent += len(piece)

    assert wire.is_closing()
    assert sent <= MAX_HEAD + len(piece)
    protocol.connection_lost(None)


async def test_only_so_many_requests_wait_on_one_connection() -> None:
    protocol, wire = _connected()

    protocol.data_received(GET * (MAX_PIPELINED + 1))
    taken = len(protocol.pipeline), wire.is_closing()
    protocol.data_received(GET * 1_000)

    assert taken == (MAX_PIPELINED, False)
    assert len(protocol.pipeline) == MAX_PIPELINED
    assert wire.written.startswith(b"HTTP/1.1 400 ")
    assert wire.is_closing()
    protocol.connection_lost(None)


async def test_who_does_not_read_an_answer_is_hung_up_on() -> None:
    hours = Hours()
    protocol, wire = _connected(hours=hours)
    protocol.data_received(_request(5))
    await wire.answer()
    protocol.pause_writing()
    protocol.resume_writing()

    hours.pass_(UNREAD_SECONDS)
    after_reading = wire.aborted.is_set()
    protocol.pause_writing()
    hours.pass_(UNREAD_SECONDS)

    assert (after_reading, wire.aborted.is_set()) == (False, True)
    protocol.connection_lost(None)


@pytest.mark.parametrize("behind", [b"", GET, GET * 3], ids=["nothing", "a request", "requests"])
async def test_an_endless_answer_lives_on_until_its_caller_leaves(behind: bytes) -> None:
    hours, endless = Hours(), Endless()
    protocol, wire = _connected(hours=hours, endless=endless)
    protocol.data_received(b"GET /endless HTTP/1.1\r\nhost: relay\r\n\r\n" + behind)
    async with asyncio.timeout(5):
        await endless.begun.wait()

    hours.pass_(3_600)
    lived_on = (wire.aborted.is_set(), endless.over.is_set())
    protocol.connection_lost(None)
    async with asyncio.timeout(5):
        await endless.over.wait()

    assert lived_on == (False, False)


async def test_an_endless_answer_can_cut_itself_off() -> None:
    endless = Endless()
    protocol, wire = _connected(endless=endless)
    protocol.data_received(b"GET /endless HTTP/1.1\r\nhost: relay\r\n\r\n")
    async with asyncio.timeout(5):
        await endless.begun.wait()
    assert endless.cut_off is not None

    endless.cut_off()

    assert wire.aborted.is_set()
    protocol.connection_lost(None)
    async with asyncio.timeout(5):
        await endless.over.wait()


async def test_an_idle_connection_goes_although_its_last_answer_was_not_read() -> None:
    hours = Hours()
    protocol, wire = _connected(hours=hours)
    protocol.data_received(_request(5))
    await wire.answer()

    hours.pass_(KEEP_ALIVE_SECONDS - 1)
    early = wire.aborted.is_set()
    hours.pass_(KEEP_ALIVE_SECONDS)

    assert (early, wire.aborted.is_set()) == (False, True)
    protocol.connection_lost(None)
