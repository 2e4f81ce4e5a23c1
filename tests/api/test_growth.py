"""What callers, CAMB and receivers can make grow, held to its bound where no other test does."""

import asyncio
import socket
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import httpx
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from relay.api.registrations import MAX_BATCHES
from relay.api.requests import MAX_ERRORS, MAX_FIELD
from relay.outside import LOOKUP_THREADS, Outside
from relay.services.poll import LONGEST_WORD
from relay.settings import Settings
from relay.transport import (
    DNS_CACHE_SECONDS,
    KEEP_ALIVE_SECONDS,
    MAX_DNS_CACHE,
    MAX_HEADERS,
    MAX_IDLE,
    MAX_LINE,
    AiohttpTransport,
    Memory,
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


async def test_no_more_broken_rules_are_told_than_a_reader_takes_in(relay: RelayInHand) -> None:
    asked = {"task_id": "task-1", "callback_url": HOOK} | {f"surprise-{number}": 1 for number in range(50)}

    one = await relay.api.post("/v1/registrations", json=asked)
    batch = await relay.api.post(BATCH, json={"registrations": [asked]})
    query = await relay.api.get(
        "/v1/registrations?" + "&".join(f"surprise-{number}=1" for number in range(50))
    )

    assert len(rules(one)) == len(rules(query)) == MAX_ERRORS
    assert len(batch.json()["data"][0]["problem"]["errors"]) == MAX_ERRORS


async def test_a_number_beyond_64_bits_is_rounded_to_a_double(relay: RelayInHand) -> None:
    numbers = {"fits": 2**64 - 1, "rounded": 2**64 + 1}

    registration = await relay.register(metadata=numbers)

    assert (await relay.read(registration))["metadata"] == {"fits": 2**64 - 1, "rounded": float(2**64)}


async def test_a_registration_expires_after_a_day_unless_it_says_otherwise(relay: RelayInHand) -> None:
    registration = await relay.read(await relay.register())

    assert registration["created_at"] == "2026-11-18T11:06:40.000Z"
    assert registration["expires_at"] == "2026-11-19T11:06:40.000Z"


def remembering(*, resolver: AbstractResolver | None = None, **memory: Any) -> AiohttpTransport:  # noqa: ANN401 - fields of Memory
    return AiohttpTransport(tls_context(), resolver=resolver, memory=Memory(**memory))


async def ask(transport: AiohttpTransport, url: str) -> None:
    response = await transport.handle_async_request(httpx.Request("GET", url))
    await read_answer(response, 100, bytearray())
    await release(response)


@pytest.mark.parametrize(("idle_seconds", "connections"), [(3_600, 1), (0.01, 2)])
async def test_an_idle_connection_is_used_again_for_its_time_and_no_longer(
    idle_seconds: float, connections: int
) -> None:
    async with listening(OK) as server, remembering(idle_seconds=idle_seconds) as transport:
        await ask(transport, server.origin)
        await asyncio.sleep(0.1)
        await ask(transport, server.origin)

    assert server.connections == connections


class Everywhere(AbstractResolver):
    """Every name is this machine's; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        return [
            ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(("dns_seconds", "asked"), [(3_600, 1), (0, 2)])
async def test_a_names_addresses_are_remembered_for_their_time_and_no_longer(
    dns_seconds: int, asked: int
) -> None:
    names = Everywhere()
    async with (
        listening(OK) as server,
        remembering(resolver=names, idle=0, dns_seconds=dns_seconds) as transport,
    ):
        for _ in range(2):
            await ask(transport, server.origin.replace("127.0.0.1", "name.test"))

    assert (names.asked, server.connections) == (asked, 2)


async def test_the_addresses_of_only_so_many_names_are_remembered() -> None:
    names = Everywhere()
    async with listening(OK) as server, remembering(resolver=names, idle=0, dns_seconds=3_600) as transport:
        for number in (*range(MAX_DNS_CACHE + 1), MAX_DNS_CACHE, 0):
            await ask(transport, server.origin.replace("127.0.0.1", f"name-{number}.test"))

    assert names.asked == MAX_DNS_CACHE + 2


def test_all_that_is_called_is_remembered_alike() -> None:
    every = Memory(idle=MAX_IDLE, idle_seconds=KEEP_ALIVE_SECONDS, dns_seconds=DNS_CACHE_SECONDS)

    assert AiohttpTransport(tls_context()).memory == every


async def test_no_more_threads_look_names_up_than_there_may_be() -> None:
    outside = Outside.real(Settings())
    outside.close()

    assert [names.threads for names in outside.closed_last] == [LOOKUP_THREADS] * 2


async def test_only_so_many_connections_are_kept_idle() -> None:
    async def exchange(transport: AiohttpTransport, server: SocketServer) -> None:
        response = await transport.handle_async_request(httpx.Request("GET", server.origin))
        together.release()
        await all_there.wait()
        await read_answer(response, 100, bytearray())
        await release(response)

    made = [0]
    async with listening(OK) as server, remembering(idle=2) as transport:
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
