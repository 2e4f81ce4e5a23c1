"""URLs as an attacker writes them, from seeded dice: half of them nobody should read, the other half lead anywhere."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from random import Random
from types import MappingProxyType
from typing import Final, TypeVar

from tests.guard.registries import rows

_T = TypeVar("_T")

Answer = tuple[str, ...] | None
"""What DNS says of a name; None where it says nothing."""

FAMILIAR: Final[Mapping[str, Answer]] = MappingProxyType(
    {
        "localhost": ("127.0.0.1", "::1"),
        "denied.example": ("93.184.216.34",),
        "below.example": ("93.184.216.34",),
        "allowed.example": ("93.184.216.34", "2606:4700::1111"),
    }
)
"""Names that lead to the same in every case."""

_SPECIAL_4, _SPECIAL_6 = (
    [
        (int(row.network.network_address), int(row.network.broadcast_address))
        for row in rows()
        if row.network.version == version
    ]
    for version in (4, 6)
)
_FAMOUS: Final = [
    int(IPv4Address(text))
    for text in (
        "127.0.0.1",
        "10.0.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.100.100.200",
        "8.8.8.8",
        "1.1.1.1",
    )
]
_SPOILERS: Final = "\t\n\r\0 \\/?#@:;,%[]\u3002\uff0e\u00ad\u200b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """DNS says `first` of every other name when the URL is registered, and `then` when it is called."""

    url: str
    first: Answer
    then: Answer

    def told_first(self, name: str) -> Answer:
        return FAMILIAR.get(name.removesuffix("."), self.first)

    def told_then(self, name: str) -> Answer:
        return FAMILIAR.get(name.removesuffix("."), self.then)


def hostile_case(dice: Random, number: int) -> Case:
    """Names have the number in them, for the sake of caches."""
    first = _answer(dice)
    then = first if dice.random() < 0.6 else _answer(dice)
    return Case(url=_url(dice, number), first=first, then=then)


def _answer(dice: Random) -> Answer:
    if _one_in(dice, 8):
        return None
    public = not _one_in(dice, 2)
    return tuple(
        str(_public(dice) if public else _v4(dice) if _one_in(dice, 2) else _v6(dice))
        for _ in range(dice.randint(1, 4))
    )


def _url(dice: Random, number: int) -> str:
    scheme = _one_of(dice, "https://", "http://", "http://", "HTTP://", "hTTps://")
    if _one_in(dice, 30):
        scheme = _one_of(
            dice, "", "//", "http:", "http:/", "http:\\\\", "http:///", "ftp://", "ws://", "\thttp://"
        )
    host = _one_of(dice, _v4_text, _v6_text, _v6_text, _name)(dice, number)
    url = scheme + _user(dice) + host + _port(dice) + _target(dice)
    if _one_in(dice, 12):
        at = dice.randrange(len(url) + 1)
        url = url[:at] + dice.choice(_SPOILERS) + url[at:]
    if _one_in(dice, 20):
        url = _percent(dice, url)
    return url


def _user(dice: Random) -> str:
    if not _one_in(dice, 12):
        return ""
    return _one_of(
        dice,
        "user@",
        "user:word@",
        "8.8.8.8@",
        "8.8.8.8:80@",
        "a@b@",
        "@",
        "8.8.8.8#@",
        "8.8.8.8\\@",
        "8.8.8.8%00@",
    )


def _port(dice: Random) -> str:
    if _one_in(dice, 12):
        return _one_of(dice, ":0", ":", ":65536", ":080", ":-1", ":x", ":80:90", ":+1", ":\u0661")
    return _one_of(dice, "", "", "", ":80", ":443", ":8080", ":65535", ":1")


def _target(dice: Random) -> str:
    if _one_in(dice, 12):
        return _one_of(dice, "#", "/#x", "/\\10.0.0.1", ";x", "/?")
    return _one_of(dice, "", "/", "/a/../b", "//x", "?a=b", "/?u=http://10.0.0.1/", "/@10.0.0.1", "/%2e%2e")


def _name(dice: Random, number: int) -> str:
    name = _one_of(
        dice,
        f"n{number}.example",
        f"n{number}.example",
        f"a_b-{number}.example",
        f"xn--bcher-{number}.example",
        f"127.0.0.1.n{number}.example",
        f"b\u00fccher{number}.example",
        f"n{number}.\u0435xample",
        f"-{number}.example",
        f"n{number}..example",
        f"*.n{number}.example",
        f"n{number}.127",
        f"n{number}.0x7f",
        f"n{number}.denied.example",
        f"n{number}.below.example",
        f"n{number}.allowed.example",
        *FAMILIAR,
    )
    name = "".join(letter.upper() if _one_in(dice, 6) else letter for letter in name)
    return name + _one_of(dice, "", "", "", ".", "..")


def _v4_text(dice: Random, _: int) -> str:
    return _spelled_v4(dice, _v4(dice)) + ("." if _one_in(dice, 20) else "")


def _spelled_v4(dice: Random, address: IPv4Address) -> str:
    if _one_in(dice, 2):
        return str(address)
    parts = list(address.packed)
    kept = dice.randrange(4)
    last = int.from_bytes(bytes(parts[kept:]))
    if _one_in(dice, 10):
        last += 2 ** (8 * (4 - kept))
    texts = [_number(dice, part) for part in (*parts[:kept], last)]
    text = ".".join(texts)
    return _wide(dice, text) if _one_in(dice, 12) else text


def _number(dice: Random, value: int) -> str:
    return _one_of(
        dice,
        f"{value}",
        f"{value}",
        f"0{value:o}",
        f"0x{value:x}",
        f"0X{value:X}",
        f"{value:03}",
        f"0x{value:08x}",
        f"{value:012o}",
    )


def _wide(dice: Random, text: str) -> str:
    """Digits that IDNA and some number parsers take for digits."""
    first = _one_of(dice, 0xFF10, 0x0660, 0x1D7CE)
    return "".join(
        chr(first + int(letter)) if letter.isascii() and letter.isdecimal() else letter for letter in text
    )


def _v6_text(dice: Random, _: int) -> str:
    address = _v6(dice)
    text = dice.choice(_SPELLINGS)(address)
    if _one_in(dice, 15):
        text += _one_of(dice, "%1", "%25eth0", "%lo", "%", "%25", "::", ":0", "/64", ".")
    if _one_in(dice, 8):
        return _one_of(dice, text, f"[{text}", f"[[{text}]]", f"[{text}]x", f"[{text}].example")
    return f"[{text}]"


def _dotted(address: IPv6Address) -> str:
    """With its last 32 bits as IPv4 is written."""
    groups = address.exploded.split(":")[:6]
    return ":".join(groups) + f":{IPv4Address(address.packed[12:])}"


_SPELLINGS: Final[list[Callable[[IPv6Address], str]]] = [
    str,
    str,
    lambda address: address.exploded,
    lambda address: str(address).upper(),
    _dotted,
]


def _v4(dice: Random) -> IPv4Address:
    match dice.randrange(5):
        case 0:
            value = dice.choice(_FAMOUS)
        case 1:
            value = _edge(dice, _SPECIAL_4)
        case 2:
            value = dice.randint(*dice.choice(_SPECIAL_4))
        case _:
            value = dice.getrandbits(32)
    return IPv4Address(value % 2**32)


def _v6(dice: Random) -> IPv6Address:
    match dice.randrange(10):
        case 0:
            value = _edge(dice, _SPECIAL_6)
        case 1:
            value = dice.randint(*dice.choice(_SPECIAL_6))
        case 2:
            value = _one_of(dice, 0, 0x7F << 121) | dice.getrandbits(121)
        case 3 | 4:
            value = _unicast(dice)
        case _:
            value = dice.choice(_EMBEDDINGS)(dice, int(_v4(dice)), int(_v4(dice)))
    return IPv6Address(value % 2**128)


def _edge(dice: Random, blocks: list[tuple[int, int]]) -> int:
    first, last = dice.choice(blocks)
    return _one_of(dice, first - 1, first, last, last + 1)


def _public(dice: Random) -> IPv4Address | IPv6Address:
    if _one_in(dice, 2):
        return IPv4Address(0x5DB8_0000 | dice.getrandbits(16))
    return IPv6Address(0x2606_4700 << 96 | dice.getrandbits(64))


def _unicast(dice: Random) -> int:
    return 1 << 125 | dice.getrandbits(125)


_EMBEDDINGS: Final[list[Callable[[Random, int, int], int]]] = [
    lambda _, a, b: 0xFFFF << 32 | a,
    lambda _, a, b: a,
    lambda _, a, b: 0xFFFF << 48 | a,
    lambda _, a, b: 0x0064_FF9B << 96 | a,
    lambda dice, a, b: 0x0064_FF9B_0001 << 80 | dice.getrandbits(16) << 64 | a,
    lambda _, a, b: 0x0064_FF9B_0001 << 80 | (a >> 16) << 64 | (a & 0xFFFF) << 40,
    lambda _, a, b: 0x0064_FF9B_0001 << 80 | (a >> 24) << 64 | (a & 0xFF_FFFF) << 32,
    lambda _, a, b: 0x0064_FF9B_0001 << 80 | a << 24,
    lambda dice, a, b: 0x2002 << 112 | a << 80 | dice.getrandbits(80),
    lambda dice, a, b: 0x2002 << 112 | a << 80 | dice.choice([0, 1, 2, 3]) << 56 | 0x5EFE << 32 | b,
    lambda dice, a, b: 0x2001_0000 << 96 | a << 64 | dice.getrandbits(32) << 32 | (b ^ 0xFFFF_FFFF),
    lambda dice, a, b: _unicast(dice) >> 64 << 64 | dice.choice([0, 1, 2, 3]) << 56 | 0x5EFE << 32 | a,
]


def _percent(dice: Random, url: str) -> str:
    at = dice.randrange(len(url))
    return url[:at] + "".join(f"%{byte:02x}" for byte in url[at].encode()) + url[at + 1 :]


def _one_in(dice: Random, many: int) -> bool:
    return dice.randrange(many) == 0


def _one_of(dice: Random, *these: _T) -> _T:
    return these[dice.randrange(len(these))]
