"""Moments and spans as integer microseconds; aware datetimes exist only where text is read or written."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NewType

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
_LATEST: Final = 253_402_300_799_999_999  # the last microsecond of the year 9999
_RFC3339: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:)([0-9]{2})(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_LEAP: Final = "60"
_DIGITS: Final = 7  # the point and microseconds


def span_of(length: timedelta) -> Span:
    return Span(length // _MICROSECOND)


def seconds(span: int) -> float:
    return span / SECOND


def text(instant: Instant) -> str:
    """RFC 3339 in UTC with milliseconds, as `2026-11-23T13:01:07.412Z`."""
    moment = _EPOCH + timedelta(microseconds=instant)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def text_or_none(instant: Instant | None) -> str | None:
    return None if instant is None else text(instant)


def instant_of(moment: datetime) -> Instant:
    return Instant((moment - _EPOCH) // _MICROSECOND)


def parse_rfc3339(written: str) -> Instant:
    """Read an RFC 3339 date-time, with its offset; raises ValueError. A leap second is the one before it again.

    What lies before 1970 or after 9999 comes out as the nearest end: nothing of ours is older or later.
    """
    found = _RFC3339.fullmatch(written)
    if found is None:
        raise ValueError("must be a date and time with an offset, as 2026-11-23T13:00:00Z")
    day, minute, second, fraction, offset = found.groups()
    shown = "59" if second == _LEAP else second
    try:
        moment = datetime.fromisoformat(f"{day}T{minute}{shown}{(fraction or '')[:_DIGITS]}{offset.upper()}")
    except ValueError:
        raise ValueError("must be a date and time that there is") from None
    return Instant(min(max(instant_of(moment), 0), _LATEST))


def parse_rfc3339_or_none(written: str | None) -> Instant | None:
    return None if written is None else parse_rfc3339(written)
