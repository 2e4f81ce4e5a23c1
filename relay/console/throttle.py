"""How often somebody may show a wrong token before the next one is not even looked at."""

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

from relay.domain.instants import MINUTE, SECOND, Instant, Span

MOST_FAILURES: Final = 10
WITHIN: Final = Span(1 * MINUTE)
MOST_ADDRESSES: Final = 1_000
"""Beyond so many the one that failed first is forgotten."""

_ONE_HOUSEHOLD: Final = 64  # the bits that an IPv6 host is given; the rest it makes up as it likes


@dataclass(frozen=True, slots=True)
class _Failures:
    since: Instant
    count: int


class Throttle:
    def __init__(self) -> None:
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def wait(self, address: str, now: Instant) -> int:
        """Seconds until the address may try again; 0 where it may."""
        failures = self._failures.get(_household(address))
        if failures is None or failures.count < MOST_FAILURES or now >= failures.since + WITHIN:
            return 0
        return -(-(failures.since + WITHIN - now) // SECOND)

    def failed(self, address: str, now: Instant) -> None:
        name = _household(address)
        known = self._failures.get(name)
        if known is not None and now < known.since + WITHIN:
            self._failures[name] = _Failures(known.since, known.count + 1)
            return
        self._failures.pop(name, None)
        self._failures[name] = _Failures(now, 1)
        if len(self._failures) > MOST_ADDRESSES:
            self._failures.popitem(last=False)


def _household(address: str) -> str:
    try:
        known = ip_address(address)
    except ValueError:
        return address
    if isinstance(known, IPv6Address) and known.ipv4_mapped is None:
        return str(IPv6Network((int(known), _ONE_HOUSEHOLD), strict=False))
    return str(known)
