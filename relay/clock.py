"""The only lines that read a clock."""

import time
from collections.abc import Callable
from typing import Final

from relay.domain.instants import HOUR, Instant, Span

LARGEST_STEP: Final = HOUR
"""A reference clock that is further off than this is not believed until somebody says so."""

SLOWDOWN: Final = 10
"""By one part in so many `now` goes slower while the reference is behind it."""


class Clock:
    """`now` is monotonic plus an offset that follows a reference clock: the wall clock on SQLite, the database's on PostgreSQL.

    Both sources answer in microseconds; tests hand in their own.
    """

    def __init__(self, monotonic: Callable[[], int], wall: Callable[[], int]) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._offset = wall() - monotonic()
        self._read_at = monotonic()
        self.skew = Span(0)
        """How far ahead of `now` the reference was when it was last read."""

    def now(self) -> Instant:
        return Instant(self._monotonic() + self._offset)

    def wall(self) -> Instant:
        """What the machine's own clock says, for what others compare with theirs."""
        return Instant(self._wall())

    def begin(self, reference: Instant, last_seen: Instant | None) -> None:
        """Start at `reference`, or at `last_seen` where the reference has fallen behind it."""
        start = reference if last_seen is None else max(reference, last_seen)
        self._read_at = self._monotonic()
        self._offset = start - self._read_at
        self.follow(reference)

    def follow(self, reference: Instant) -> None:
        """Go forward to the reference at once, and back to it by slowing down: `now` never goes back."""
        read_at = self._monotonic()
        elapsed, self._read_at = read_at - self._read_at, read_at
        self.skew = Span(reference - self.now())
        if not self.halted:
            self._offset += max(self.skew, -(elapsed // SLOWDOWN))

    @property
    def halted(self) -> bool:
        """The reference has jumped: nothing may be thrown away on the word of this clock."""
        return abs(self.skew) > LARGEST_STEP


def system_clock() -> Clock:
    """On Linux its monotonic clock goes on while the machine sleeps, where Python's own stands still."""
    source = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return Clock(monotonic=lambda: time.clock_gettime_ns(source) // 1000, wall=lambda: time.time_ns() // 1000)
