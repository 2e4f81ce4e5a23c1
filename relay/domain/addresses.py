"""Which addresses a callback may lead to: IANA's special-purpose registries written out, each refusal with its name.

`ipaddress.is_global` is no such policy: it passes NAT64 and 6to4 spellings of loopback, multicast and site-local.
Source: the IANA IPv4 and IPv6 Special-Purpose Address Registries, as of July 2026.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from relay.domain.hosts import NO_HOSTS, Address, Hosts, Network, as_dialled


class AllowHttp(StrEnum):
    """Where a callback may be plain http."""

    NEVER = "never"
    ALLOWED_NETWORKS = "allowed-networks"
    ALWAYS = "always"


class Verdict(StrEnum):
    PUBLIC = "public"
    ALLOWED = "allowed"
    """The operator named its network."""
    DENIED = "denied"
    """The operator named it, and not to be called."""
    UNSPECIFIED = "unspecified"
    LOOPBACK = "loopback"
    PRIVATE = "private"
    LINK_LOCAL = "link-local"
    CGNAT = "cgnat"
    METADATA = "metadata"
    MULTICAST = "multicast"
    DOCUMENTATION = "documentation"
    BENCHMARKING = "benchmarking"
    EMBEDDED_IPV4 = "embedded-ipv4"
    """An IPv6 spelling of an IPv4 address that nothing on the public Internet translates."""
    RESERVED = "reserved"

    @property
    def permits(self) -> bool:
        return self in {Verdict.PUBLIC, Verdict.ALLOWED}


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPolicy:
    """Beside public addresses, callbacks may lead into `allow_networks`.

    `allow_hosts`, unless it is empty, are the only hosts a URL may have; `deny_hosts` may be neither in a URL nor, where
    they are addresses, where a name leads. Hosts open no network: who may write a name's DNS could send it anywhere.
    """

    allow_networks: tuple[Network, ...] = ()
    allow_hosts: Hosts = NO_HOSTS
    deny_hosts: Hosts = NO_HOSTS
    allow_http: AllowHttp = AllowHttp.NEVER

    def allows(self, address: Address) -> bool:
        return any(address in network for network in self.allow_networks)

    def names(self, address: Address) -> bool:
        """A network of this one address is allowed."""
        return any(address in network and network.num_addresses == 1 for network in self.allow_networks)

    def longest_prefix(self, address: Address) -> int:
        """Of the networks that allow it, in bits; 0 where none does."""
        return max((network.prefixlen for network in self.allow_networks if address in network), default=0)


_WORDS: Final = {
    "loopback": ("127.0.0.0/8", "::1/128"),
    "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
}

# Metadata services hand out credentials; a network that happens to contain one does not open it, only its own address does.
_METADATA: Final[frozenset[Address]] = frozenset(
    map(
        ip_address,
        (
            "169.254.169.254",  # AWS, Azure, Google Cloud and most others
            "169.254.170.2",  # AWS ECS task credentials
            "169.254.170.23",  # AWS EKS pod identity
            "169.254.0.23",  # Tencent Cloud
            "169.254.42.42",  # Scaleway
            "100.96.0.96",  # Volcano Engine
            "100.100.100.200",  # Alibaba Cloud
            "168.63.129.16",  # Azure's host, though a public address
            "192.0.0.192",  # Oracle Cloud
            "fd00:ec2::254",  # AWS
            "fd00:ec2::23",  # AWS EKS pod identity
            "fd20:ce::254",  # Google Cloud
            "fd00:c1::a9fe:a9fe",  # Oracle Cloud
            "fd00:42::42",  # Scaleway
            "fd00:a9fe:a9fe::1",  # Akamai
            "fd00:100::100:200",  # Alibaba Cloud
            "fe80::a9fe:a9fe",  # OpenStack
        ),
    )
)

_Table = tuple[tuple[Network, Verdict], ...]

_V4_TABLE: Final[_Table] = tuple(
    (IPv4Network(network), verdict)
    for network, verdict in (
        ("0.0.0.0/8", Verdict.UNSPECIFIED),
        ("10.0.0.0/8", Verdict.PRIVATE),
        ("100.64.0.0/10", Verdict.CGNAT),
        ("127.0.0.0/8", Verdict.LOOPBACK),
        ("169.254.0.0/16", Verdict.LINK_LOCAL),
        ("172.16.0.0/12", Verdict.PRIVATE),
        ("192.0.0.0/24", Verdict.RESERVED),  # its anycasts answer at our own NAT
        ("192.0.2.0/24", Verdict.DOCUMENTATION),
        ("192.88.99.0/24", Verdict.RESERVED),  # 6to4 relay anycast, withdrawn
        ("192.168.0.0/16", Verdict.PRIVATE),
        ("198.18.0.0/15", Verdict.BENCHMARKING),
        ("198.51.100.0/24", Verdict.DOCUMENTATION),
        ("203.0.113.0/24", Verdict.DOCUMENTATION),
        ("224.0.0.0/4", Verdict.MULTICAST),
        ("240.0.0.0/4", Verdict.RESERVED),
    )
)

# The first match counts, so the narrow stands before the wide.
_V6_TABLE: Final[_Table] = tuple(
    (IPv6Network(network), verdict)
    for network, verdict in (
        ("::/128", Verdict.UNSPECIFIED),
        ("::1/128", Verdict.LOOPBACK),
        ("::/96", Verdict.EMBEDDED_IPV4),  # IPv4-compatible, withdrawn
        ("::ffff:0:0:0/96", Verdict.EMBEDDED_IPV4),  # SIIT: only a translator at home understands it
        ("64:ff9b::/96", Verdict.PUBLIC),  # NAT64
        ("64:ff9b:1::/48", Verdict.EMBEDDED_IPV4),  # NAT64 of local use
        ("2001::/32", Verdict.PUBLIC),  # Teredo
        ("2001:3::/32", Verdict.PUBLIC),  # AMT
        ("2001:4:112::/48", Verdict.PUBLIC),  # AS112
        ("2001:2::/48", Verdict.BENCHMARKING),
        ("2001::/23", Verdict.RESERVED),  # IETF protocol assignments, ORCHID among them
        ("2001:db8::/32", Verdict.DOCUMENTATION),
        ("3fff::/20", Verdict.DOCUMENTATION),
        ("2000::/3", Verdict.PUBLIC),
        ("fc00::/7", Verdict.PRIVATE),
        ("fe80::/10", Verdict.LINK_LOCAL),
        ("fec0::/10", Verdict.PRIVATE),  # site-local, withdrawn
        ("ff00::/8", Verdict.MULTICAST),
        ("::/0", Verdict.RESERVED),  # never handed out as global unicast
    )
)

_COMPATIBLE: Final = IPv6Network("::/96")
_NOT_COMPATIBLE: Final = IPv6Network("::/127")
_SIIT: Final = IPv6Network("::ffff:0:0:0/96")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL: Final = IPv6Network("64:ff9b:1::/48")
_TEREDO: Final = IPv6Network("2001::/32")
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")

_STAND_FOR_IPV4: Final = (_NAT64, _TEREDO, _SIX_TO_FOUR)
"""As public as what they embed, and as allowed."""

_ISATAP: Final = 0x5EFE
_ISATAP_FLAGS: Final = 0x0300_0000
"""The universal and the group bit of an interface identifier."""


def parse_networks(words: Iterable[str]) -> tuple[Network, ...]:
    """Read CIDRs, single addresses and the words `loopback` and `private`; ValueError says which one it could not read."""
    return tuple(ip_network(text) for word in words for text in _WORDS.get(word.strip(), (word.strip(),)))


def judge(address: Address, policy: NetworkPolicy) -> Verdict:
    """An IPv6 address is judged by every IPv4 address inside it first, and then by itself."""
    address = as_dialled(address)
    if isinstance(address, IPv4Address):
        return _judge(address, policy, _V4_TABLE)
    inside = [_judge(inner, policy, _V4_TABLE) for inner in _embedded(address, policy)]
    refused = next((verdict for verdict in inside if not verdict.permits), None)
    if refused is not None:
        return refused
    verdict = _judge(address, policy, _V6_TABLE)
    if verdict is Verdict.PUBLIC and any(address in network for network in _STAND_FOR_IPV4):
        return Verdict.PUBLIC if Verdict.PUBLIC in inside else Verdict.ALLOWED
    return verdict


def url_rule(scheme: str, host: str, literal: Address | None, policy: NetworkPolicy) -> str | None:
    """The rule against calling `host` by `scheme` wherever it leads; `literal` is the address that the host is, if any."""
    if scheme == "http" and policy.allow_http is AllowHttp.NEVER:
        return "callbacks must use https"
    if policy.deny_hosts.list(host, literal):
        return "callbacks may not go to hosts the operator has denied"
    if policy.allow_hosts and not policy.allow_hosts.list(host, literal):
        return "callbacks may go only to hosts the operator has allowed"
    return None


def address_rule(scheme: str, address: Address, policy: NetworkPolicy) -> str | None:
    """The rule against calling `address` by `scheme`, in words that do not give the address away."""
    verdict = judge(address, policy)
    if not verdict.permits:
        return f"callbacks may not lead to {verdict} addresses"
    if scheme == "http" and verdict is not Verdict.ALLOWED and policy.allow_http is not AllowHttp.ALWAYS:
        return "callbacks may use plain http only into networks the operator has allowed"
    return None


def _judge(address: Address, policy: NetworkPolicy, table: _Table) -> Verdict:
    if policy.deny_hosts.list_address(address):
        return Verdict.DENIED
    if address in _METADATA:
        return Verdict.ALLOWED if policy.names(address) else Verdict.METADATA
    if policy.allows(address):
        return Verdict.ALLOWED
    return next((verdict for network, verdict in table if address in network), Verdict.PUBLIC)


def _embedded(address: IPv6Address, policy: NetworkPolicy) -> Iterator[IPv4Address]:
    bits = int(address)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    in_the_last_32 = (
        bits >> 32 & 0xFFFF_FFFF & ~_ISATAP_FLAGS == _ISATAP
        or address in _NAT64
        or address in _SIIT
        or (address in _COMPATIBLE and address not in _NOT_COMPATIBLE)
    )
    if in_the_last_32:
        yield IPv4Address(bits & 0xFFFF_FFFF)
    if address in _NAT64_LOCAL:
        yield from _translations(bits, policy.longest_prefix(address))


def _translations(bits: int, shortest: int) -> Iterator[IPv4Address]:
    """What an address means to a NAT64 whose prefix has at least `shortest` bits (RFC 6052, section 2.2).

    Bits 64 to 71 belong to no IPv4 address but the last. Read by a length that is not the translator's, an address
    mostly begins with zero, where nothing can be called.
    """
    behind = bits & (2**56 - 1)
    readings = {
        48: (bits >> 64 & 0xFFFF) << 16 | behind >> 40,
        56: (bits >> 64 & 0xFF) << 24 | behind >> 32,
        64: behind >> 24,
        96: bits & 0xFFFF_FFFF,
    }
    for length in sorted(readings, reverse=True):
        if length >= shortest and readings[length] >> 24:
            yield IPv4Address(readings[length])
