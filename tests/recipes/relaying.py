"""What a relay sends to a recipe, by its own Sender and over a real socket, and what others make of that."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from relay.clock import Clock, system_clock
from relay.domain.addresses import AllowHttp, NetworkPolicy, parse_networks
from relay.domain.clients import Client
from relay.domain.deliveries import Outcome
from relay.domain.ids import EventId, RegistrationId
from relay.domain.instants import SECOND, Span
from relay.domain.keys import SharedSecret, SigningKey
from relay.domain.registrations import EventType
from relay.domain.urls import parse_callback_url
from relay.transport import tls_context
from relay.webhook.guard import GuardedTransport
from relay.webhook.sender import Message, Sender
from relay.webhook.signing import Signer, new_pair
from tests.sockets import ACCEPTED, Received, listening

SECRET: Final = SharedSecret(secret=bytes(range(32)))
PAIR: Final = new_pair(bytes(range(1, 33)))
KEYS: Final[Mapping[str, str]] = {"RELAY_SIGNING_SECRET": SECRET.text, "RELAY_PUBLIC_KEY": PAIR.public.text}
BODY: Final = (
    b'{"type":"task.succeeded","timestamp":"2026-11-23T13:01:07.412Z","data":{"task_id":"task-1",'
    b'"result_url":"https://camb.test/result/7","metadata":{"order":7},"payload":{"status": "SUCCESS", "n": 1.0}}}'
)
STALE_SECONDS: Final = 301
_NUMBERS: Final = itertools.count(1)
_AT_HOME: Final = NetworkPolicy(
    allow_networks=parse_networks(["loopback"]), allow_http=AllowHttp.ALLOWED_NETWORKS
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    headers: Mapping[str, str]
    body: bytes


def new_id() -> EventId:
    return EventId(f"evt_{next(_NUMBERS)}")


async def send(
    url: str,
    event_id: EventId,
    *,
    body: bytes = BODY,
    keys: tuple[SigningKey, ...] = (SECRET, PAIR),
    late: int = 0,
) -> Outcome:
    """As a relay does whose clock is that many seconds late."""
    now = system_clock()
    clock = Clock(now.now, lambda: now.wall() - late * SECOND)
    client = Client(
        name="shop",
        camb_base_url="https://camb.test",
        camb_api_key="k",
        api_token_digests=frozenset(),
        signing_keys=keys,
        default_kind="tts",
    )
    message = Message(
        event_id=event_id,
        event_type=EventType.TASK_SUCCEEDED,
        registration_id=RegistrationId("reg_1"),
        task_id="task-1",
        kind="tts",
        attempt=1,
        url=parse_callback_url(url),
        body=body,
        client=client.name,
    )
    async with GuardedTransport(_AT_HOME, _home, tls_context()) as wire:
        sender = Sender(wire, clients=[client], clock=clock, deadline=Span(15 * SECOND), answer_bytes=100)
        return (await sender.send(message)).outcome


async def sent(
    event_id: EventId, *, body: bytes = BODY, keys: tuple[SigningKey, ...] = (SECRET, PAIR), late: int = 0
) -> Notification:
    """What somebody on the way would see."""
    async with listening(ACCEPTED) as server:
        await send(server.origin, event_id, body=body, keys=keys, late=late)
    return _seen(server.received[0])


def signed(body: bytes) -> Notification:
    """A body that no relay has ever sent, by those who hold the keys."""
    event, now = new_id(), system_clock().wall() // SECOND
    signature = Signer([SECRET, PAIR]).sign(event, now, body).decode()
    headers = {"webhook-id": event, "webhook-timestamp": str(now), "webhook-signature": signature}
    return Notification(headers=headers, body=body)


async def forged() -> Mapping[str, Notification]:
    """By how. Each has an id of its own."""
    others = (SharedSecret(secret=bytes(32)), new_pair(bytes(32)))
    found = {
        "signed by others": await sent(new_id(), keys=others),
        "sent long ago": await sent(new_id(), late=STALE_SECONDS),
        "sent in the future": await sent(new_id(), late=-2 * STALE_SECONDS),
    }
    for how, body in _BODIES.items():
        found[how] = replace(await sent(new_id()), body=body)
    for how, change in _CHANGES.items():
        genuine = await sent(new_id())
        found[how] = replace(genuine, headers=change(dict(genuine.headers)))
    return found


_BODIES: Final = {
    "another body": BODY.replace(b"7", b"8"),
    "one byte more": BODY + b"\n",
    "no body": b"",
    "parsed and written again": BODY.replace(b'": "', b'":"'),
    "no text": b"\xff\xfe",
}
_CHANGES: Final[Mapping[str, Callable[[dict[str, str]], dict[str, str]]]] = {
    "another id": lambda sent: sent | {"webhook-id": "evt_of_others"},
    "another time": lambda sent: sent | {"webhook-timestamp": str(int(sent["webhook-timestamp"]) + 1)},
    "no id": lambda sent: _without(sent, "webhook-id"),
    "no timestamp": lambda sent: _without(sent, "webhook-timestamp"),
    "no signature": lambda sent: _without(sent, "webhook-signature"),
    "an empty signature": lambda sent: sent | {"webhook-signature": ""},
    "signatures of nothing": lambda sent: sent | {"webhook-signature": "v1, v1a,"},
    "versions without signatures": lambda sent: sent | {"webhook-signature": "v1 v1a"},
    "signatures in no base64": lambda sent: sent | {"webhook-signature": "v1,% v1a,%"},
    "versions exchanged": lambda sent: sent | {"webhook-signature": _exchanged(sent["webhook-signature"])},
    "a word for a time": lambda sent: sent | {"webhook-timestamp": "soon"},
    "no number for a time": lambda sent: sent | {"webhook-timestamp": "nan"},
    "a time beyond doubles": lambda sent: sent | {"webhook-timestamp": "9" * 400},
    "a time beyond Python's numbers": lambda sent: sent | {"webhook-timestamp": "9" * 5_000},
}


def _without(headers: dict[str, str], name: str) -> dict[str, str]:
    return {each: value for each, value in headers.items() if each != name}


def _exchanged(signatures: str) -> str:
    shared, asymmetric = (entry.split(",")[1] for entry in signatures.split(" "))
    return f"v1,{asymmetric} v1a,{shared}"


def _seen(received: Received) -> Notification:
    wanted = ("content-type", "webhook-", "relay-")
    headers = {name: value for name, value in received.headers.items() if name.startswith(wanted)}
    return Notification(headers=headers, body=received.body)


async def _home(_: str) -> tuple[str, ...]:
    return ("127.0.0.1",)
