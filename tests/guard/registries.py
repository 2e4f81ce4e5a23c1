"""The IANA special-purpose registries, read from the CSV files beside this module."""

import csv
import re
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path

FOLDER = Path(__file__).parent / "iana"
_FOOTNOTE = re.compile(r"\s*\[\d+\]$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`reachable` is None where the registry says N/A: of 6to4 and Teredo, whose inside decides."""

    network: IPv4Network | IPv6Network
    name: str
    reachable: bool | None


@cache
def rows() -> tuple[Row, ...]:
    """The narrowest first, so that the first that contains an address is the one that counts."""
    found = [row for version in (4, 6) for row in _read(FOLDER / f"iana-ipv{version}-special-registry-1.csv")]
    return tuple(sorted(found, key=lambda row: -row.network.prefixlen))


def row_of(address: IPv4Address | IPv6Address) -> Row | None:
    return next((row for row in rows() if address in row.network), None)


def _read(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return [
            Row(
                network=ip_network(_FOOTNOTE.sub("", block.strip())),
                name=line["Name"],
                reachable=_REACHABLE[_FOOTNOTE.sub("", line["Globally Reachable"])],
            )
            for line in csv.DictReader(file)
            for block in line["Address Block"].split(",")
        ]


_REACHABLE = {"True": True, "False": False, "N/A": None, "": False}  # a withdrawn row says nothing
