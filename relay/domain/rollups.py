"""What a relay did, counted by slots of time: rows that any number of processes add to, and the charts made of them."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from relay.domain.instants import HOUR, MILLISECOND, MINUTE, SECOND, Instant, Span

EVERYBODY: Final = ""
"""Stands for all clients together, so that a chart over any number of them reads no more than one of them does."""
_PER_DOUBLING: Final = 4
_LAST_BUCKET: Final = 127
"""Some six weeks, which no retry schedule comes to; a delivery that was sent again years later counts there."""


class Measure(StrEnum):
    DETECTED = "detected"
    """Events made, by type."""
    ATTEMPTED = "attempted"
    """Tries to deliver, by outcome."""
    LATENCY = "latency"
    """From the event to the answer that accepted it, by bucket."""


class ChartSpan(StrEnum):
    """How far back a chart goes."""

    HOUR = "hour"
    DAY = "day"

    @property
    def slot(self) -> Span:
        return _SHAPES[self].slot

    @property
    def slots(self) -> int:
        return _SHAPES[self].slots

    @property
    def kept(self) -> Span:
        """How long a slot's counts stand after it began."""
        return _SHAPES[self].kept

    def start_of(self, at: Instant) -> Instant:
        """Of the slot that `at` falls into."""
        return Instant(at - at % self.slot)

    def starts(self, now: Instant) -> tuple[Instant, ...]:
        """Of every slot that is shown, the one under way being the last."""
        last = self.start_of(now)
        return tuple(Instant(last - back * self.slot) for back in reversed(range(self.slots)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    slot: Span
    slots: int
    kept: Span


_SHAPES: Final = {
    ChartSpan.HOUR: _Shape(slot=MINUTE, slots=60, kept=Span(2 * HOUR)),
    ChartSpan.DAY: _Shape(slot=Span(15 * MINUTE), slots=96, kept=Span(26 * HOUR)),
}


class Slot(NamedTuple):
    """What is counted apart. Its order is that of the rows' locks; `span` is in seconds."""

    client: str
    span: int
    at: Instant
    measure: str
    bucket: str


class SlotCount(NamedTuple):
    """How many of a measure and bucket there were in the slot that begins at `at`."""

    at: Instant
    measure: str
    bucket: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Of deliveries that were accepted, each within a tenth of the truth; None where there were none."""

    p50: Span | None
    p99: Span | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charts:
    """Each series has a number for every slot; `starts` are the slots', the last one being under way.

    Series that are nought throughout are left out. `overall` is the latency of all slots together.
    """

    span: ChartSpan
    starts: tuple[Instant, ...]
    detections: Mapping[str, tuple[int, ...]]
    outcomes: Mapping[str, tuple[int, ...]]
    latency: tuple[Latency, ...]
    overall: Latency


def rolled_up(minutes: Mapping[Slot, int], now: Instant) -> dict[Slot, int]:
    """What was counted by client and minute, for each span, and for all clients together; without what no chart shows."""
    counts: Counter[Slot] = Counter()
    for slot, count in minutes.items():
        for span in ChartSpan:
            at = span.start_of(slot.at)
            if at > now - span.kept:
                for client in (slot.client, EVERYBODY):
                    counts[Slot(client, span.slot // SECOND, at, slot.measure, slot.bucket)] += count
    return counts


def bucket_of(latency: int) -> str:
    """Four buckets for each doubling, from a millisecond on."""
    place = 0 if latency <= MILLISECOND else math.floor(_PER_DOUBLING * math.log2(latency / MILLISECOND))
    return str(min(place, _LAST_BUCKET))


def latency_of(bucket: str) -> Span:
    """The middle of it, which is within a tenth of all that is in it."""
    return Span(round(MILLISECOND * 2 ** ((int(bucket) + 0.5) / _PER_DOUBLING)))


def percentile(counts: Mapping[str, int], part: float) -> Span | None:
    """The latency that so great a part of those in the buckets did not exceed; None where there are none."""
    wanted = math.ceil(part * sum(counts.values()))
    seen = 0
    for bucket in sorted(counts, key=int):
        seen += counts[bucket]
        if seen >= wanted:
            return latency_of(bucket)
    return None


def charts(rows: Iterable[SlotCount], span: ChartSpan, now: Instant) -> Charts:
    """Rows of other slots than those shown are passed over."""
    starts = span.starts(now)
    places = {at: place for place, at in enumerate(starts)}
    series: dict[str, dict[str, list[int]]] = {
        measure: {} for measure in (Measure.DETECTED, Measure.ATTEMPTED)
    }
    latencies: dict[int, Counter[str]] = defaultdict(Counter)
    for row in rows:
        place = places.get(row.at)
        if place is None:
            continue
        if row.measure == Measure.LATENCY:
            latencies[place][row.bucket] += row.number
        elif row.measure in series:
            series[row.measure].setdefault(row.bucket, [0] * len(starts))[place] += row.number
    return Charts(
        span=span,
        starts=starts,
        detections=_ordered(series[Measure.DETECTED]),
        outcomes=_ordered(series[Measure.ATTEMPTED]),
        latency=tuple(_latency(latencies[place]) for place in range(len(starts))),
        overall=_latency(sum(latencies.values(), Counter())),
    )


def _ordered(series: Mapping[str, list[int]]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(series[name]) for name in sorted(series)}


def _latency(counts: Mapping[str, int]) -> Latency:
    return Latency(p50=percentile(counts, 0.5), p99=percentile(counts, 0.99))
