"""A clock that is moved by hand; waiting on it takes no time and is written down."""

from relay.domain.instants import SECOND, Instant


class HandClock:
    def __init__(self) -> None:
        self._now = 1_795_000_000 * SECOND
        self.slept: list[float] = []

    def now(self) -> Instant:
        return Instant(self._now)

    def advance(self, seconds: float) -> None:
        self._now += round(seconds * SECOND)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
