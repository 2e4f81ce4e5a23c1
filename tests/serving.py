"""An application behind uvicorn on a loopback port, in the test's own loop."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

import uvicorn
from starlette.types import ASGIApp

HOST: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawAnswer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    port: int

    async def exchange(self, *parts: bytes) -> RawAnswer:
        """Send the parts over one connection, which stays open until the answer is there."""
        reader, writer = await asyncio.open_connection(HOST, self.port)
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
            return await _answer(reader)
        finally:
            writer.close()

    async def hang_up_after(self, *parts: bytes) -> None:
        _, writer = await asyncio.open_connection(HOST, self.port)
        for part in parts:
            writer.write(part)
            await writer.drain()
        writer.close()
        await writer.wait_closed()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A test's process keeps its own."""
        yield


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[Served]:
    """As `relay serve` does it."""
    config = uvicorn.Config(
        app, host=HOST, port=0, http="httptools", ws="none", lifespan="off", log_config=None
    )
    listener = config.bind_socket()
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="server")
    try:
        yield Served(port=listener.getsockname()[1])
    finally:
        server.should_exit = True
        await task


async def _answer(reader: asyncio.StreamReader) -> RawAnswer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status_line, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers["content-length"]))
    return RawAnswer(status=int(status_line.split()[1]), headers=headers, body=body)
