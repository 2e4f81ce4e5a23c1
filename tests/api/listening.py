"""A stream of events of an application in this process, that is read no further than asked."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from starlette.types import ASGIApp, Message

from relay.api.event_stream import ABORT

WITHIN: Final = 10

END: Final[dict[str, Any]] = {}
"""Instead of a frame, where the stream has come to its end."""


@dataclass(slots=True)
class Listener:
    """`left` is set by whoever goes away, or is cut off."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    cut_off: asyncio.Event = field(default_factory=asyncio.Event)
    """Set where the application asked its server for that."""
    _late: list[Message] = field(default_factory=lambda: [{"type": "http.request", "more_body": False}])
    _messages: "asyncio.Queue[Message]" = field(default_factory=lambda: asyncio.Queue(1))

    async def receive(self) -> Message:
        if not self.cut_off.is_set():
            await self.left.wait()
        return self._late.pop() if self._late else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Whoever sends waits for the reader."""
        await self._messages.put(message)

    async def message(self) -> Message:
        async with asyncio.timeout(WITHIN):
            return await self._messages.get()

    def skip(self) -> None:
        """Make room for one more message."""
        if not self._messages.empty():
            self._messages.get_nowait()

    async def begin(self) -> None:
        start = await self.message()
        self.status = start["status"]
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}

    async def frame(self) -> dict[str, Any]:
        """The fields of the next one; of a comment, none but `""`."""
        message = await self.message()
        if not message.get("more_body"):
            return END
        text: str = message["body"].decode()
        assert text.endswith("\n\n")
        lines = (line.partition(":") for line in text.removesuffix("\n\n").split("\n"))
        fields: dict[str, Any] = {name: value.removeprefix(" ") for name, _, value in lines}
        if "data" in fields:
            fields["data"] = orjson.loads(fields["data"])
        return fields

    async def body(self) -> bytes:
        """Of an answer that is no stream."""
        body: bytes = (await self.message())["body"]
        return body


@asynccontextmanager
async def listening(
    app: ASGIApp,
    token: str,
    query: str = "",
    *,
    path: str = "/v1/events/stream",
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    can_cut_off: bool = False,
) -> AsyncIterator[Listener]:
    """It leaves at the end."""
    listener = Listener()
    given = {"authorization": f"Bearer {token}", **(headers or {})}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "scheme": "http",
        "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
        "client": None,
        "server": None,
        "extensions": {ABORT: {"abort": listener.cut_off.set}} if can_cut_off else {},
    }

    async def run() -> None:
        await app(scope, listener.receive, listener.send)

    running = asyncio.create_task(run(), name="server of a stream")
    try:
        await listener.begin()
        yield listener
    finally:
        listener.left.set()
        async with asyncio.timeout(WITHIN):
            while not running.done():
                listener.skip()
                await asyncio.wait((running,), timeout=0.01)
        await running
