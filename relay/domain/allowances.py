"""How much a client may have the relay take on: registrations a minute, and registrations that watch at once."""

from dataclasses import dataclass
from typing import Final

from relay.domain.instants import MINUTE, Instant, Span

MOST_OF_A_TASK: Final = 1_000
"""Registrations of one task that are kept, in whatever state: its end writes the events of all that watch at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """One client's. What it may register in a minute it may also register at once."""

    registrations_per_minute: int
    max_watched: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """A virtual schedule: what was spent by `at` and is not yet earned back, in registrations times microseconds.

    In these units an allowance of any size is earned in whole numbers.
    """

    owed: int = 0
    at: Instant = Instant(0)

    def wait(self, count: int, per_minute: int, now: Instant) -> Span:
        """How long until `count` registrations fit, at most `per_minute` of which ever do; 0 where they do now."""
        beyond = self._owed(per_minute, now) + (count - per_minute) * MINUTE
        return Span(max(0, -(-beyond // per_minute)))

    def spend(self, count: int, per_minute: int, now: Instant) -> "Spending":
        return Spending(owed=self._owed(per_minute, now) + count * MINUTE, at=now)

    def _owed(self, per_minute: int, now: Instant) -> int:
        return max(0, self.owed - (now - self.at) * per_minute)
