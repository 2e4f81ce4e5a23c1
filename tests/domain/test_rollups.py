from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.instants import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Instant, Span
from relay.domain.rollups import (
    EVERYBODY,
    Charts,
    ChartSpan,
    Latency,
    Measure,
    Slot,
    SlotCount,
    bucket_of,
    charts,
    latency_of,
    percentile,
    rolled_up,
)

NOON: Final = Instant(1_795_435_200 * SECOND)
NOW: Final = Instant(NOON + 7 * MINUTE + 30 * SECOND)


def slot(at: Instant, *, client: str = "shop", measure: str = Measure.DETECTED, bucket: str = "a") -> Slot:
    return Slot(client, 60, at, measure, bucket)


@pytest.mark.parametrize(("span", "slots", "length"), [("hour", 60, MINUTE), ("day", 96, 15 * MINUTE)])
def test_a_chart_ends_with_the_slot_that_is_under_way(span: str, slots: int, length: Span) -> None:
    starts = ChartSpan(span).starts(NOW)

    assert len(starts) == slots
    assert starts[-1] <= NOW < starts[-1] + length
    assert {later - earlier for earlier, later in pairwise(starts)} == {length}
    assert all(start % length == 0 for start in starts)


@pytest.mark.parametrize("span", ChartSpan)
def test_counts_stand_for_longer_than_a_chart_shows_them(span: ChartSpan) -> None:
    assert span.starts(NOW)[0] > NOW - span.kept + HOUR // 2


def test_a_minute_counts_for_its_quarter_too_and_for_everybody() -> None:
    counts = rolled_up({slot(NOON): 2, slot(Instant(NOON + MINUTE), client="bank"): 3}, NOW)

    assert counts == {
        Slot("shop", 60, NOON, "detected", "a"): 2,
        Slot("shop", 900, NOON, "detected", "a"): 2,
        Slot("bank", 60, Instant(NOON + MINUTE), "detected", "a"): 3,
        Slot("bank", 900, NOON, "detected", "a"): 3,
        Slot(EVERYBODY, 60, NOON, "detected", "a"): 2,
        Slot(EVERYBODY, 60, Instant(NOON + MINUTE), "detected", "a"): 3,
        Slot(EVERYBODY, 900, NOON, "detected", "a"): 5,
    }


def test_what_no_chart_shows_any_more_is_left_out() -> None:
    hours_ago, days_ago = Instant(NOON - 3 * HOUR), Instant(NOON - 2 * DAY)

    counts = rolled_up({slot(hours_ago): 1, slot(days_ago): 1}, NOW)

    assert {(found.span, found.at) for found in counts} == {(900, hours_ago)}


@given(latency=st.integers(MILLISECOND, 40 * DAY))
def test_a_bucket_tells_a_latency_within_a_tenth(latency: int) -> None:
    assert abs(latency_of(bucket_of(latency)) - latency) <= latency / 10


@given(one=st.integers(0, 400 * DAY), other=st.integers(0, 400 * DAY))
def test_buckets_keep_the_order_of_latencies(one: int, other: int) -> None:
    assert (int(bucket_of(one)) <= int(bucket_of(other))) or one > other


@pytest.mark.parametrize(
    ("latency", "bucket"), [(-5, "0"), (0, "0"), (MILLISECOND, "0"), (10_000 * DAY, "127")]
)
def test_there_is_a_first_and_a_last_bucket(latency: int, bucket: str) -> None:
    assert bucket_of(latency) == bucket


@given(latencies=st.lists(st.integers(MILLISECOND, DAY), min_size=1, max_size=200), part=st.floats(0.01, 1))
def test_a_percentile_is_within_a_tenth_of_the_one_that_was_measured(
    latencies: list[int], part: float
) -> None:
    counts: dict[str, int] = {}
    for latency in latencies:
        counts[bucket_of(latency)] = counts.get(bucket_of(latency), 0) + 1

    found = percentile(counts, part)

    exact = min(
        each for each in latencies if sum(other <= each for other in latencies) >= part * len(latencies)
    )
    assert found is not None
    assert abs(found - exact) <= exact / 10


def test_of_nothing_there_is_no_percentile() -> None:
    assert percentile({}, 0.5) is None


def test_charts_of_nothing_are_empty() -> None:
    assert charts([], ChartSpan.HOUR, NOW) == Charts(
        span=ChartSpan.HOUR,
        starts=ChartSpan.HOUR.starts(NOW),
        detections={},
        outcomes={},
        latency=(Latency(p50=None, p99=None),) * 60,
        overall=Latency(p50=None, p99=None),
    )


def test_a_chart_has_a_number_for_every_slot_of_each_series() -> None:
    drawn = charts(
        [
            SlotCount(NOON, Measure.DETECTED, "task.succeeded", 2),
            SlotCount(Instant(NOON + 7 * MINUTE), Measure.DETECTED, "task.succeeded", 1),
            SlotCount(NOON, Measure.DETECTED, "task.failed", 4),
            SlotCount(NOON, Measure.ATTEMPTED, "accepted", 3),
            SlotCount(NOON, Measure.LATENCY, bucket_of(100 * MILLISECOND), 99),
            SlotCount(NOON, Measure.LATENCY, bucket_of(10 * SECOND), 1),
            SlotCount(Instant(NOON + MINUTE), Measure.LATENCY, bucket_of(10 * SECOND), 100),
        ],
        ChartSpan.HOUR,
        NOW,
    )

    low, high = latency_of(bucket_of(100 * MILLISECOND)), latency_of(bucket_of(10 * SECOND))
    assert list(drawn.detections) == ["task.failed", "task.succeeded"]
    assert drawn.detections["task.succeeded"][-8:] == (2, 0, 0, 0, 0, 0, 0, 1)
    assert drawn.detections["task.failed"][-8:] == (4, 0, 0, 0, 0, 0, 0, 0)
    assert drawn.outcomes["accepted"][-8] == 3
    assert {
        len(series) for series in (*drawn.detections.values(), *drawn.outcomes.values(), drawn.latency)
    } == {60}
    assert drawn.latency[-8] == Latency(p50=low, p99=low)
    assert drawn.latency[-7] == Latency(p50=high, p99=high)
    assert drawn.overall == Latency(p50=high, p99=high)


def test_what_a_newer_release_measures_is_passed_over_and_so_is_what_lies_outside() -> None:
    drawn = charts(
        [
            SlotCount(NOON, "loudness", "1", 2),
            SlotCount(Instant(NOON + HOUR), Measure.DETECTED, "task.failed", 1),
            SlotCount(Instant(NOON - 2 * HOUR), Measure.DETECTED, "task.failed", 1),
        ],
        ChartSpan.HOUR,
        NOW,
    )

    assert (drawn.detections, drawn.outcomes) == ({}, {})
