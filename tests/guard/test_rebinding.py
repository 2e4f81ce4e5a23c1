import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from relay.domain.addresses import AllowHttp, NetworkPolicy
from relay.domain.urls import parse_callback_url
from relay.transport import BlockedAddress, NameResolutionError, release, tls_context
from relay.webhook.guard import Guard, GuardedTransport, Refusal
from tests.guard.dialling import Dialled
from tests.guard.dns import (
    CNAME,
    Query,
    Record,
    Script,
    addresses,
    aliased,
    always,
    bytes_of,
    flipping,
    reply,
    serving,
    silent,
)
from tests.guard.oracle import is_global
from tests.lookups import alike
from tests.sockets import OK, SocketServer, listening

POLICY = NetworkPolicy(allow_http=AllowHttp.ALWAYS)
PUBLIC, PUBLIC6, HOME = "93.184.216.34", "2606:4700:4700::1111", "127.0.0.1"
CROWD = tuple(f"93.184.{high}.{low}" for high in range(5) for low in range(1, 250))


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A hostile name server, a receiver on the internet, and a service of ours at the same port of loopback."""

    guard: Guard
    transport: GuardedTransport
    dialled: Dialled
    internet: SocketServer
    inside: SocketServer

    async def registers(self, name: str) -> bool:
        return await self.guard.judge("shop", parse_callback_url(self.url(name))) is None

    async def send(self, name: str) -> int:
        response = await self.transport.handle_async_request(httpx.Request("GET", self.url(name)))
        await release(response)
        return response.status_code

    async def registers_and_fails_to_send(self, name: str, error: type[Exception]) -> bool:
        accepted = await self.registers(name)
        with pytest.raises(error):
            await self.send(name)
        return accepted

    def url(self, name: str) -> str:
        return f"http://{name}:{self.inside.port}/"


@asynccontextmanager
async def world(script: Script) -> AsyncIterator[World]:
    """Every name below hostile.example goes by the script."""
    async with (
        serving({"hostile.example": script}) as (_, resolver),
        listening(OK) as internet,
        listening(OK) as inside,
    ):
        dialled = Dialled(internet=("127.0.0.1", internet.port))
        async with GuardedTransport(POLICY, resolver, tls_context(), open_socket=dialled.socket) as transport:
            yield World(
                guard=Guard(POLICY, alike(resolver)),
                transport=transport,
                dialled=dialled,
                internet=internet,
                inside=inside,
            )
        assert inside.connections == 0
        assert all(map(is_global, dialled.peers))


async def test_a_name_that_is_public_is_called() -> None:
    async with world(always(PUBLIC)) as here:
        accepted = await here.registers("a.hostile.example")
        status = await here.send("a.hostile.example")

        assert (accepted, status, here.dialled.peers) == (True, 200, [PUBLIC])


@pytest.mark.parametrize(
    "later",
    [
        HOME,
        "10.0.0.1",
        "169.254.169.254",
        "0.0.0.0",  # noqa: S104 - an address that is answered
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "fe80::1",
    ],
)
async def test_a_name_that_turns_private_after_its_registration_is_not_dialled(later: str) -> None:
    async with world(flipping((PUBLIC, PUBLIC6), (later,))) as here:
        accepted = await here.registers("a.hostile.example")
        with pytest.raises(BlockedAddress) as blocked:
            await here.send("a.hostile.example")

        assert (accepted, blocked.value.final, here.dialled.peers) == (True, False, [])


async def test_a_name_that_turns_public_after_it_was_refused_is_called() -> None:
    async with world(flipping((HOME,), (PUBLIC,))) as here:
        accepted = await here.registers("a.hostile.example")
        status = await here.send("a.hostile.example")

        assert (accepted, status, here.dialled.peers) == (False, 200, [PUBLIC])


async def test_an_answer_that_was_judged_is_the_one_that_is_dialled() -> None:
    async with world(flipping((PUBLIC,), (HOME,))) as here:
        first = await here.send("a.hostile.example")
        second = await here.send("a.hostile.example")  # on the same connection, without another question
        for writer in here.internet.writers:
            writer.close()
        await asyncio.wait_for(here.internet.hung_up.wait(), 5)
        third = await here.send("a.hostile.example")

        assert (first, second, third) == (200, 200, 200)
        assert here.dialled.peers == [PUBLIC, PUBLIC]


async def test_names_that_flip_with_each_question_never_lead_inside() -> None:
    turns: tuple[tuple[str, ...], ...] = ((PUBLIC,), (HOME,), (PUBLIC, HOME), ("10.0.0.1",))

    def script(query: Query) -> bytes:
        first = int(query.name.partition(".")[0])
        return reply(query, *addresses(query, *turns[(first + query.times) % len(turns)]))

    async with world(script) as here:
        results = []
        for _ in turns:
            sent = (here.send(f"{name}.hostile.example") for name in range(20))
            results += await asyncio.gather(*sent, return_exceptions=True)

        assert {type(result) for result in results} == {int, BlockedAddress}
        assert set(here.dialled.peers) == {PUBLIC}


@pytest.mark.parametrize(
    "script",
    [
        always(PUBLIC, HOME),
        always(PUBLIC, "::1"),
        always(PUBLIC, "::ffff:10.0.0.1"),
        always(*CROWD, "192.168.0.1"),
        always("192.168.0.1", *CROWD),
        aliased("b.example", to=HOME),
        aliased("localhost", to=HOME),
        aliased(*(f"n{number}.example" for number in range(100)), to="169.254.169.254"),
        aliased("b.example", to="::1"),
        lambda query: reply(query, *addresses(query, PUBLIC), *addresses(query, HOME, owner="other.example")),
    ],
    ids=[
        "public and loopback",
        "public in A, loopback in AAAA",
        "mapped",
        "many and a last private one",
        "a first private one and many",
        "CNAME",
        "CNAME to localhost",
        "a long chain",
        "CNAME in AAAA only",
        "an answer for somebody else",
    ],
)
async def test_one_private_answer_in_whatever_company_refuses_the_name(script: Script) -> None:
    async with world(script) as here:
        accepted = await here.registers_and_fails_to_send("a.hostile.example", BlockedAddress)

        assert (accepted, here.dialled.peers) == (False, [])


async def test_many_public_answers_are_only_many() -> None:
    async with world(always(*CROWD)) as here:
        accepted = await here.registers("a.hostile.example")
        status = await here.send("a.hostile.example")

        assert (accepted, status) == (True, 200)
        assert len(here.dialled.peers) == 1


@pytest.mark.parametrize(
    "script",
    [
        silent,
        bytes_of(b""),
        bytes_of(b"\x81\x80" + b"\xff" * 10),
        bytes_of(b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" + b"\xc0\x0c" * 20),
        bytes_of(bytes(range(256)) * 4),
        lambda query: b"\xff" * 40,
        reply,
        lambda query: reply(query, Record(owner=query.name, type=query.type, data=b"\x7f\x00\x01")),
        lambda query: reply(query, Record(owner=query.name, type=CNAME, data=b"\x01a\xc0\x0c")),
        lambda query: reply(query, *addresses(query, HOME))[:-2],
    ],
    ids=[
        "silence",
        "nothing but a number",
        "counts without records",
        "names that point at themselves",
        "bytes",
        "another question's answer",
        "no record",
        "an address too short",
        "an alias of nothing",
        "cut off",
    ],
)
async def test_a_name_without_a_usable_answer_is_not_refused_and_nowhere_dialled(script: Script) -> None:
    async with world(script) as here:
        accepted = await here.registers_and_fails_to_send("a.hostile.example", NameResolutionError)

        assert (accepted, here.dialled.peers) == (True, [])


async def test_a_refusal_does_not_say_where_the_name_leads() -> None:
    async with world(always("10.20.30.40")) as here:
        refusal = await here.guard.judge("shop", parse_callback_url(here.url("a.hostile.example")))
        with pytest.raises(BlockedAddress) as blocked:
            await here.send("a.hostile.example")

        assert refusal == Refusal(rule=blocked.value.rule)
        assert "10." not in blocked.value.rule
