"""What the relay's own Sender put on a socket, and what a forger made of it; the same for the same seed."""

import random
import string
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import orjson

from relay.clock import Clock, system_clock
from relay.domain.addresses import AllowHttp, NetworkPolicy, parse_networks
from relay.domain.clients import Client
from relay.domain.ids import EventId, RegistrationId
from relay.domain.instants import SECOND, Span
from relay.domain.keys import KeyPair, SharedSecret
from relay.domain.registrations import EventType
from relay.domain.urls import parse_callback_url
from relay.transport import tls_context
from relay.webhook.guard import GuardedTransport
from relay.webhook.sender import Message, Sender
from relay.webhook.signing import NEW_KEY, new_pair
from tests.sockets import ACCEPTED, listening

BIG: Final = 300_000
STALE_SECONDS: Final = 601
_AT_HOME: Final = NetworkPolicy(
    allow_networks=parse_networks(["loopback"]), allow_http=AllowHttp.ALLOWED_NETWORKS
)
_LETTERS: Final = (
    string.ascii_letters + '. \t\n"\\/{}[],:%+=\x00\x1f\x7f\xff\u0142\u2028\u2029\ufeff\uffff\U0001f514'
)

ODD_BODIES: Final = (
    b"{}",
    b'{"data":{}}',
    b'{"type":"task.succeeded","timestamp":"2026-11-23T13:01:07.412Z","data":{}}',
    b'"."',
    b"[]",
    b"0",
    b"null",
    b'{"a":"evt_1.1795000000."}',
    b'{"a":1.0,"a":2.50,"b":123456789012345678901234567890}',
    rb'{"a":"\u00ff\u0000\u2028\uffff\ud83d\ude00"}',
    rb'{"a":"\ud800"}',
    rb'{"a":"\\xff looks like a byte, \/"}',
    b'{"a":"\xc3\xbf\xe2\x80\xa8\xf0\x9f\x94\x94\x7f"}',
    b' \r\n\t{ "a" : 1 } \n\n',
    orjson.dumps({"data": {"payload": "." * BIG}}),
    orjson.dumps({"data": ["\u0142\U0001f514"] * (BIG // 10)}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """`forged` says how; None where it is as it was sent. A receiver knows `secret`, or the public half of `pair`."""

    headers: dict[str, str]
    body: bytes
    secret: SharedSecret
    pair: KeyPair
    forged: str | None = None


async def received(seed: int, count: int) -> list[Received]:
    """The odd bodies and `count` random ones, each genuine and forged in every way."""
    rng = random.Random(seed)
    mine, theirs = (_client(name, rng) for name in ("mine", "theirs"))
    bodies = [*ODD_BODIES, *(orjson.dumps(_document(rng, 4)) for _ in range(count))]
    found = []
    for body in bodies:
        genuine, stale, foreign = await _sent(body, rng, mine, theirs)
        found += [genuine, *_forged(genuine, stale, foreign)]
    return found


def _client(name: str, rng: random.Random) -> Client:
    return Client(
        name=name,
        camb_base_url="https://camb.test",
        camb_api_key="k",
        api_token_digests=frozenset(),
        signing_keys=(
            SharedSecret(secret=rng.randbytes(rng.randint(24, 64))),
            new_pair(rng.randbytes(NEW_KEY)),
        ),
        default_kind="tts",
    )


async def _sent(body: bytes, rng: random.Random, mine: Client, theirs: Client) -> tuple[Received, ...]:
    """As it should be, too long ago, and by another client of the same relay."""
    now = system_clock()
    then = Clock(now.now, lambda: now.wall() - STALE_SECONDS * SECOND)
    event = EventId(f"evt_{rng.getrandbits(128):032x}")
    secret, pair = mine.signing_keys
    assert isinstance(secret, SharedSecret)
    assert isinstance(pair, KeyPair)
    async with listening(ACCEPTED) as server, GuardedTransport(_AT_HOME, _home, tls_context()) as wire:
        for client, clock in ((mine, now), (mine, then), (theirs, now)):
            sender = Sender(
                wire, clients=[mine, theirs], clock=clock, deadline=Span(15 * SECOND), answer_bytes=0
            )
            await sender.send(
                Message(
                    event_id=event,
                    event_type=EventType.TASK_SUCCEEDED,
                    registration_id=RegistrationId("reg_1"),
                    task_id="task-1",
                    kind="tts",
                    attempt=1,
                    url=parse_callback_url(server.origin),
                    body=body,
                    client=client.name,
                )
            )
    return tuple(
        Received(headers=each.headers, body=each.body, secret=secret, pair=pair) for each in server.received
    )


async def _home(_: str) -> tuple[str, ...]:
    return ("127.0.0.1",)


def _forged(genuine: Received, stale: Received, foreign: Received) -> Iterator[Received]:
    headers = genuine.headers
    signature = headers["webhook-signature"]
    shared, asymmetric = (entry.split(",")[1] for entry in signature.split(" "))
    timestamp = int(headers["webhook-timestamp"])
    yield replace(stale, forged="ten minutes old")
    yield replace(foreign, forged="another client's keys")
    yield replace(genuine, forged="a longer body", body=genuine.body + b" ")
    yield replace(genuine, forged="another body", body=b'{"data":{"status":"SUCCESS"}}')
    for forged, changed in {
        "another id": {"webhook-id": headers["webhook-id"] + "0"},
        "another time": {"webhook-timestamp": str(timestamp + 1)},
        "no signature": {"webhook-signature": ""},
        "versions exchanged": {"webhook-signature": f"v1,{asymmetric} v1a,{shared}"},
        "an unknown version": {"webhook-signature": f"v2,{shared} v2a,{asymmetric}"},
        "signatures cut short": {"webhook-signature": f"v1,{shared[:-8]} v1a,{asymmetric[:-8]}"},
    }.items():
        yield replace(genuine, forged=forged, headers=headers | changed)


def _document(rng: random.Random, depth: int) -> object:
    shape = rng.randrange(6 if depth else 4)
    match shape:
        case 0:
            return rng.choice((None, True, False, 0, -1, 2**53, 1.5, -1e300, 5e-324))
        case 1 | 2 | 3:
            return "".join(rng.choices(_LETTERS, k=rng.choice((0, 1, 20, 400))))
        case 4:
            return [_document(rng, depth - 1) for _ in range(rng.randrange(5))]
        case _:
            return {
                "".join(rng.choices(_LETTERS, k=8)): _document(rng, depth - 1)
                for _ in range(rng.randrange(5))
            }
