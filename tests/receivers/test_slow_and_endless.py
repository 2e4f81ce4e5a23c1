"""Receivers that never come to an end: each costs its deadline at most, and as much memory as is kept of its answer."""

import asyncio
from typing import Final

import pytest

from relay.domain.deliveries import Accepted, Attempt, Failure, Rejected, Unreachable
from relay.domain.instants import MILLISECOND
from tests.receivers.calling import calling
from tests.sockets import Answer, Exchange, Script, dripping, hanging, listening, pouring

DEADLINE: Final = "PT0.3S"
TIMEOUT: Final = Unreachable(failure=Failure.TIMEOUT, detail="no answer within 0.3 s")
NOT_HTTP: Final = Unreachable(failure=Failure.PROTOCOL, detail="the answer was not proper HTTP")
KEPT: Final = 4_096
IN_BUFFERS: Final = 32_000_000
"""More than the system and both ends of a connection hold for a reader that has stopped."""
WITHIN: Final = 10.0

OK: Final = b"HTTP/1.1 200 OK\r\n\r\n"
BROKEN: Final = b"HTTP/1.1 500 Broken\r\n\r\n"
CHUNKED: Final = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


async def call(said: Answer) -> Attempt:
    """One attempt, after which the receiver was hung up on."""
    async with listening(said) as server, calling(DEADLINE) as caller:
        async with asyncio.timeout(WITHIN):
            attempt = await caller.call(server.origin)
            await server.hung_up.wait()
        assert len(server.received) == server.connections == 1
    return attempt


NEVER_A_HEAD: Final[dict[str, Answer]] = {
    "silence": hanging(),
    "half a status line": hanging(b"HTTP/1.1 2"),
    "half a head": hanging(b"HTTP/1.1 200 OK\r\nx: y\r\n"),
    "a status line that drips": dripping(b"HTTP/1.1 200 ", every=0.05),
    "a header that drips": dripping(b"HTTP/1.1 200 OK\r\nx: ", every=0.05),
    "headers that drip": dripping(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n", every=0.05),
    "a 1xx every now and then": dripping(b"", b"HTTP/1.1 102 Processing\r\n\r\n", every=0.05),
}


@pytest.mark.parametrize("said", NEVER_A_HEAD.values(), ids=NEVER_A_HEAD)
async def test_a_head_that_never_ends_costs_the_deadline_however_often_a_byte_comes(said: Answer) -> None:
    async with listening(said) as server, calling(DEADLINE) as caller:
        attempt = await asyncio.wait_for(caller.call(server.origin), WITHIN)

    assert attempt.outcome == TIMEOUT
    assert 300 * MILLISECOND <= attempt.duration < 3_000 * MILLISECOND


FLOODED_HEADS: Final[dict[str, Answer]] = {
    "1xx": pouring(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000),
    "early hints": pouring(b"", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 1_000),
    "1xx that drip": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n", every=0.005),
    "one reason": pouring(b"HTTP/1.1 200 ", b"y" * 65_536),
    "one header": pouring(b"HTTP/1.1 200 OK\r\nx: ", b"y" * 65_536),
    "many headers": pouring(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 10_000),
    "folded headers": pouring(b"HTTP/1.1 200 OK\r\nx: y\r\n", b" y\r\n" * 10_000),
    "empty lines": pouring(b"", b"\r\n" * 10_000),
}


@pytest.mark.parametrize("said", FLOODED_HEADS.values(), ids=FLOODED_HEADS)
async def test_a_flood_ahead_of_the_answer_is_cut_off_long_before_the_deadline(said: Answer) -> None:
    async with listening(said) as server, calling("PT20S") as caller:
        async with asyncio.timeout(WITHIN):
            attempt = await caller.call(server.origin)
            await server.hung_up.wait()

    assert attempt.outcome == NOT_HTTP


DRIPPING_BODIES: Final[dict[str, tuple[bytes, bytes]]] = {
    "of no length": (OK, b"x"),
    "of a length": (b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", b"x"),
    "in chunks": (CHUNKED, b"1\r\nx\r\n"),
    "within a chunk": (CHUNKED + b"fffff\r\n", b"x"),
    "after the last chunk": (CHUNKED + b"1\r\nx\r\n0\r\n", b"x: y\r\n"),
}


@pytest.mark.parametrize(("head", "drop"), DRIPPING_BODIES.values(), ids=DRIPPING_BODIES)
async def test_a_body_that_drips_is_left_at_the_deadline_and_takes_no_answer_back(
    head: bytes, drop: bytes
) -> None:
    accepted = await call(dripping(head, drop, every=0.05))
    rejected = await call(dripping(head.replace(b"200 OK", b"500 No"), drop, every=0.05))

    assert (accepted.outcome, rejected.outcome) == (Accepted(http_status=200), Rejected(http_status=500))
    assert set(accepted.answer) == {ord("x")}
    assert 300 * MILLISECOND <= accepted.duration < 3_000 * MILLISECOND


def counting(written: list[int], head: bytes, flood: bytes) -> Script:
    """Write the head, then the flood for ever, and how much of it was taken."""

    async def script(exchange: Exchange) -> None:
        await exchange.write(head)
        while not exchange.ended.is_set():
            await exchange.write(flood)
            written.append(len(flood))

    return script


ENDLESS_BODIES: Final[dict[str, tuple[bytes, bytes, bytes]]] = {
    "of no length": (OK, b"x" * 65_536, b"x" * KEPT),
    "of a failure": (BROKEN, b"x" * 65_536, b"x" * KEPT),
    "of the greatest length": (
        b"HTTP/1.1 200 OK\r\ncontent-length: 9223372036854775807\r\n\r\n",
        b"x" * 65_536,
        b"x" * KEPT,
    ),
    "in large chunks": (CHUNKED, b"10000\r\n" + b"x" * 65_536 + b"\r\n", b"x" * KEPT),
    "in chunks of a byte": (CHUNKED, b"1\r\nx\r\n" * 1_000, b"x" * KEPT),
    "in one chunk's extension": (CHUNKED + b"1;", b"x" * 65_536, b""),
    "in trailers": (CHUNKED + b"0\r\n", b"x: y\r\n" * 10_000, b""),
    "after a 204": (b"HTTP/1.1 204 No Content\r\n\r\n", b"x" * 65_536, b""),
}


@pytest.mark.parametrize(("head", "flood", "kept"), ENDLESS_BODIES.values(), ids=ENDLESS_BODIES)
async def test_an_endless_body_is_read_to_its_bound_and_then_hung_up_on(
    head: bytes, flood: bytes, kept: bytes
) -> None:
    written: list[int] = []

    attempt = await call(counting(written, head, flood))

    assert attempt.http_status == int(head.split()[1])
    assert attempt.answer == kept
    assert sum(written) < IN_BUFFERS


async def test_a_receiver_that_does_not_read_is_left_at_the_deadline() -> None:
    over = asyncio.Event()

    async def never_read(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # what start_server hands over is a Transport
        await over.wait()
        writer.close()

    async with await asyncio.start_server(never_read, "127.0.0.1", 0) as server, calling(DEADLINE) as caller:
        port = server.sockets[0].getsockname()[1]
        attempt = await asyncio.wait_for(caller.call(f"http://127.0.0.1:{port}/"), WITHIN)
        over.set()

    assert attempt.outcome == TIMEOUT
