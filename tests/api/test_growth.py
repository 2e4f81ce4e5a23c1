"""What callers, CAMB and receivers can make grow, held to its bound where no other test does."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import httpx
import pytest

from relay.api.registrations import MAX_BATCHES
from relay.api.requests import MAX_FIELD
from relay.services.poll import LONGEST_WORD
from relay.transport import (
    MAX_HEADERS,
    MAX_LINE,
    AiohttpTransport,
    read_answer,
    release,
    tls_context,
)
from tests.api.problems import problem, rules
from tests.relays import FAILING, HOOK, SUCCESS, RelayInHand
from tests.sockets import OK, SocketServer, listening

BATCH = "/v1/registrations/batch"


async def test_attempts_are_listed_in_their_order_page_by_page(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    relay.world.hook(HOOK, FAILING, FAILING, httpx.Response(200))
    registration = await relay.register()
    for _ in range(2):
        await relay.pass_to_next("deliveries")
    for _ in range(2):
        await relay.api.post(f"/v1/registrations/{registration}/redeliver")
        await relay.settle()

    path = f"/v1/registrations/{registration}/attempts?limit=2"
    pages = [(await relay.api.get(path)).json()]
    while (cursor := pages[-1]["next_cursor"]) is not None:
        pages.append((await relay.api.get(f"{path}&cursor={cursor}")).json())

    assert [[attempt["number"] for attempt in page["data"]] for page in pages] == [[1, 2], [3, 4], [5]]


async def test_a_page_of_attempts_keeps_to_its_bounds(relay: RelayInHand) -> None:
    registration = await relay.register()

    for query, field in (("limit=0", "limit"), ("limit=201", "limit"), ("cursor=-1", "cursor")):
        answer = await relay.api.get(f"/v1/registrations/{registration}/attempts?{query}")
        assert set(rules(answer)) == {field}


async def test_a_client_has_only_so_many_batches_under_way(relay: RelayInHand) -> None:
    go, reading = asyncio.Event(), asyncio.Semaphore(0)

    async def slow() -> AsyncIterator[bytes]:
        reading.release()
        await go.wait()
        yield b'{"registrations": [{}]}'

    headers = {"content-type": "application/json"}
    under_way = [
        asyncio.create_task(relay.api.post(BATCH, content=slow(), headers=headers))
        for _ in range(MAX_BATCHES)
    ]
    for _ in under_way:
        await reading.acquire()

    refused = await relay.api.post(BATCH, json={"registrations": [{}]})
    others = await relay.other.post(BATCH, json={"registrations": [{}]})
    go.set()
    answers = await asyncio.gather(*under_way)
    afterwards = await relay.api.post(BATCH, json={"registrations": [{}]})

    assert problem(refused, 429)["retry_after"] == 1
    assert {answer.status_code for answer in (*answers, others, afterwards)} == {200}


async def test_a_parameter_that_is_given_twice_is_named_in_short(relay: RelayInHand) -> None:
    name = "x" * 10_000

    answer = await relay.api.get(f"/v1/registrations?{name}=1&{name}=2")

    assert rules(answer) == {"x" * MAX_FIELD: "must be given once"}


async def test_unknown_status_words_that_begin_alike_for_long_are_one_word(relay: RelayInHand) -> None:
    for number in range(3):
        word = "X" * LONGEST_WORD + str(number)
        relay.world.task(f"task-{number}", httpx.Response(200, json={"status": word}))
        await relay.register(f"task-{number}")

    assert relay.metric("relay_unknown_statuses_total") == 1


async def test_only_so_many_connections_are_kept_idle() -> None:
    async def exchange(transport: AiohttpTransport, server: SocketServer) -> None:
        response = await transport.handle_async_request(httpx.Request("GET", server.origin))
        together.release()
        await all_there.wait()
        await read_answer(response, 100, bytearray())
        await release(response)

    made = [0]
    async with listening(OK) as server, AiohttpTransport(tls_context(), most_idle=2) as transport:
        for _ in range(2):
            together, all_there = asyncio.Semaphore(0), asyncio.Event()
            tasks = [asyncio.create_task(exchange(transport, server)) for _ in range(5)]
            for _ in tasks:
                await together.acquire()
            all_there.set()
            await asyncio.gather(*tasks)
            made.append(server.connections)

    assert [after - before for before, after in pairwise(made)] == [5, 3]


def head(status: bytes = b"200 OK", headers: bytes = b"", count: int = 1) -> bytes:
    return b"HTTP/1.1 %b\r\n%bcontent-length: 0\r\n\r\n" % (status, headers * count)


TOO_MUCH: dict[str, bytes] = {
    "reason": head(status=b"200 " + b"x" * (MAX_LINE + 1)),
    "name": head(headers=b"x" * (MAX_LINE + 1) + b": 1\r\n"),
    "value": head(headers=b"x: " + b"x" * (MAX_LINE + 1) + b"\r\n"),
    "headers": head(headers=b"x: 1\r\n", count=MAX_HEADERS),
}


@pytest.mark.parametrize("raw", TOO_MUCH.values(), ids=TOO_MUCH)
async def test_an_answer_whose_head_has_too_much_is_no_answer(raw: bytes) -> None:
    async with listening(raw) as server, AiohttpTransport(tls_context()) as transport:
        with pytest.raises(httpx.RemoteProtocolError):
            await transport.handle_async_request(httpx.Request("GET", server.origin))


async def test_an_answer_whose_head_is_just_within_its_bounds_is_taken() -> None:
    raw = head(status=b"200 " + b"x" * (MAX_LINE - 100), headers=b"x: 1\r\n", count=MAX_HEADERS - 1)

    async with listening(raw) as server, AiohttpTransport(tls_context()) as transport:
        response = await transport.handle_async_request(httpx.Request("GET", server.origin))
        await release(response)

    assert len(response.headers.raw) == MAX_HEADERS
