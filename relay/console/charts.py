"""What the charts of the first page show: as pictures, as sentences, and as tables of numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from markupsafe import Markup

from relay.console.plots import Counts, Lengths, Words, bars, lines, spoken
from relay.domain.instants import Instant, text
from relay.domain.rollups import Charts, ChartSpan, Latency

_PERIODS: Final[Mapping[ChartSpan, str]] = MappingProxyType(
    {ChartSpan.HOUR: "the last hour", ChartSpan.DAY: "the last day"}
)
_SLOTS: Final[Mapping[ChartSpan, str]] = MappingProxyType(
    {ChartSpan.HOUR: "a minute", ChartSpan.DAY: "a quarter of an hour"}
)
_Groups = Sequence[tuple[str, str, Sequence[str]]]
_ENDS: Final[_Groups] = (
    ("Succeeded", "good", ("task.succeeded",)),
    ("Failed", "bad", ("task.failed",)),
    ("Lost", "warning", ("task.lost",)),
    ("Expired", "quiet", ("registration.expired",)),
)
_OUTCOMES: Final[_Groups] = (
    ("Accepted", "good", ("accepted",)),
    ("Rejected", "bad", ("rejected",)),
    ("No answer", "warning", ("timeout", "connect", "dns", "tls", "protocol")),
    ("Blocked", "quiet", ("blocked",)),
)
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({"end": "No task ended", "attempt": "Nothing was sent"})
_OTHER: Final = ("Other", "busy")
"""What a newer release has a word for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What a colour stands for, its number in words, and what that is made of where it can be several things."""

    name: str
    tone: str
    value: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """`told` is what it shows, in a sentence; `rows` are the numbers of those slots in which there was anything.

    `svg` is None where there is nothing to draw.
    """

    id: str
    title: str
    told: str
    legend: tuple[Series, ...] = ()
    svg: Markup | None = None
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class _Stack:
    name: str
    tone: str
    detail: str
    numbers: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.numbers)


def drawings(charts: Charts) -> tuple[Drawing, Drawing, Drawing]:
    """What was detected, what attempts came to, and how long it took."""
    return (
        _counted("chart-ends", "Tasks that ended", "end", _stacks(charts.detections, _ENDS), charts),
        _counted(
            "chart-attempts", "Attempts to deliver", "attempt", _stacks(charts.outcomes, _OUTCOMES), charts
        ),
        _measured("chart-latency", "Time to notification", charts),
    )


def _stacks(series: Mapping[str, Sequence[int]], groups: _Groups) -> list[_Stack]:
    known = {name for _, _, names in groups for name in names}
    stacks = []
    for title, tone, names in (*groups, (*_OTHER, sorted(series.keys() - known))):
        found = [name for name in names if name in series]
        if found:
            parts = ", ".join(f"{sum(series[name]):,} {name}" for name in found)
            numbers = tuple(map(sum, zip(*(series[name] for name in found), strict=True)))
            plain = len(names) == 1 and names[0] in known
            stacks.append(_Stack(title, tone, "" if plain else parts, numbers))
    return stacks


def _counted(id_: str, title: str, noun: str, stacks: Sequence[_Stack], charts: Charts) -> Drawing:
    period = _PERIODS[charts.span]
    if not stacks:
        return Drawing(id=id_, title=title, told=f"{_NOTHING[noun]} in {period}.")
    columns = list(zip(*(stack.numbers for stack in stacks), strict=True))
    sums = [sum(column) for column in columns]
    all_ = sum(sums)
    parts = ", ".join(f"{stack.total:,} {stack.name.lower()}" for stack in stacks)
    told = f"{all_:,} {noun}{'' if all_ == 1 else 's'} in {period}, at most {max(sums):,} {_SLOTS[charts.span]}: {parts}."
    words = Words(
        id=id_,
        title=title,
        told=told,
        slots=[
            f"{clock} · {_parts(stacks, column)}"
            for clock, column in zip(_clocks(charts), columns, strict=True)
        ],
        ticks=_ticks(charts),
    )
    return Drawing(
        id=id_,
        title=title,
        told=told,
        legend=tuple(
            Series(name=stack.name, tone=stack.tone, value=f"{stack.total:,}", detail=stack.detail)
            for stack in stacks
        ),
        svg=bars(words, [Counts(tone=stack.tone, numbers=stack.numbers) for stack in stacks]),
        headings=("Time", *(stack.name for stack in stacks)),
        rows=tuple(
            (clock, *(f"{number:,}" for number in column))
            for clock, column in zip(_clocks(charts), columns, strict=True)
            if any(column)
        ),
    )


def _measured(id_: str, title: str, charts: Charts) -> Drawing:
    period, overall = _PERIODS[charts.span], charts.overall
    if overall.p50 is None or overall.p99 is None:
        return Drawing(id=id_, title=title, told=f"No notification was accepted in {period}.")
    half, most = spoken(overall.p50), spoken(overall.p99)
    told = (
        f"Of the notifications accepted in {period}, half took at most {half}, and 99 of 100 at most {most}."
    )
    words = Words(
        id=id_,
        title=title,
        told=told,
        slots=[
            f"{clock} · {_within(latency)}"
            for clock, latency in zip(_clocks(charts), charts.latency, strict=True)
        ],
        ticks=_ticks(charts),
    )
    return Drawing(
        id=id_,
        title=title,
        told=told,
        legend=(
            Series(name="Half within", tone="busy", value=half),
            Series(name="99 of 100 within", tone="warning", value=most),
        ),
        svg=lines(
            words,
            [
                Lengths(tone="warning", lengths=[latency.p99 for latency in charts.latency]),
                Lengths(tone="busy", lengths=[latency.p50 for latency in charts.latency]),
            ],
        ),
        headings=("Time", "Half within", "99 of 100 within"),
        rows=tuple(
            (clock, spoken(latency.p50), spoken(latency.p99))
            for clock, latency in zip(_clocks(charts), charts.latency, strict=True)
            if latency.p50 is not None and latency.p99 is not None
        ),
    )


def _parts(stacks: Sequence[_Stack], column: Sequence[int]) -> str:
    found = [
        f"{number:,} {stack.name.lower()}" for stack, number in zip(stacks, column, strict=True) if number
    ]
    return ", ".join(found) or "none"


def _within(latency: Latency) -> str:
    if latency.p50 is None or latency.p99 is None:
        return "none accepted"
    return f"half within {spoken(latency.p50)}, 99 of 100 within {spoken(latency.p99)}"


def _clocks(charts: Charts) -> list[str]:
    return [_clock(start) for start in charts.starts]


def _clock(at: Instant) -> str:
    return text(at)[11:16]


def _ticks(charts: Charts) -> tuple[str, str, str]:
    return _clock(charts.starts[0]), _clock(charts.starts[len(charts.starts) // 2]), "now"
