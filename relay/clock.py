"""The only lines that read a clock."""

import time
from collections.abc import Callable
from typing import Final

from relay.domain.instants import HOUR, Instant, Span

LARGEST_STEP: Final = HOUR
"""A reference clock that is further off than this is not believed until somebody says so."""


class Clock:
    """`now` is monotonic plus an offset that follows a reference clock: the wall clock on SQLite, the database's on PostgreSQL.

    Both sources answer in microseconds; tests hand in their own.
    """

    def __init__(self, monotonic: Callable[[], int], wall: Callable[[], int]) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._offset = wall() - monotonic()
        self.skew = Span(0)
        """How far ahead of `now` the reference was when it was last read."""

    def now(self) -> Instant:
        return Instant(self._monotonic() + self._offset)

    def wall(self) -> Instant:
        """What the machine's own clock says, for what others compare with theirs."""
        return Instant(self._wall())

    def begin(self, reference: Instant, last_seen: Instant | None) -> None:
        """Start at `reference`, or at `last_seen` where the reference has fallen more than LARGEST_STEP behind it."""
        believed = last_seen is None or reference >= last_seen - LARGEST_STEP
        start = reference if believed or last_seen is None else last_seen
        self._offset = start - self._monotonic()
        self.follow(reference)

    def follow(self, reference: Instant) -> None:
        self.skew = Span(reference - self.now())
        if not self.halted:
            self._offset += self.skew

    @property
    def halted(self) -> bool:
        """The reference has jumped: nothing may be thrown away on the word of this clock."""
        return abs(self.skew) > LARGEST_STEP


def system_clock() -> Clock:
    return Clock(monotonic=lambda: time.monotonic_ns() // 1000, wall=lambda: time.time_ns() // 1000)
