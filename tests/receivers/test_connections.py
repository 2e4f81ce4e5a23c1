"""What receivers do with their connections: reset, half-closed, hung up on in between, answered on ahead of time."""

import asyncio
import socket
import struct
from typing import Final

import pytest

from relay.domain.deliveries import Accepted, Attempt, Failure, Rejected, Unreachable
from tests.receivers.calling import Caller
from tests.relays import RelayInHand
from tests.sockets import (
    ACCEPTED,
    OK,
    Answer,
    Exchange,
    Script,
    SocketServer,
    answer,
    closing,
    in_bytes,
    listening,
)

LOST: Final = Unreachable(failure=Failure.PROTOCOL, detail="the connection was lost")
CLOSED: Final = Unreachable(failure=Failure.PROTOCOL, detail="the connection was closed before an answer")
BROKEN_OFF: Final = Unreachable(failure=Failure.PROTOCOL, detail="the answer was not proper HTTP")
RESET_AT_CLOSE: Final = struct.pack("ii", 1, 0)


def resetting(data: bytes = b"") -> Script:
    """Write, then reset the connection."""

    async def script(exchange: Exchange) -> None:
        await exchange.write(data)
        opened = exchange.writer.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        exchange.writer.transport.abort()

    return script


def half_closing(data: bytes = b"") -> Script:
    """Write, then end this direction alone."""

    async def script(exchange: Exchange) -> None:
        await exchange.write(data)
        exchange.writer.write_eof()
        await exchange.hang()

    return script


CUT_BEFORE_AN_ANSWER: Final[dict[str, tuple[Answer, tuple[Unreachable, ...]]]] = {
    "reset after the request": (resetting(), (LOST,)),
    "reset within the head": (resetting(b"HTTP/1.1 200 OK\r\nx: "), (LOST, BROKEN_OFF)),
    "closed after the request": (closing(b""), (CLOSED,)),
    "closed within the head": (closing(b"HTTP/1.1 200 OK\r\nx: "), (CLOSED, BROKEN_OFF)),
    "half-closed after the request": (half_closing(), (CLOSED,)),
    "half-closed within the head": (half_closing(b"HTTP/1.1 200 OK\r\n"), (CLOSED, BROKEN_OFF)),
}


@pytest.mark.parametrize(("said", "outcomes"), CUT_BEFORE_AN_ANSWER.values(), ids=CUT_BEFORE_AN_ANSWER)
async def test_a_connection_cut_before_the_answer_is_a_failure_sent_once(
    caller: Caller, said: Answer, outcomes: tuple[Unreachable, ...]
) -> None:
    async with listening(said) as server:
        attempt = await asyncio.wait_for(caller.call(server.origin), 10)

    assert attempt.outcome in outcomes
    assert len(server.received) == 1


CUT_AFTER_THE_HEAD: Final[dict[str, Answer]] = {
    "reset": resetting(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok"),
    "half-closed": half_closing(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok"),
    "half-closed at its end": half_closing(OK),
}


@pytest.mark.parametrize("said", CUT_AFTER_THE_HEAD.values(), ids=CUT_AFTER_THE_HEAD)
async def test_a_connection_cut_after_the_head_takes_no_2xx_back(caller: Caller, said: Answer) -> None:
    async with listening(said) as server:
        attempt = await asyncio.wait_for(caller.call(server.origin), 10)

    assert (attempt.outcome, attempt.answer) == (Accepted(http_status=200), b"ok")


async def test_an_answer_in_single_bytes_counts_as_any_other(caller: Caller) -> None:
    async with listening(in_bytes(OK)) as server:
        attempt = await caller.call(server.origin)

    assert (attempt.outcome, attempt.answer) == (Accepted(http_status=200), b"ok")


@pytest.mark.parametrize(
    ("said", "status"), [(OK, 200), (answer("413 Too Large"), 413), (answer("503 Busy"), 503)]
)
async def test_an_answer_before_the_request_was_read_counts(caller: Caller, said: bytes, status: int) -> None:
    """The connection is closed over a request that nobody has read, which resets it."""

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        attempts = [await caller.call(f"http://127.0.0.1:{port}/") for _ in range(20)]

    assert {attempt.http_status for attempt in attempts} == {status}


async def call_twice(caller: Caller, server: SocketServer) -> list[Attempt]:
    return [await caller.call(server.origin) for _ in range(2)]


JUNK_AFTER: Final[dict[str, bytes]] = {
    "another answer": answer("500 Forged"),
    "many answers": answer("500 Forged") * 10,
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "no HTTP at all": b"\x00\xffjunk\r\n\r\n",
}
HALF_AN_ANSWER: Final = b"HTTP/1.1 500 For"


@pytest.mark.parametrize("junk", JUNK_AFTER.values(), ids=JUNK_AFTER)
@pytest.mark.parametrize("said", [OK, ACCEPTED], ids=["200", "204"])
async def test_junk_behind_an_answer_answers_no_later_request(
    caller: Caller, said: bytes, junk: bytes
) -> None:
    async with listening(said + junk, said) as server:
        attempts = await call_twice(caller, server)

    assert {attempt.http_status for attempt in attempts} == {int(said.split()[1])}
    assert len(server.received) == server.connections == 2


async def test_half_an_answer_behind_one_without_a_body_begins_no_later_one(caller: Caller) -> None:
    async with listening(ACCEPTED + HALF_AN_ANSWER, OK) as server:
        attempts = await call_twice(caller, server)

    assert [attempt.http_status for attempt in attempts] == [204, 200]
    assert server.connections == 2


@pytest.mark.parametrize("junk", [*JUNK_AFTER.values(), HALF_AN_ANSWER], ids=[*JUNK_AFTER, "half an answer"])
async def test_an_answer_on_an_idle_connection_answers_no_later_request(caller: Caller, junk: bytes) -> None:
    async with listening(OK) as server:
        first = await caller.call(server.origin)
        server.writers[0].write(junk)
        second = await caller.call(server.origin)

    assert first.outcome == second.outcome == Accepted(http_status=200)
    assert server.connections == 2


async def test_an_idle_connection_that_was_closed_costs_no_attempt(caller: Caller) -> None:
    async with listening(OK) as server:
        first = await caller.call(server.origin)
        server.writers[0].get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        second = await caller.call(server.origin)

    assert first.outcome == second.outcome == Accepted(http_status=200)
    assert len(server.received) == server.connections == 2


async def test_a_receiver_that_hangs_up_after_each_answer_without_a_word_costs_no_attempt(
    caller: Caller,
) -> None:
    async with listening(closing(OK)) as server:
        attempts = [await caller.call(server.origin) for _ in range(20)]

    assert {attempt.outcome for attempt in attempts} == {Accepted(http_status=200)}
    assert len(server.received) == server.connections == 20


async def test_a_kept_connection_cut_under_a_request_costs_one_attempt_and_the_next_one_delivers(
    relay: RelayInHand,
) -> None:
    async with listening(ACCEPTED, resetting(), ACCEPTED) as server:
        first = await relay.register("task-1", f"{server.origin}/1")
        second = await relay.register("task-2", f"{server.origin}/2")
        await relay.pass_to_next("deliveries")
        states = [(await relay.read(id_))["state"] for id_ in (first, second)]

    _, cut, again = server.received
    assert states == ["delivered", "delivered"]
    assert [each["outcome"] for each in await relay.attempts(second)] == ["protocol", "accepted"]
    assert [received.connection for received in server.received] == [0, 0, 1]
    assert cut.body == again.body
    assert cut.headers["webhook-id"] == again.headers["webhook-id"]


async def test_connections_are_kept_for_the_next_delivery(caller: Caller) -> None:
    async with listening(OK, answer("500 Broken", b"no"), ACCEPTED) as server:
        attempts = [await caller.call(server.origin) for _ in range(3)]

    assert [attempt.http_status for attempt in attempts] == [200, 500, 204]
    assert attempts[1].outcome == Rejected(http_status=500)
    assert server.connections == 1
