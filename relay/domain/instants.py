"""Moments and spans as integer microseconds; aware datetimes exist only where text is read or written."""

from datetime import UTC, datetime, timedelta
from typing import NewType

Instant = NewType("Instant", int)
"""Microseconds since 1970-01-01T00:00:00Z."""

Span = NewType("Span", int)
"""A length of time in microseconds."""

MILLISECOND = Span(1_000)
SECOND = Span(1_000_000)
MINUTE = Span(60 * SECOND)
HOUR = Span(60 * MINUTE)
DAY = Span(24 * HOUR)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def span_of(length: timedelta) -> Span:
    return Span(length // _MICROSECOND)


def seconds(span: int) -> float:
    return span / SECOND


def text(instant: Instant) -> str:
    """RFC 3339 in UTC with milliseconds, as `2026-11-23T13:01:07.412Z`."""
    moment = _EPOCH + timedelta(microseconds=instant)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def instant_of(moment: datetime) -> Instant:
    return Instant((moment - _EPOCH) // _MICROSECOND)
