"""A second opinion on every address: CPython's `getaddrinfo` and IANA's registries as CSV, and nothing of the relay's.

It takes IPv6 addresses apart by their bytes, where the relay does it by bits and networks.
"""

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from tests.guard.registries import row_of

Networks = tuple[IPv4Network | IPv6Network, ...]

_NAT64 = bytes.fromhex("0064ff9b0000000000000000")
_NAT64_LOCAL = bytes.fromhex("0064ff9b0001")
_MAPPED = bytes(10) + b"\xff\xff"
_SIIT = bytes(8) + b"\xff\xff\x00\x00"


def resolved(host: str) -> tuple[str, ...]:
    """What the C library dials for a host that is a number in any spelling, asking no DNS; OSError for other hosts."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    return tuple(dict.fromkeys(str(peer[0]) for *_, peer in found))


def host_in(url: str) -> str | None:
    """The host as CPython's own URL parser reads it."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def is_global(text: str) -> bool:
    return may_be_called(text, ())


def may_be_called(text: str, allowed: Networks) -> bool:
    """Whether it and all inside it are globally reachable or in what an operator allowed."""
    address = _dialled(text)
    return all(_reachable(each) or is_in(each, allowed) for each in (address, *inside(address)))


def leads_into(text: str, networks: Networks) -> bool:
    """Whether it, or all inside it, is in the networks."""
    address = _dialled(text)
    embedded = list(inside(address))
    return is_in(address, networks) or (bool(embedded) and all(is_in(each, networks) for each in embedded))


def is_in(address: IPv4Address | IPv6Address, networks: Networks) -> bool:
    return any(address in network for network in networks)


def inside(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address]:
    """Every IPv4 address that an IPv6 address of the public internet may stand for or be a tunnel to."""
    if isinstance(address, IPv4Address):
        return
    packed = address.packed
    if packed[:2] == b"\x20\x02":
        yield IPv4Address(packed[2:6])
    if packed[:4] == b"\x20\x01\x00\x00":
        yield IPv4Address(packed[4:8])
        yield IPv4Address(bytes(byte ^ 0xFF for byte in packed[12:]))
    if packed[:12] in {_NAT64, _SIIT} or (packed[:12] == bytes(12) and any(packed[12:15])):
        yield IPv4Address(packed[12:])
    if packed[:6] == _NAT64_LOCAL:
        readings = (packed[6:8] + packed[9:11], packed[7:8] + packed[9:12], packed[9:13], packed[12:])
        yield from (IPv4Address(reading) for reading in readings if reading[0])
    if packed[8] in range(4) and packed[9:12] == b"\x00\x5e\xfe":
        yield IPv4Address(packed[12:])


def _dialled(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(resolved(text)[0].partition("%")[0])
    if isinstance(address, IPv6Address) and address.packed.startswith(_MAPPED):
        return IPv4Address(address.packed[12:])
    return address


def _reachable(address: IPv4Address | IPv6Address) -> bool:
    row = row_of(address)
    if row is not None:
        return row.reachable is not False
    # These are in registries of their own, which CPython knows.
    site_local = isinstance(address, IPv6Address) and address.is_site_local
    return not (address.is_multicast or address.is_reserved or site_local)
