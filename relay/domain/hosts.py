"""Lists of hosts as an operator writes them: `hooks.example.com`, `*.example.com`, `192.0.2.7`, `2001:db8::/32`."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

from relay.domain.urls import UnusableUrl, parse_host

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_WILDCARD: Final = "*."


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """`parents` are names whose subdomains are listed, at any depth, but not they themselves."""

    names: frozenset[str] = frozenset()
    parents: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.names or self.parents or self.networks)

    def list(self, host: str, literal: Address | None) -> bool:
        """`host` in lower case, and the address that it is if it is one; a dot at its end changes nothing."""
        if literal is not None:
            return self.list_address(literal)
        name = host.removesuffix(".")
        return name in self.names or any(parent in self.parents for parent in _parents(name))

    def list_address(self, address: Address) -> bool:
        address = as_dialled(address)
        return any(address in network for network in self.networks)


NO_HOSTS: Final = Hosts()


def parse_hosts(texts: Iterable[str]) -> Hosts:
    """ValueError says what is wrong with the first that cannot be read, without repeating it."""
    names, parents, networks = set[str](), set[str](), set[Network]()
    for text in map(str.strip, texts):
        if "/" in text:
            networks.add(_network(text))
            continue
        rest = text.removeprefix(_WILDCARD)
        host, literal = _host(rest)
        if literal is None:
            (names if rest == text else parents).add(host.removesuffix("."))
        elif rest == text:
            networks.add(ip_network(as_dialled(literal)))
        else:
            raise ValueError("must have a name after its *.")
    return Hosts(
        names=frozenset(names), parents=frozenset(parents), networks=tuple(sorted(networks, key=str))
    )


def as_dialled(address: Address) -> Address:
    """The kernel dials IPv4 for an IPv4-mapped address; a zone, which makes an address unequal to itself, is left out."""
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError("must be a network without host bits where it has a /") from None


def _host(text: str) -> tuple[str, Address | None]:
    try:
        return parse_host(f"[{text}]" if text.count(":") > 1 and not text.startswith("[") else text.lower())
    except UnusableUrl as unusable:
        raise ValueError(str(unusable)) from None


def _parents(name: str) -> Iterable[str]:
    labels = name.split(".")
    return (".".join(labels[above:]) for above in range(1, len(labels)))
