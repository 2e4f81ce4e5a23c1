"""A DNS server on loopback that answers as hostile ones do, always with a TTL of 0, and a lookup that believes all of it."""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, cast

A: Final = 1
CNAME: Final = 5
AAAA: Final = 28

_ANSWER: Final = 0x8180
_POINTER: Final = 0xC0
_GIVE_UP: Final = b"no answer"
"""In the place of a time to wait for, which a busy machine would make too short for an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """`times` is how often the same was asked before."""

    number: int
    name: str
    type: int
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    owner: str
    type: int
    data: bytes


Script = Callable[[Query], bytes | None]
"""The datagram to send back, if any."""


def reply(query: Query, *records: Record) -> bytes:
    head = struct.pack("!6H", query.number, _ANSWER, 1, len(records), 0, 0)
    body = [_encoded(query.name) + struct.pack("!2H", query.type, 1)]
    for record in records:
        fields = struct.pack("!2HIH", record.type, 1, 0, len(record.data))
        body.append(_encoded(record.owner) + fields + record.data)
    return head + b"".join(body)


def addresses(query: Query, *texts: str, owner: str | None = None) -> list[Record]:
    """The records among them of the type that was asked for."""
    found = [ip_address(text) for text in texts]
    return [
        Record(owner=owner or query.name, type=query.type, data=address.packed)
        for address in found
        if (address.version == 4) == (query.type == A)
    ]


def always(*texts: str) -> Script:
    return lambda query: reply(query, *addresses(query, *texts))


def flipping(*turns: tuple[str, ...]) -> Script:
    """Each question gets the next turn's answers, round and round."""
    return lambda query: reply(query, *addresses(query, *turns[query.times % len(turns)]))


def aliased(*names: str, to: str) -> Script:
    """A chain of CNAMEs, and the address of the last in the same answer."""

    def script(query: Query) -> bytes:
        owners = (query.name, *names)
        links = [
            Record(owner=owner, type=CNAME, data=_encoded(alias))
            for owner, alias in zip(owners, names, strict=False)
        ]
        return reply(query, *links, *addresses(query, to, owner=names[-1]))

    return script


def bytes_of(data: bytes) -> Script:
    """The question's number and then whatever this is."""
    return lambda query: struct.pack("!H", query.number) + data


def silent(query: Query) -> None:
    """No answer: the resolver, told that none will come, gives up at once."""


class DnsServer(asyncio.DatagramProtocol):
    """Knows names by their own script or else by the one of the name above."""

    def __init__(self, zone: Mapping[str, Script]) -> None:
        self._zone = zone
        self._transport: asyncio.DatagramTransport | None = None
        self.asked: Counter[tuple[str, int]] = Counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        (number,) = struct.unpack_from("!H", data)
        name, end = _decoded(data, 12)
        (kind,) = struct.unpack_from("!H", data, end)
        query = Query(number=number, name=name, type=kind, times=self.asked[name, kind])
        self.asked[name, kind] += 1
        script = self._zone.get(name) or self._zone[name.partition(".")[2]]
        answer = script(query)
        assert self._transport is not None
        self._transport.sendto(_GIVE_UP if answer is None else answer, peer)


class Resolver:
    """A Lookup: asks for A and AAAA, and takes each address there is, whoever's it is said to be."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._number = 0

    async def __call__(self, name: str) -> tuple[str, ...]:
        found = [await self._ask(name.removesuffix("."), type_) for type_ in (A, AAAA)]
        if not any(found):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return tuple(dict.fromkeys(address for answer in found for address in answer))

    async def _ask(self, name: str, type_: int) -> list[str]:
        self._number += 1
        number = struct.pack("!H", self._number)
        question = number + struct.pack("!5H", 0x0100, 1, 0, 0, 0) + _encoded(name)
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0)
            await loop.sock_connect(sock, self._server)
            await loop.sock_sendall(sock, question + struct.pack("!2H", type_, 1))
            answer = await loop.sock_recv(sock, 65_535)
            if answer == _GIVE_UP:
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
            if not answer.startswith(number):
                return []
            try:
                return _addresses_in(answer)
            except (struct.error, IndexError, ValueError):
                raise socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure in name resolution") from None


@asynccontextmanager
async def serving(zone: Mapping[str, Script]) -> AsyncIterator[tuple[DnsServer, Resolver]]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: DnsServer(zone), ("127.0.0.1", 0))
    try:
        yield server, Resolver(transport.get_extra_info("sockname"))
    finally:
        transport.close()


def _addresses_in(answer: bytes) -> list[str]:
    questions, records = struct.unpack_from("!2H", answer, 4)
    at = 12
    for _ in range(questions):
        at = _decoded(answer, at)[1] + 4
    found = []
    for _ in range(records):
        at = _decoded(answer, at)[1] + 10
        type_, _, _, length = struct.unpack_from("!2HIH", answer, at - 10)
        if type_ in {A, AAAA}:
            found.append(str(ip_address(answer[at : at + length])))
        at += length
    return found


def _encoded(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _decoded(message: bytes, at: int) -> tuple[str, int]:
    """A name, and where it ends; a pointer ends it, wherever it points."""
    labels: list[str] = []
    while length := message[at]:
        if length >= _POINTER:
            return ".".join(labels), at + 2
        labels.append(message[at + 1 : at + 1 + length].decode("latin-1"))
        at += 1 + length
    return ".".join(labels), at + 1
