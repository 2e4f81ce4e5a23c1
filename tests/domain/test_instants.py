from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.instants import (
    DAY,
    HOUR,
    MINUTE,
    instant_of,
    parse_rfc3339,
    seconds,
    span_of,
    text,
)

MOMENTS = st.integers(0, 253_402_300_799_999_999).map(
    lambda microseconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), "1970-01-01T00:00:00.000Z"),
        (datetime(2026, 11, 23, 13, 1, 7, 412_000, tzinfo=UTC), "2026-11-23T13:01:07.412Z"),
        (datetime(2026, 11, 23, 13, 1, 7, 412_999, tzinfo=UTC), "2026-11-23T13:01:07.412Z"),
        (datetime(2026, 11, 23, 13, 1, 7, 999_999, tzinfo=UTC), "2026-11-23T13:01:07.999Z"),
        (datetime(2028, 2, 29, 0, 0, 0, 1_000, tzinfo=UTC), "2028-02-29T00:00:00.001Z"),
        (datetime(2026, 11, 23, 15, 1, 7, tzinfo=timezone(timedelta(hours=2))), "2026-11-23T13:01:07.000Z"),
    ],
)
def test_an_instant_is_written_in_utc_down_to_its_millisecond(moment: datetime, written: str) -> None:
    assert text(instant_of(moment)) == written


@given(MOMENTS)
def test_what_is_written_is_the_instant_less_than_a_millisecond_ago(moment: datetime) -> None:
    read = datetime.fromisoformat(text(instant_of(moment)))

    assert timedelta() <= moment - read < timedelta(milliseconds=1)


@given(MOMENTS, MOMENTS)
def test_instants_are_as_far_apart_as_their_moments(one: datetime, other: datetime) -> None:
    assert instant_of(other) - instant_of(one) == span_of(other - one)


@pytest.mark.parametrize(
    ("length", "span"),
    [
        (timedelta(), 0),
        (timedelta(microseconds=1), 1),
        (timedelta(seconds=1.5), 1_500_000),
        (timedelta(minutes=5), 5 * MINUTE),
        (timedelta(hours=24), DAY),
        (timedelta(days=3_650, microseconds=1), 3_650 * DAY + 1),
    ],
)
def test_a_span_counts_microseconds(length: timedelta, span: int) -> None:
    assert span_of(length) == span


def test_a_span_in_seconds_keeps_its_fraction() -> None:
    assert seconds(1_500_000) == 1.5
    assert seconds(HOUR) == 3_600


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-11-23T13:01:07Z", "2026-11-23T13:01:07.000Z"),
        ("2026-11-23t13:01:07.412z", "2026-11-23T13:01:07.412Z"),
        ("2026-11-23T13:01:07.4129999999+05:30", "2026-11-23T07:31:07.412Z"),
        ("2026-11-23T13:01:07-00:00", "2026-11-23T13:01:07.000Z"),
        ("2026-12-31T23:59:60Z", "2026-12-31T23:59:59.000Z"),
        ("0001-01-01T00:00:00+23:59", "1970-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_moment_is_read_as_rfc_3339_has_it(written: str, read: str) -> None:
    assert text(parse_rfc3339(written)) == read


@given(MOMENTS)
def test_what_was_written_as_text_is_read_again_to_the_millisecond(moment: datetime) -> None:
    written = text(instant_of(moment))

    assert text(parse_rfc3339(written)) == written


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("", "with an offset"),
        ("2026-11-23", "with an offset"),
        ("2026-11-23T13:01:07", "with an offset"),
        ("2026-11-23 13:01:07Z", "with an offset"),
        ("2026-11-23T13:01Z", "with an offset"),
        ("2026-11-23T13:01:07.Z", "with an offset"),
        ("2026-11-23T13:01:07+0100", "with an offset"),
        ("20261123T130107Z", "with an offset"),
        (" 2026-11-23T13:01:07Z", "with an offset"),
        ("2026-11-23T13:01:07Z\n", "with an offset"),
        ("\u0662026-11-23T13:01:07Z", "with an offset"),
        ("2026-02-29T13:01:07Z", "that there is"),
        ("2026-11-23T24:01:07Z", "that there is"),
        ("2026-11-23T13:01:61Z", "that there is"),
        ("2026-11-23T13:01:07+24:00", "that there is"),
        ("0000-01-01T00:00:00Z", "that there is"),
    ],
)
def test_what_is_no_moment_is_refused_with_the_rule(written: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        parse_rfc3339(written)
