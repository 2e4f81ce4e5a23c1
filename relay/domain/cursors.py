"""Places in a client's order of events, as callers keep them."""

import re
from dataclasses import dataclass
from typing import Final

STORE_BITS: Final = 63
"""How many random bits name a store: one that was restored from a backup goes on under another name."""
PATTERN: Final = "^[0-9a-f]{16}-(0|[1-9][0-9]{0,17})$"

_CURSOR: Final = re.compile(PATTERN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Whoever is here has seen the events of this store up to `position`; what comes next lies beyond it."""

    store: int
    position: int

    @property
    def text(self) -> str:
        return f"{self.store:016x}-{self.position}"


def parse_cursor(text: str) -> Cursor | None:
    if not text.isascii() or not _CURSOR.fullmatch(text):
        return None
    store, _, position = text.partition("-")
    return Cursor(store=int(store, 16), position=int(position))
