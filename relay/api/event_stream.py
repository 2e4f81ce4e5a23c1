"""Events as they come: server-sent events, that a browser's own EventSource reads, and goes on with after a break."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, aclosing
from typing import Any, Final

import orjson
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from relay.services.notify import Notifier

MEDIA_TYPE: Final = "text/event-stream"
ABORT: Final = "relay.abort"
"""The extension of ASGI by which a server lets an answer be cut off that the other side does not read."""
RETRY_MILLISECONDS: Final = 2_000
HEARTBEAT_SECONDS: Final = 15.0
FAREWELL_SECONDS: Final = 0.1
"""For a stream to come to its end once the relay stops: what is being sent goes out, unless nobody reads it."""

HEARTBEAT: Final = b": \n\n"

_HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}


class EventStream(StreamingResponse):
    """`held` is left at its end, however that comes."""

    def __init__(
        self, frames: AsyncGenerator[bytes, None], notifier: Notifier, held: AbstractContextManager[object]
    ) -> None:
        super().__init__(frames, headers=_HEADERS, media_type=MEDIA_TYPE)
        self._frames = frames
        self._notifier = notifier
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        with self._held:
            try:
                async with asyncio.timeout(None) as deadline, aclosing(self._frames):
                    with self._notifier.at_stop(lambda: deadline.reschedule(loop.time() + FAREWELL_SECONDS)):
                        await super().__call__(scope, receive, send)
            except TimeoutError:
                await _cut_off(scope, receive)


def beginning(cursor: str) -> bytes:
    """Of every stream: an id without an event is where a client goes on from that leaves before the first one."""
    return b"retry: %d\nid: %b\n\n" % (RETRY_MILLISECONDS, cursor.encode())


def frame(item: dict[str, Any]) -> bytes:
    """No field of it holds a line break: ids and types are ours, and JSON has none."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (
        item["cursor"].encode(),
        item["type"].encode(),
        orjson.dumps(item),
    )


async def _cut_off(scope: Scope, receive: Receive) -> None:
    """Whoever does not read must not hold up the stop; without a server's help the connection is the server's."""
    abort = scope.get("extensions", {}).get(ABORT)
    if abort is not None:
        abort["abort"]()
        while (await receive())["type"] != "http.disconnect":
            pass
