"""`python -m tests.guard.fuzz`: hostile URLs through the real guard, every address that is dialled shown to an oracle.

A case is registered, then sent, each as the relay does it: the URL is parsed, the guard judges it, the transport resolves and
dials. What the relay refuses to parse is handed to the transport all the same.
"""

import argparse
import asyncio
import ssl
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network
from random import Random
from typing import Final, assert_never

import httpx

from relay.domain.addresses import AllowHttp, NetworkPolicy, parse_networks
from relay.domain.hosts import parse_hosts
from relay.domain.urls import CallbackUrl, UnusableUrl, parse_callback_url
from relay.transport import BlockedAddress
from relay.webhook.guard import Guard, GuardedTransport
from tests.guard.dialling import Dialled
from tests.guard.hostile import FAMILIAR, Answer, Case, hostile_case
from tests.guard.oracle import Networks, host_in, leads_into, may_be_called, resolved
from tests.lookups import alike


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What an operator wrote down, read once by the relay and once by the oracle."""

    networks: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    deny_hosts: tuple[str, ...] = ()
    http: AllowHttp = AllowHttp.ALWAYS

    def policy(self) -> NetworkPolicy:
        return NetworkPolicy(
            allow_networks=parse_networks(self.networks),
            allow_hosts=parse_hosts(self.allow_hosts),
            deny_hosts=parse_hosts(self.deny_hosts),
            allow_http=self.http,
        )

    @property
    def allowed(self) -> Networks:
        return tuple(map(ip_network, self.networks))


INSIDE: Final = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "fc00::/7", "64:ff9b:1::/48")
EVERY_RULE: Final = (
    Rules(),
    Rules(http=AllowHttp.NEVER),
    Rules(networks=INSIDE, http=AllowHttp.ALLOWED_NETWORKS),
    Rules(
        networks=INSIDE, deny_hosts=("denied.example", "*.denied.example", "8.8.8.8", "localhost", "10.0.0.1")
    ),
    Rules(allow_hosts=("*.example", "8.8.8.8", "1.1.1.1"), deny_hosts=("*.below.example", "93.184.0.0/17")),
    Rules(
        networks=INSIDE, allow_hosts=("allowed.example", "*.allowed.example", "*.below.example", "10.0.0.1")
    ),
)


class Names:
    """A Lookup: the C library for whatever it reads as a number, and for names what the case says at the moment."""

    def __init__(self) -> None:
        self.told: Callable[[str], Answer] = FAMILIAR.get

    async def __call__(self, name: str) -> tuple[str, ...]:
        try:
            return resolved(name)
        except OSError:
            answer = self.told(name)
            if answer is None:
                raise
            return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What became of one case. `refused` and `blocked` are the rules, at registration and at the socket."""

    url: CallbackUrl | None
    refused: str | None
    blocked: str | None
    peers: tuple[str, ...]


class Wrong(AssertionError):
    """The guard and the oracle differ."""


class Stack:
    """The relay's own, but for the name server and the sockets."""

    def __init__(self, rules: Rules, tls: ssl.SSLContext) -> None:
        self.rules = rules
        self._names = Names()
        self._dialled = Dialled()
        self._guard = Guard(rules.policy(), alike(self._names))
        self.transport = GuardedTransport(rules.policy(), self._names, tls, open_socket=self._dialled.socket)

    async def run(self, case: Case) -> Seen:
        url, refused = await self._registered(case)
        self._names.told = case.told_then
        self._dialled.peers.clear()
        blocked = None
        try:
            request = _request(case.url, url)
            if request is not None:
                await self.transport.handle_async_request(request)
        except BlockedAddress as error:
            blocked = error.rule
        except httpx.TransportError:
            pass
        return Seen(
            url=url,
            refused=refused,
            blocked=blocked,
            peers=tuple(self._dialled.peers),
        )

    async def _registered(self, case: Case) -> tuple[CallbackUrl | None, str | None]:
        self._names.told = case.told_first
        try:
            url = parse_callback_url(case.url)
        except UnusableUrl as unusable:
            return None, str(unusable)
        refusal = await self._guard.judge("shop", url)
        return url, None if refusal is None else refusal.rule


def _request(text: str, url: CallbackUrl | None) -> httpx.Request | None:
    """As the sender makes it; and of what the relay does not parse, whatever httpx makes of it."""
    try:
        sent = httpx.URL(text if url is None else url.origin + url.target)
        known = sent.scheme in {"http", "https"} and sent.raw_host and (sent.port or 0) in range(2**16)
    except (httpx.InvalidURL, UnicodeError):
        return None
    if not known:
        return None
    return httpx.Request("POST", sent, stream=httpx.ByteStream(b""))


def check(case: Case, rules: Rules, seen: Seen) -> None:
    """Raises Wrong."""
    plain = not case.url.lower().startswith("https:")
    for peer in seen.peers:
        inside = leads_into(peer, rules.allowed)
        _only(may_be_called(peer, rules.allowed), f"{peer} was dialled")
        _only(not leads_into(peer, _networks(rules.deny_hosts)), f"{peer} was dialled, though denied")
        match rules.http:
            case AllowHttp.NEVER:
                _only(not plain, f"{peer} was dialled by http")
            case AllowHttp.ALLOWED_NETWORKS:
                _only(inside or not plain, f"{peer} was dialled by http")
            case AllowHttp.ALWAYS:
                pass
            case _:
                assert_never(rules.http)
    if seen.url is not None:
        _check_registered(case, rules, seen)


def _check_registered(case: Case, rules: Rules, seen: Seen) -> None:
    host = host_in(case.url) or ""
    first, then = _reached(host, case.told_first(host)), _reached(host, case.told_then(host))
    _only(
        set(map(ip_address, seen.peers)) <= set(map(ip_address, then)),
        f"dialled are {seen.peers}, and {host} leads to {then}",
    )
    if seen.peers:
        _only(not _listed(host, rules.deny_hosts), "a denied host was called")
        _only(
            not rules.allow_hosts or _listed(host, rules.allow_hosts), "a host was called that is not allowed"
        )
    if first == then != ():
        _only(seen.refused == seen.blocked, "registration and the socket differ")
    if then != ():
        _only(seen.blocked is not None or bool(seen.peers), "neither blocked nor dialled")


def _reached(host: str, told: Answer) -> tuple[str, ...]:
    try:
        return resolved(host)
    except OSError:
        return told or ()


def _listed(host: str, patterns: Sequence[str]) -> bool:
    """An IPv4-mapped literal counts as the IPv4 address; the C library writes the one as the other's tail."""
    try:
        texts = [address.removeprefix("::ffff:") for address in resolved(host)]
    except OSError:
        texts = [host.removesuffix(".")]
    return any(fnmatchcase(text, pattern) for text in texts for pattern in patterns)


def _networks(patterns: Sequence[str]) -> Networks:
    return tuple(ip_network(pattern) for pattern in patterns if pattern[0].isdecimal())


def _only(holds: bool, wrong: str) -> None:  # noqa: FBT001 - a claim, as in assert
    if not holds:
        raise Wrong(wrong)


async def run(count: int, seed: int, tls: ssl.SSLContext) -> Counter[str]:
    """How often each thing happened. Raises Wrong with what it takes to see it again."""
    dice, happened = Random(seed), Counter[str]()
    async with AsyncExitStack() as closing:
        stacks = [Stack(rules, tls) for rules in EVERY_RULE]
        for stack in stacks:
            await closing.enter_async_context(stack.transport)
        for number in range(count):
            case, stack = hostile_case(dice, number), stacks[number % len(stacks)]
            seen = await stack.run(case)
            try:
                check(case, stack.rules, seen)
            except Wrong as wrong:
                raise Wrong(f"{wrong}\n{case}\n{stack.rules}\n{seen}\ncase {number} of seed {seed}") from None
            happened[
                "URLs that no client reads" if seen.url is None else "URLs that are registered or refused"
            ] += 1
            happened["refused at registration"] += seen.refused is not None
            happened["blocked at the socket"] += seen.blocked is not None
            happened["addresses dialled"] += len(seen.peers)
    return happened


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.guard.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=Random().getrandbits(32))
    given = parser.parse_args()
    sys.stdout.write(f"{given.count} hostile URLs, seed {given.seed}\n")
    happened = asyncio.run(run(given.count, given.seed, ssl.create_default_context()))
    sys.stdout.writelines(f"{times:>9,} {what}\n" for what, times in happened.items())


if __name__ == "__main__":
    main()
