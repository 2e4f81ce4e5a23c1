"""Time that is moved by hand."""

from relay.clock import Clock
from relay.domain.instants import SECOND, Instant

START = Instant(1_795_000_000 * SECOND)


class HandTime:
    """What both of a clock's sources read."""

    def __init__(self) -> None:
        self._now: int = START
        self.clock = Clock(monotonic=lambda: self._now, wall=lambda: self._now)

    @property
    def now(self) -> Instant:
        return Instant(self._now)

    def advance(self, span: int) -> Instant:
        self._now += span
        return self.now
