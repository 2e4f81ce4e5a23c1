"""Receivers on real sockets, called by the real sender behind the real guard: one attempt at a time, or by a whole relay."""

import functools
import random
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from relay.app import Relay
from relay.clock import system_clock
from relay.domain.deliveries import Attempt
from relay.domain.instants import Instant
from relay.domain.urls import parse_callback_url
from relay.outside import Outside
from relay.policies import network_policy
from relay.settings import Settings
from relay.transport import tls_context
from relay.webhook.guard import GuardedTransport
from tests.lookups import alike
from tests.relays import SUCCESS, HandClock, RelayInHand, World, open_relay, settings_for, sqlite_url

HOME: Final = "127.0.0.1"
AT_HOME: Final = {"allow_networks": ["loopback"], "allow_http": "allowed-networks"}
UNKNOWN: Final = "unknown.test"
"""The one name that nobody knows; all others lead to this machine."""

NEVER_OPENED: Final = "sqlite:///never-opened.db"


shared_tls = functools.cache(tls_context)
"""Reading the system's certificates costs more than most of what is tested with them."""


async def lookup(name: str) -> tuple[str, ...]:
    if name == UNKNOWN:
        raise OSError(-2, "Name or service not known")
    return (HOME,)


class SocketWorld(World):
    """Callbacks go out over real sockets; CAMB is scripted, and says that every task has succeeded."""

    def __init__(self, settings: Settings, now: Callable[[], Instant], tls: ssl.SSLContext) -> None:
        super().__init__(now)
        self._callbacks = GuardedTransport(network_policy(settings), lookup, tls)
        self.everything_asked.answers = [SUCCESS]

    def outside(self) -> Outside:
        scripted = httpx.MockTransport(self.router.async_handler)
        return Outside(scripted, self._callbacks, alike(lookup), collector=scripted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Sends test notifications, for which no database is needed."""

    relay: Relay

    async def call(self, url: str) -> Attempt:
        tested = await self.relay.delivering.test(self.relay.clients["default"], parse_callback_url(url))
        return tested.attempt


@asynccontextmanager
async def calling(
    deadline: str = "PT5S",
    tls: ssl.SSLContext | None = None,
    callbacks: Mapping[str, object] = AT_HOME,
) -> AsyncIterator[Caller]:
    """`deadline` is real time; within it every answer that is not slow on purpose arrives with ease."""
    settings = settings_for(NEVER_OPENED, callbacks=callbacks, delivery={"deadline": deadline})
    clock = system_clock()
    outside = SocketWorld(settings, clock.now, tls or shared_tls()).outside()
    async with outside.callbacks:
        yield Caller(relay=Relay(settings, outside, clock=clock, rng=random.Random(7)))


@asynccontextmanager
async def relaying(
    folder: Path,
    *,
    hands: HandClock | None = None,
    tls: ssl.SSLContext | None = None,
    deadline: str = "PT5S",
) -> AsyncIterator[RelayInHand]:
    """A whole relay on a clock moved by hand, whose callbacks are real; its attempts' deadline is real time."""
    hands = hands or HandClock()
    settings = settings_for(sqlite_url(folder), callbacks=AT_HOME, delivery={"deadline": deadline})
    world = SocketWorld(settings, hands.clock.now, tls or shared_tls())
    async with open_relay(settings, hands=hands, world=world) as relay:
        yield relay
