"""Secrets found in what strangers write: as they are, and as JSON, URLs and HTML spell them."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from html.entities import html5
from typing import Final

_MASK: Final = b"***"
_SHORTEST_SECRET: Final = 8
_SHORTEST_BEGINNING: Final = 4
_DEEPEST: Final = 2
"""Spellings within one another: JSON that is shown in HTML, or as text in other JSON."""

# What a callback may show of a value: what follows its scheme, words, parameters, and what stands for itself everywhere.
_PARTS: Final = tuple(
    re.compile(part)
    for part in (rb"(?<=\s)\S.*", rb"[^\s,;\"']{8,}", rb"[^\s,;\"'=]{8,}", rb"[A-Za-z0-9._~-]{8,}")
)
_CONTROLS: Final[Mapping[bytes, bytes]] = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_ENTITIES: Final[Mapping[str, str]] = {
    name: character for name, character in html5.items() if len(character) == 1 and character.isascii()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spelling:
    """`escape` matches what stands for something else, also the beginning of one that ends the text; `read` tells for what."""

    escape: re.Pattern[bytes]
    read: Callable[[re.Match[bytes]], bytes]

    def reading(self, text: bytes) -> bytes:
        return self.escape.sub(self.read, text)

    def places(self, text: bytes) -> list[int]:
        """Where each byte of the reading begins in the text, and where the last one ends."""
        places: list[int] = []
        end = 0
        for match in self.escape.finditer(text):
            places += range(end, match.start())
            places += range(match.start(), match.start() + len(self.read(match)))
            end = match.end()
        places += range(end, len(text) + 1)
        return places


def _backslash(match: re.Match[bytes]) -> bytes:
    code, itself = match[1] or match[2], match[3] or b""
    return bytes.fromhex(code.decode()) if code else _CONTROLS.get(itself, itself)


def _percent(match: re.Match[bytes]) -> bytes:
    return bytes.fromhex((match[1] or b"").decode())


def _entity(match: re.Match[bytes]) -> bytes:
    hexadecimal, decimal, name = match.groups()
    if hexadecimal or decimal:
        code = int(hexadecimal, 16) if hexadecimal else int(decimal)
        return bytes((code,)) if code < 0x80 else match[0]  # noqa: PLR2004 - ASCII ends there, as the values do
    return _ENTITIES.get(name.decode(), match[0].decode()).encode() if name else b""


_SPELLINGS: Final = (
    _Spelling(
        escape=re.compile(
            rb"\\(?:u00([0-9A-Fa-f]{2})|x([0-9A-Fa-f]{2})|(?:u[0-9A-Fa-f]{0,3}|x[0-9A-Fa-f]?)?\Z|(.))",
            re.DOTALL,
        ),
        read=_backslash,
    ),
    _Spelling(escape=re.compile(rb"%(?:([0-9A-Fa-f]{2})|[0-9A-Fa-f]?\Z)"), read=_percent),
    _Spelling(
        escape=re.compile(
            rb"&(?:#[xX]([0-9A-Fa-f]{1,6});|#([0-9]{1,7});|([A-Za-z]{2,17};)|#?[0-9A-Za-z]{0,17}\Z)"
        ),
        read=_entity,
    ),
)


class Masking:
    """Leaves values, and parts of them, out of texts. What has fewer than 8 characters is no secret, and stays."""

    def __init__(self, values: Iterable[bytes]) -> None:
        found = {part for value in values for part in _parts(value)}
        self._secrets = sorted(_spaced(part) for part in found if len(part) >= _SHORTEST_SECRET)

    def __call__(self, text: bytes) -> bytes:
        kept: list[bytes] = []
        end = 0
        for span in _joined(self._found(text, _DEEPEST)):
            kept.append(text[end : span.start])
            end = span.stop
        return _MASK.join((*kept, text[end:]))

    def _found(self, text: bytes, depth: int) -> Iterator[range]:
        """Where the secrets stand, in no order; the work grows with the text, however it is written."""
        yield from self._standing(_spaced(text))
        for spelling in _SPELLINGS if depth else ():
            reading = spelling.reading(text)
            if reading == text:
                continue
            places: list[int] = []
            for span in self._found(reading, depth - 1):
                places = places or spelling.places(text)
                yield range(places[span.start], places[span.stop])

    def _standing(self, text: bytes) -> Iterator[range]:
        for secret in self._secrets:
            begin = text.find(secret)
            while begin >= 0:
                yield range(begin, begin + len(secret))
                begin = text.find(secret, begin + len(secret))
            # What a bound cut off in the middle of a secret is the beginning of one.
            begin = text.find(secret[:_SHORTEST_BEGINNING], max(0, len(text) - len(secret) + 1))
            while begin >= 0:
                if secret.startswith(text[begin:]):
                    yield range(begin, len(text))
                    break
                begin = text.find(secret[:_SHORTEST_BEGINNING], begin + 1)


def _parts(value: bytes) -> Iterator[bytes]:
    yield value
    for part in _PARTS:
        yield from part.findall(value)


def _spaced(text: bytes) -> bytes:
    """Forms write a space as a plus: here they are one."""
    return text.replace(b"+", b" ")


def _joined(spans: Iterable[range]) -> Iterator[range]:
    """In order, those that overlap as one."""
    whole: range | None = None
    for span in sorted(spans, key=lambda span: span.start):
        if whole is None:
            whole = span
        elif span.start < whole.stop:
            whole = range(whole.start, max(whole.stop, span.stop))
        else:
            yield whole
            whole = span
    if whole is not None:
        yield whole
