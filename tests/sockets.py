"""A server of bare sockets: writes down the bytes that came, and answers with the bytes it was given, well-formed or not."""

import asyncio
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
ACCEPTED = b"HTTP/1.1 204 No Content\r\n\r\n"
_NEVER_GIVEN = range(20_000, 32_768)
"""Below what Linux and macOS give away by themselves (`net.ipv4.ip_local_port_range`)."""
_CHANCE = random.SystemRandom()  # tests run side by side, and each wants a port of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it came; `connection` counts the server's connections from 0."""

    connection: int
    head: bytes
    body: bytes

    @property
    def method(self) -> bytes:
        return self.head.split(b" ", 1)[0]

    @property
    def target(self) -> bytes:
        return self.head.split(b" ", 2)[1]

    @property
    def headers(self) -> dict[str, str]:
        """By lower-case name; a name that came twice is a failure."""
        lines = [line.split(b":", 1) for line in self.head.split(b"\r\n")[1:] if line]
        headers = {name.decode().lower(): value.strip().decode() for name, value in lines}
        assert len(headers) == len(lines), self.head
        return headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request being answered."""

    received: Received
    writer: asyncio.StreamWriter
    ended: asyncio.Event

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def pause(self, seconds: float) -> None:
        """Wait, but not beyond the server's end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.ended.wait()

    async def hang(self) -> None:
        await self.ended.wait()


Script = Callable[[Exchange], Awaitable[None]]
Answer = bytes | Script


@dataclass(slots=True, kw_only=True)
class SocketServer:
    """`answers` are given one per request; the last one again and again."""

    answers: list[Answer]
    host: str
    port: int = 0
    scheme: str = "http"
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """A request is here."""
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    """A client closed its connection."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @property
    def origin(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name(f"server of {self.origin}")  # no work of the relay whose end a test may wait for
        number, self.connections = self.connections, self.connections + 1
        self.writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while not self.ended.is_set():
                received = await _read(reader, number)
                self.received.append(received)
                self.arrived.set()
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                exchange = Exchange(received=received, writer=writer, ended=self.ended)
                await (exchange.write(answer) if isinstance(answer, bytes) else answer(exchange))
        self.hung_up.set()
        writer.close()


async def _read(reader: asyncio.StreamReader, connection: int) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n"))[:-2]
    received = Received(connection=connection, head=head, body=b"")
    length = int(received.headers.get("content-length", "0"))
    return Received(connection=connection, head=head, body=await reader.readexactly(length))


@asynccontextmanager
async def listening(
    *answers: Answer, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[SocketServer]:
    server = SocketServer(answers=list(answers), host=host, scheme="http" if tls is None else "https")
    listener = await asyncio.start_server(server.serve, host, 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.ended.set()
        listener.close()
        for writer in server.writers:
            writer.transport.abort()
        await listener.wait_closed()


def unused_port(host: str = "127.0.0.1") -> int:
    """A port at which nobody listens, and which no system gives to a connection or to a server that asked for any."""
    while True:
        port = _CHANCE.choice(_NEVER_GIVEN)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((host, port))
            return port


def answer(status: str, body: bytes = b"", **headers: str) -> bytes:
    """An HTTP/1.1 answer; `_` in a header's name stands for `-`."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def closing(data: bytes) -> Script:
    """Write, then hang up."""

    async def script(exchange: Exchange) -> None:
        await exchange.write(data)
        exchange.writer.close()

    return script


def hanging(data: bytes = b"") -> Script:
    """Write, then say nothing more."""

    async def script(exchange: Exchange) -> None:
        await exchange.write(data)
        await exchange.hang()

    return script


def dripping(head: bytes, drop: bytes = b"x", every: float = 0.01) -> Script:
    """Write the head, then one drop after the other, for ever."""

    async def script(exchange: Exchange) -> None:
        await exchange.write(head)
        while not exchange.ended.is_set():
            await exchange.write(drop)
            await exchange.pause(every)

    return script


def pouring(head: bytes, flood: bytes) -> Script:
    """Write the head, then the flood, for ever and as fast as it is taken."""

    async def script(exchange: Exchange) -> None:
        await exchange.write(head)
        while not exchange.ended.is_set():
            await exchange.write(flood)

    return script


def in_bytes(data: bytes) -> Script:
    """Write every byte by itself."""

    async def script(exchange: Exchange) -> None:
        for byte in data:
            await exchange.write(bytes([byte]))
            await exchange.pause(0.001)

    return script
