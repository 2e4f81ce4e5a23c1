"""Plain ASGI, read and written by hand: a request and a response object would cost more than the answer."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

Sleep = Callable[[float], Awaitable[None]]
"""Waits for so many seconds."""

JSON: Final = (b"content-type", b"application/json")

_DRIP_SECONDS: Final = 1.0


def header(scope: Scope, name: bytes) -> str | None:
    """The first of that name, which is given in small letters."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


def whole_number(request: Request, name: str, default: int) -> int:
    """The query's number of that name; raises HTTPException for anything that is none."""
    given = request.query_params.get(name, str(default))
    if not (given.isascii() and given.isdecimal()):
        raise HTTPException(422, f"{name} is a whole number")
    return int(given)


async def read(receive: Receive, limit: int) -> bytes | None:
    """The whole body, None if it is longer than `limit` bytes; what is over is not kept."""
    chunks: list[bytes] = []
    room = limit
    while True:
        message = await receive()
        chunk = message.get("body", b"")
        room -= len(chunk)
        if room >= 0:
            chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks) if room >= 0 else None


async def until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def respond(
    send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = (JSON,)
) -> None:
    await _start(send, status, len(body), headers)
    await send({"type": "http.response.body", "body": body})


async def drip(
    send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = (JSON,), *, sleep: Sleep
) -> None:
    """The headers at once and then a byte a second."""
    await _start(send, status, len(body), headers)
    for position in range(len(body)):
        await sleep(_DRIP_SECONDS)
        await send({"type": "http.response.body", "body": body[position : position + 1], "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _start(send: Send, status: int, length: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", str(length).encode())],
        }
    )
