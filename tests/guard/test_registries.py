from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from random import Random

import pytest

from relay.domain.addresses import NetworkPolicy, Verdict, judge
from tests.guard.oracle import is_global
from tests.guard.registries import Row, row_of, rows

STRICT = NetworkPolicy()

REACHABLE_AND_REFUSED = {
    "Port Control Protocol Anycast": "answered by the NAT in front of the relay",
    "Traversal Using Relays around NAT Anycast": "answered by the NAT in front of the relay",
    "DNS-SD Service Registration Protocol Anycast": "answered by the network the relay is in",
    "ORCHIDv2": "a hash and no locator",
    "Drone Remote ID Protocol Entity Tags (DETs) Prefix": "a hash and no locator",
}
"""What IANA calls globally reachable and the relay calls nobody at, by the reason."""


EMBEDDING = frozenset(map(ip_network, ("::ffff:0:0/96", "64:ff9b::/96", "2001::/32", "2002::/16")))
"""Judged by what is inside."""


def some_of(row: Row) -> list[IPv4Address | IPv6Address]:
    """Addresses of this row and of none within it."""
    dice = Random(str(row.network))
    size = row.network.num_addresses
    chosen = [0, size - 1, *(dice.randrange(size) for _ in range(20))]
    return [address for index in chosen if row_of(address := row.network[index]) == row]


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row.network))
def test_every_row_of_the_registries_is_judged_as_it_says(row: Row) -> None:
    for address in some_of(row):
        permitted = judge(address, STRICT).permits

        if row.network in EMBEDDING:
            assert permitted == is_global(str(address))
        else:
            assert permitted == (row.reachable is True and row.name not in REACHABLE_AND_REFUSED)


def test_there_is_a_row_for_each_exception() -> None:
    assert {row.name for row in rows() if row.reachable} >= REACHABLE_AND_REFUSED.keys()
    assert len(rows()) == 51


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row.network))
def test_the_neighbours_of_every_row_are_judged_by_themselves(row: Row) -> None:
    first, last = int(row.network.network_address), int(row.network.broadcast_address)
    family = type(row.network.network_address)
    neighbours = [family(at) for at in (first - 1, last + 1) if 0 <= at < 2**row.network.max_prefixlen]

    for neighbour in neighbours:
        assert is_global(str(neighbour)) or not judge(neighbour, STRICT).permits


def test_whatever_is_permitted_is_global_by_the_registries() -> None:
    dice = Random(0)
    anywhere = [IPv6Address(dice.getrandbits(128)) for _ in range(1000)]
    unicast = [IPv6Address(1 << 125 | dice.getrandbits(125)) for _ in range(1000)]
    v4 = [ip_address(dice.getrandbits(32)) for _ in range(2000)]

    permitted = [address for address in (*anywhere, *unicast, *v4) if judge(address, STRICT).permits]

    assert len(permitted) > 2000
    assert [address for address in permitted if not is_global(str(address))] == []


@pytest.mark.parametrize(("family", "bits", "first"), [(IPv4Address, 32, 0), (IPv6Address, 125, 1 << 125)])
def test_what_is_global_is_public(
    family: type[IPv4Address] | type[IPv6Address], bits: int, first: int
) -> None:
    dice = Random(bits)
    addresses = [family(first | dice.getrandbits(bits)) for _ in range(2000)]

    refused = [address for address in addresses if judge(address, STRICT) is not Verdict.PUBLIC]

    assert [address for address in refused if is_global(str(address))] == []
