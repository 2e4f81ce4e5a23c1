"""How long to wait before the next look at a task: soon while it is young, seldom once it is old."""

from dataclasses import dataclass

from relay.domain.instants import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """`clamp(age × growth, minimum, maximum)`, then spread by ±`jitter` of itself."""

    minimum: Span
    maximum: Span
    growth: float
    jitter: float

    def delay(self, age: int, chance: float) -> Span:
        """The wait after a poll of a task `age` microseconds old; `chance` is uniform in [0, 1)."""
        steady = min(max(int(age * self.growth), self.minimum), self.maximum)
        return spread(steady, self.jitter, chance)


def spread(span: int, jitter: float, chance: float) -> Span:
    """`span` moved by up to ±`jitter` of itself; `chance` is uniform in [0, 1)."""
    return Span(round(span * (1 + jitter * (2 * chance - 1))))
