"""A receiver of many origins: one port on many loopback addresses, each accepting, failing or never answering as it is told.

One JSON line in sets the addresses that hang or fail and how long an answer takes; `take` asks for what came since.
"""

import asyncio
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final, cast

import orjson
import uvloop

OK: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
FAILING: Final = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"


def address(number: int) -> str:
    return f"127.1.{number // 250}.{1 + number % 250}"


@dataclass(slots=True)
class Told:
    """`arrivals` are an address, a webhook-id, the wall's microseconds, and how many were under way there with it."""

    hanging: frozenset[str] = frozenset()
    failing: frozenset[str] = frozenset()
    delay: float = 0.0
    under_way: dict[str, int] = field(default_factory=dict)
    arrivals: list[tuple[str, str, int, int]] = field(default_factory=list)


class Receiving(asyncio.Protocol):
    def __init__(self, told: Told) -> None:
        self._told = told
        self._data = b""
        self._transport: asyncio.Transport | None = None
        self._address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        self._address = transport.get_extra_info("sockname")[0]

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            length = int(head.partition(b"content-length:")[2].split()[0])
            if len(self._data) < end + 4 + length:
                return
            self._data = self._data[end + 4 + length :]
            self._arrived(head.partition(b"webhook-id:")[2].split()[0].decode())

    def _arrived(self, event: str) -> None:
        told, here = self._told, self._address
        told.under_way[here] = told.under_way.get(here, 0) + 1
        told.arrivals.append((here, event, time.time_ns() // 1_000, told.under_way[here]))
        if here not in told.hanging:
            asyncio.get_running_loop().call_later(told.delay, self._answer)

    def _answer(self) -> None:
        self._told.under_way[self._address] -= 1
        if self._transport is not None:
            self._transport.write(FAILING if self._address in self._told.failing else OK)


async def main() -> None:
    told, loop, origins = Told(), asyncio.get_running_loop(), int(sys.argv[1])
    port = 0
    for number in range(origins):
        listening = socket.create_server((address(number), port), backlog=1_024)
        port = listening.getsockname()[1]
        await loop.create_server(lambda: Receiving(told), sock=listening)
    _say({"listening": port})
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked = orjson.loads(line)
        told.hanging = frozenset(asked.get("hanging", ()))
        told.failing = frozenset(asked.get("failing", ()))
        told.delay = asked.get("delay", 0.0)
        _say({"arrivals": told.arrivals if asked.get("take") else []})
        if asked.get("take"):
            told.arrivals = []


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(orjson.dumps(answer).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(main())
