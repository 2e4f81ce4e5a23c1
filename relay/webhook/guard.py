"""What callbacks may lead to: judged when they are registered, and again at each address that is dialled."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from types import TracebackType
from typing import Final, Self

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult

from relay.domain.addresses import NetworkPolicy, address_rule, url_rule
from relay.domain.urls import CallbackUrl, UnusableUrl, parse_host
from relay.transport import AiohttpTransport, BlockedAddress
from relay.webhook.names import Lookup, Lookups

LOOKUP_SECONDS: Final = 1.0
"""For all names of one request together."""
LOOKUPS_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    rule: str


class Guard:
    """The verdict at registration. It is the same as at delivery, as far as names can be resolved in time."""

    def __init__(self, policy: NetworkPolicy, lookups: Lookups) -> None:
        self._policy = policy
        self._lookups = lookups

    async def judge(self, client: str, url: CallbackUrl) -> Refusal | None:
        return (await self.judge_all(client, (url,)))[0]

    async def judge_all(self, client: str, urls: Sequence[CallbackUrl]) -> list[Refusal | None]:
        """In the order of `urls`; a name that cannot be resolved now may be there when it is needed, and is let pass."""
        found = await _look_up(self._lookups(client), {url.host for url in urls if self._must_look_up(url)})
        hosts = {(url.scheme, url.host): url for url in urls}
        refusals = {host: self._refusal(url, found) for host, url in hosts.items()}
        return [refusals[url.scheme, url.host] for url in urls]

    def _must_look_up(self, url: CallbackUrl) -> bool:
        return url.literal is None and self._url_rule(url) is None

    def _refusal(self, url: CallbackUrl, found: Mapping[str, tuple[str, ...]]) -> Refusal | None:
        addresses = found.get(url.host, ()) if url.literal is None else (url.host,)
        rule = self._url_rule(url) or rule_against(url.scheme, addresses, self._policy)
        return None if rule is None else Refusal(rule=rule)

    def _url_rule(self, url: CallbackUrl) -> str | None:
        return url_rule(url.scheme, url.host, url.literal, self._policy)


async def _look_up(lookup: Lookup, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Those that are found in time."""
    found: dict[str, tuple[str, ...]] = {}
    gate = asyncio.Semaphore(LOOKUPS_AT_ONCE)

    async def one(name: str) -> None:
        async with gate:
            with contextlib.suppress(OSError):
                found[name] = await lookup(name)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LOOKUP_SECONDS), asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(one(name))
    return found


def _socket(info: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol, *_ = info
    return socket.socket(family, kind, protocol)


class GuardedTransport(httpx.AsyncBaseTransport):
    """Dials what the policy permits and raises BlockedAddress for the rest. Enter it before use.

    Each scheme has connections of its own: what may be dialled by https may not always be dialled by http, and neither
    a name's cached addresses nor an idle connection says which it was judged for. `open_socket` is asked for each address
    that may be dialled, and for no other.
    """

    def __init__(
        self,
        policy: NetworkPolicy,
        lookup: Lookup,
        tls: ssl.SSLContext,
        *,
        open_socket: aiohttp.SocketFactoryType = _socket,
    ) -> None:
        self._policy = policy
        self._by_scheme = {
            scheme: AiohttpTransport(
                tls,
                resolver=_JudgingResolver(scheme, policy, lookup),
                socket_factory=_judging_factory(scheme, policy, open_socket),
            )
            for scheme in ("https", "http")
        }

    async def __aenter__(self) -> Self:
        for transport in self._by_scheme.values():
            await transport.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        for transport in self._by_scheme.values():
            await transport.aclose()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        if (rule := _rule_against_url(url.scheme, url.raw_host.decode(), self._policy)) is not None:
            raise BlockedAddress(rule, final=True)
        return await self._by_scheme[url.scheme].handle_async_request(request)


def _rule_against_url(scheme: str, host: str, policy: NetworkPolicy) -> str | None:
    try:
        _, literal = parse_host(f"[{host}]" if ":" in host else host)
    except UnusableUrl as unusable:
        return str(unusable)
    return url_rule(scheme, host, literal, policy)


def rule_against(scheme: str, addresses: Iterable[str], policy: NetworkPolicy) -> str | None:
    """One address that may not be dialled refuses them all: a resolver could hand out any of them next time."""
    rules = (address_rule(scheme, ip_address(address), policy) for address in addresses)
    return next((rule for rule in rules if rule is not None), None)


class _JudgingResolver(AbstractResolver):
    def __init__(self, scheme: str, policy: NetworkPolicy, lookup: Lookup) -> None:
        self._scheme = scheme
        self._policy = policy
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self._lookup(host)
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
        if (rule := rule_against(self._scheme, addresses, self._policy)) is not None:
            raise BlockedAddress(rule, final=False)
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """The lookup belongs to whoever handed it in."""


def _judging_factory(
    scheme: str, policy: NetworkPolicy, open_socket: aiohttp.SocketFactoryType
) -> aiohttp.SocketFactoryType:
    """A resolver is never asked about literals: this sees each address about to be dialled.

    The addresses of a name have been judged before they come here, so whatever is refused here stood in the URL.
    """

    def dial(info: aiohttp.AddrInfoType) -> socket.socket:
        *_, peer = info
        if (rule := rule_against(scheme, (str(peer[0]),), policy)) is not None:
            raise BlockedAddress(rule, final=True)
        return open_socket(info)

    return dial
