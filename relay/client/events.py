"""Events as they are pulled, and the server-sent events that carry them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

LATEST: Final = "latest"
"""As `after`: from now on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`body` and `headers` are what a callback gets, signature included; pass `cursor` as `after` to go on behind it."""

    id: str
    cursor: str
    type: str
    created_at: str
    registration_id: str
    task_id: str
    kind: str
    headers: Mapping[str, str]
    body: bytes
    document: Mapping[str, Any]
    """All of it, as it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Pass `next_cursor` as the next `after`, also where there is no event."""

    data: tuple[Event, ...]
    next_cursor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One server-sent event; `retry` is in milliseconds."""

    data: str
    retry: int | None


def event_in(document: Mapping[str, Any]) -> Event:
    """`document` is what the API calls an EventItem."""
    return Event(
        id=document["id"],
        cursor=document["cursor"],
        type=document["type"],
        created_at=document["created_at"],
        registration_id=document["registration_id"],
        task_id=document["task_id"],
        kind=document["kind"],
        headers=document["headers"],
        body=document["body"].encode(),
        document=document,
    )


def page_in(document: Mapping[str, Any]) -> EventPage:
    return EventPage(
        data=tuple(event_in(item) for item in document["data"]), next_cursor=document["next_cursor"]
    )


def event_of(message: Message) -> Event:
    return event_in(json.loads(message.data))


def messages(chunks: Iterable[bytes]) -> Iterator[Message]:
    """By the rules of text/event-stream; what the end cuts off is no message, and a comment is none."""
    data: list[str] = []
    retry: int | None = None
    for line in lines(chunks):
        if not line:
            if data or retry is not None:
                yield Message(data="\n".join(data), retry=retry)
            data, retry = [], None
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "retry" and value.isdecimal():
            retry = int(value)


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Ended by LF or CR LF alone: `str.splitlines`, and so httpx's `iter_lines`, would cut a text at U+0085 and U+2028."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode()
