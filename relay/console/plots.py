"""Bars and lines as SVG: as wide as there is room for, coloured by classes, and with the numbers of each slot at hand.

Lengths across are in slots and are stretched; the outer picture is not, so that its words keep their size.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType
from typing import Final

from markupsafe import Markup

from relay.domain.instants import DAY, HOUR, MILLISECOND, MINUTE, SECOND

HEIGHT: Final = 120
"""Of what is drawn in, in pixels."""
_ABOVE: Final = 8
_BELOW: Final = 22
_LEAST: Final = 2
"""A bar's height, so that a single one beside thousands is seen."""
_GAP: Final = 0.12
"""Between two bars, in slots."""
_MARKS: Final[Mapping[int, str]] = MappingProxyType(
    {
        MILLISECOND: "1 ms",
        10 * MILLISECOND: "10 ms",
        100 * MILLISECOND: "100 ms",
        SECOND: "1 s",
        10 * SECOND: "10 s",
        MINUTE: "1 min",
        10 * MINUTE: "10 min",
        HOUR: "1 h",
        10 * HOUR: "10 h",
        4 * DAY: "4 d",
        40 * DAY: "40 d",
        400 * DAY: "400 d",
    }
)
"""Where a scale of lengths of time may begin, end and be labelled: each some ten times as long as the one before."""
_MOST_MARKS: Final = 7
_STEPS: Final = (1, 2, 3, 4, 5, 6, 8)
_PREFIXES: Final = ("", "k", "M", "G", "T")
_THOUSAND: Final = 1_000
_TWO_DIGITS: Final = 99.5
"""From here on a number has two without a point."""

_NOTHING: Final = Markup()
_PICTURE: Final = Markup(
    '<svg class="chart" role="img" aria-labelledby="{id}-title" aria-describedby="{id}-told" width="100%" height="{height}">'
    '<title id="{id}-title">{title}</title><desc id="{id}-told">{told}</desc>{marks}'
    '<svg class="plot" x="0" y="{above}" width="100%" height="{inner}" viewBox="0 0 {slots} {inner}"'
    ' preserveAspectRatio="none">{plot}</svg>{ticks}</svg>'
)
_MARK: Final = Markup(
    '<line class="level" x1="0" x2="100%" y1="{y}" y2="{y}"/><text x="-7" y="{y}" dy="4" text-anchor="end">{label}</text>'
)
_TICK: Final = Markup('<text class="tick" x="{x}" y="{y}" text-anchor="{anchor}">{label}</text>')
_SLOT: Final = Markup(
    '<g class="slot"><title>{said}</title><rect class="reach" x="{x}" y="0" width="1" height="{height}"/>{inside}</g>'
)
_BAR: Final = Markup('<rect class="bar {tone}" x="{x}" y="{y}" width="{width}" height="{height}"/>')
_LINE: Final = Markup('<path class="line {tone}" d="{d}"/>')


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a picture is called, what it shows, what each of its slots shows, and the three labels below it."""

    id: str
    title: str
    told: str
    slots: Sequence[str]
    ticks: tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    tone: str
    numbers: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Of time; None where there is none."""

    tone: str
    lengths: Sequence[int | None]


def bars(words: Words, stacked: Sequence[Counts]) -> Markup:
    """The first of each slot's at the bottom."""
    columns = list(zip(*(counts.numbers for counts in stacked), strict=True))
    top = round_up(max(map(sum, columns)))
    plot = []
    for place, column in enumerate(columns):
        below, inside = 0.0, _NOTHING
        for counts, number in zip(stacked, column, strict=True):
            if number:
                height = max(_LEAST, HEIGHT * number / top)
                below += height
                inside += _BAR.format(
                    tone=counts.tone,
                    x=_short(place + _GAP / 2),
                    y=_short(max(0, HEIGHT - below)),
                    width=_short(1 - _GAP),
                    height=_short(height),
                )
        plot.append(_slot(words, place, inside))
    half = [(HEIGHT / 2, brief(top // 2))] if top % 2 == 0 else []
    return _picture(words, [(0, brief(top)), *half, (HEIGHT, "0")], plot)


def lines(words: Words, drawn: Sequence[Lengths]) -> Markup:
    """On a scale on which each ten times as long is as far above."""
    known = [length for line in drawn for length in line.lengths if length is not None]
    marks = _marks_around(min(known), max(known))
    low, high = math.log(marks[0]), math.log(marks[-1])

    def height(length: int) -> float:
        return HEIGHT * (high - math.log(min(max(length, marks[0]), marks[-1]))) / (high - low)

    paths = [_LINE.format(tone=line.tone, d=" ".join(_strokes(line.lengths, height))) for line in drawn]
    slots = [_slot(words, place) for place in range(len(words.slots))]
    shown = marks if len(marks) <= _MOST_MARKS else marks[::2]
    return _picture(words, [(height(mark), _MARKS[mark]) for mark in shown], [*paths, *slots])


def spoken(length: int) -> str:
    """To two digits: as much as is known of it."""
    for unit, name, below in (
        (MILLISECOND, "ms", SECOND),
        (SECOND, "s", 2 * MINUTE),
        (MINUTE, "min", 2 * HOUR),
        (HOUR, "h", 2 * DAY),
    ):
        if length < below:
            return f"{_two_digits(length / unit)} {name}"
    return f"{_two_digits(length / DAY)} d"


def round_up(number: int) -> int:
    """To the next one that has one digit, and noughts behind it."""
    noughts = 1
    while True:
        for step in _STEPS:
            if number <= step * noughts:
                return step * noughts
        noughts *= 10


def brief(number: int) -> str:
    """As `2.5k`, for a number that has few digits and then noughts."""
    power = 0
    left = float(number)
    while left >= _THOUSAND and power < len(_PREFIXES) - 1:
        left /= _THOUSAND
        power += 1
    return f"{left:g}{_PREFIXES[power]}"


def _two_digits(number: float) -> str:
    return f"{number:.2g}" if number < _TWO_DIGITS else f"{number:.0f}"


def _marks_around(least: int, most: int) -> Sequence[int]:
    """From the last that is not above the least to the first that is not below the most, and two at least."""
    marks = list(_MARKS)
    begins = max((place for place, mark in enumerate(marks) if mark <= least), default=0)
    ends = min((place for place, mark in enumerate(marks) if mark >= most), default=len(marks) - 1)
    if begins == ends:
        begins, ends = max(0, begins - 1), max(1, ends)
    return marks[begins : ends + 1]


def _strokes(lengths: Sequence[int | None], height: Callable[[int], float]) -> Iterator[str]:
    """A stroke through neighbours, a point for one that has none."""
    for missing, run in groupby(enumerate(lengths), lambda item: item[1] is None):
        if missing:
            continue
        points = [f"{_short(place + 0.5)} {_short(height(length or 0))}" for place, length in run]
        yield f"M{' L'.join(points)}" if len(points) > 1 else f"M{points[0]}h0"


def _slot(words: Words, place: int, inside: Markup = _NOTHING) -> Markup:
    return _SLOT.format(said=words.slots[place], x=place, height=HEIGHT, inside=inside)


def _picture(words: Words, marks: Iterable[tuple[float, str]], plot: Iterable[Markup]) -> Markup:
    height = _ABOVE + HEIGHT + _BELOW
    places = (("0", "start"), ("50%", "middle"), ("100%", "end"))
    return _PICTURE.format(
        id=words.id,
        title=words.title,
        told=words.told,
        height=height,
        above=_ABOVE,
        inner=HEIGHT,
        slots=len(words.slots),
        marks=_joined(
            _MARK.format(y=_short(_ABOVE + y), above=_short(_ABOVE + y - 5), label=label)
            for y, label in marks
        ),
        plot=_joined(plot),
        ticks=_joined(
            _TICK.format(x=x, anchor=anchor, y=height - 6, label=label)
            for (x, anchor), label in zip(places, words.ticks, strict=True)
        ),
    )


def _joined(parts: Iterable[Markup]) -> Markup:
    return _NOTHING.join(parts)


def _short(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")
