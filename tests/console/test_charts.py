"""Charts as pictures, sentences and tables: pure functions of the counts."""

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.console.charts import Drawing, drawings
from relay.console.plots import HEIGHT, Counts, Lengths, Words, bars, brief, lines, round_up, spoken
from relay.domain.instants import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Instant
from relay.domain.rollups import ChartSpan, Measure, SlotCount, bucket_of, charts

NOON: Final = Instant(1_795_435_200 * SECOND)
NOW: Final = Instant(NOON + 7 * MINUTE)
SVG: Final = "{http://www.w3.org/2000/svg}"
TONES: Final = {"good", "bad", "warning", "quiet", "busy"}
CLASSES: Final = {"chart", "plot", "level", "tick", "slot", "reach", "bar", "line", *TONES}
ATTRIBUTES: Final = {
    *(
        "aria-describedby",
        "aria-labelledby",
        "class",
        "d",
        "dy",
        "height",
        "id",
        "preserveAspectRatio",
        "role",
    ),
    *("text-anchor", "viewBox", "width", "x", "x1", "x2", "y", "y1", "y2"),
}

# A picture is a lot to draw for a machine that has other things to do.
BUSY: Final = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def drawn(*rows: SlotCount, span: ChartSpan = ChartSpan.HOUR) -> tuple[Drawing, Drawing, Drawing]:
    return drawings(charts(rows, span, NOW))


def row(measure: Measure, bucket: str, number: int, minutes_ago: int = 7) -> SlotCount:
    return SlotCount(Instant(NOW - minutes_ago * MINUTE), measure, bucket, number)


SOME: Final = (
    row(Measure.DETECTED, "task.succeeded", 1_200),
    row(Measure.DETECTED, "task.failed", 2),
    row(Measure.DETECTED, "task.failed", 1, minutes_ago=1),
    row(Measure.DETECTED, "task.hidden", 4),
    row(Measure.ATTEMPTED, "accepted", 900),
    row(Measure.ATTEMPTED, "timeout", 3),
    row(Measure.ATTEMPTED, "dns", 2),
    row(Measure.LATENCY, bucket_of(100 * MILLISECOND), 99),
    row(Measure.LATENCY, bucket_of(10 * SECOND), 2),
)


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(str(svg).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))  # noqa: S314 - we drew it


def words(slots: int) -> Words:
    return Words(id="c", title="C", told="so it is", slots=["slot"] * slots, ticks=("a", "b", "c"))


def test_where_nothing_was_there_is_a_sentence_and_no_picture() -> None:
    empty = drawn()

    assert [drawing.told for drawing in empty] == [
        "No task ended in the last hour.",
        "Nothing was sent in the last hour.",
        "No notification was accepted in the last hour.",
    ]
    assert {(drawing.svg, drawing.legend, drawing.rows) for drawing in empty} == {(None, (), ())}


def test_each_chart_is_told_in_a_sentence() -> None:
    ends, attempts, latency = drawn(*SOME)

    assert ends.told == (
        "1,207 ends in the last hour, at most 1,206 a minute: 1,200 succeeded, 3 failed, 4 other."
    )
    assert attempts.told == "905 attempts in the last hour, at most 905 a minute: 900 accepted, 5 no answer."
    assert latency.told == (
        "Of the notifications accepted in the last hour, half took at most 99 ms, and 99 of 100 at most 11 s."
    )


def test_one_is_told_of_as_one() -> None:
    ends, _, _ = drawn(row(Measure.DETECTED, "task.lost", 1), span=ChartSpan.DAY)

    assert ends.told == "1 end in the last day, at most 1 a quarter of an hour: 1 lost."


def test_a_legend_has_a_name_and_a_number_for_each_colour_and_says_what_it_is_made_of() -> None:
    ends, attempts, latency = drawn(*SOME)

    assert [(series.name, series.tone, series.value) for series in ends.legend] == [
        ("Succeeded", "good", "1,200"),
        ("Failed", "bad", "3"),
        ("Other", "busy", "4"),
    ]
    assert [series.detail for series in ends.legend] == ["", "", "4 task.hidden"]
    assert [series.detail for series in attempts.legend] == ["", "3 timeout, 2 dns"]
    assert [(series.name, series.value) for series in latency.legend] == [
        ("Half within", "99 ms"),
        ("99 of 100 within", "11 s"),
    ]


def test_a_table_holds_the_slots_in_which_there_was_anything() -> None:
    ends, _, latency = drawn(*SOME)

    assert ends.headings == ("Time", "Succeeded", "Failed", "Other")
    assert ends.rows == (("12:00", "1,200", "2", "4"), ("12:06", "0", "1", "0"))
    assert latency.rows == (("12:00", "99 ms", "11 s"),)


@pytest.mark.parametrize("span", ChartSpan)
def test_a_picture_is_named_and_described_and_each_slot_says_its_numbers(span: ChartSpan) -> None:
    for drawing in drawn(*SOME, span=span):
        assert drawing.svg is not None
        picture = parsed(drawing.svg)
        slots = [slot.findtext(f"{SVG}title", "") for slot in picture.iter(f"{SVG}g")]

        assert picture.get("role") == "img"
        assert (picture.findtext(f"{SVG}title"), picture.findtext(f"{SVG}desc")) == (
            drawing.title,
            drawing.told,
        )
        assert picture.get("aria-labelledby") == f"{drawing.id}-title"
        assert picture.get("aria-describedby") == f"{drawing.id}-told"
        assert len(slots) == span.slots
        assert sum("none" not in slot for slot in slots) == len(drawing.rows)
        assert [tick.text for tick in picture.iter(f"{SVG}text")][-1] == "now"


def test_a_slots_numbers_are_those_of_its_column() -> None:
    ends, attempts, latency = drawn(*SOME)

    assert "12:00 · 1,200 succeeded, 2 failed, 4 other" in str(ends.svg)
    assert "12:01 · none" in str(ends.svg)
    assert "12:00 · 900 accepted, 5 no answer" in str(attempts.svg)
    assert "12:00 · half within 99 ms, 99 of 100 within 11 s" in str(latency.svg)
    assert "12:01 · none accepted" in str(latency.svg)


@pytest.mark.parametrize("span", ChartSpan)
def test_a_strict_policy_finds_nothing_to_refuse_in_a_picture(span: ChartSpan) -> None:
    for drawing in drawn(*SOME, span=span):
        elements = list(parsed(str(drawing.svg)).iter())

        assert {name for element in elements for name in element.attrib} <= ATTRIBUTES
        assert {name for element in elements for name in element.get("class", "").split()} <= CLASSES
        assert {element.tag.removeprefix(SVG) for element in elements} <= {
            *("svg", "title", "desc", "g", "rect", "line", "path", "text"),
        }


def test_what_a_newer_release_calls_something_cannot_break_out_of_the_picture() -> None:
    ends, _, _ = drawn(row(Measure.DETECTED, "<script>&\"'", 1))

    assert ends.svg is not None
    assert "<script" not in bars(
        Words(id="x", title="<script>", told="<script>", slots=["<script>"], ticks=("<script>",) * 3),
        [Counts(tone="good", numbers=[1])],
    )
    assert ends.legend[0].detail == "1 <script>&\"'"  # for the template to escape


def rects(svg: str, kind: str) -> list[tuple[float, float]]:
    return [
        (float(each.get("y", 0)), float(each.get("height", 0)))
        for each in parsed(svg).iter(f"{SVG}rect")
        if kind in each.get("class", "").split()
    ]


def test_bars_stand_on_each_other_and_are_as_high_as_their_numbers() -> None:
    svg = bars(words(2), [Counts(tone="good", numbers=[6, 0]), Counts(tone="bad", numbers=[2, 4])])

    assert rects(svg, "good") == [(HEIGHT / 4, HEIGHT * 3 / 4)]
    assert rects(svg, "bad") == [(0, HEIGHT / 4), (HEIGHT / 2, HEIGHT / 2)]


def test_one_beside_thousands_is_seen_and_stays_within_the_picture() -> None:
    svg = bars(words(2), [Counts(tone="good", numbers=[9_999, 0]), Counts(tone="bad", numbers=[1, 1])])

    assert rects(svg, "bad") == [(0, 2), (HEIGHT - 2, 2)]


@BUSY
@given(stacked=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 50)), min_size=1, max_size=4))
def test_no_bar_leaves_the_picture(stacked: list[tuple[int, int]]) -> None:
    svg = bars(words(2), [Counts(tone="good", numbers=numbers) for numbers in stacked])

    for y, height in rects(svg, "bar"):
        assert 0 <= y <= HEIGHT
        assert 0 < height <= HEIGHT


def points(svg: str) -> list[tuple[float, float]]:
    (path,) = parsed(svg).iter(f"{SVG}path")
    found = [part.removesuffix("h0") for part in path.get("d", "").replace("M", "L").split("L")]
    return [(float(across), float(down)) for across, down in (pair.split() for pair in found if pair)]


def test_a_line_breaks_where_there_is_nothing_and_a_single_value_is_a_point() -> None:
    svg = lines(words(5), [Lengths(tone="busy", lengths=[SECOND, 10 * SECOND, None, SECOND, None])])

    (path,) = parsed(svg).iter(f"{SVG}path")
    assert path.get("d") == f"M0.5 {HEIGHT} L1.5 0 M3.5 {HEIGHT}h0"


def labels(svg: str) -> list[str | None]:
    return [text.text for text in parsed(svg).iter(f"{SVG}text")][:-3]


@pytest.mark.parametrize(
    ("lengths", "shown"),
    [
        ([30 * MILLISECOND, 2 * SECOND], ["10 ms", "100 ms", "1 s", "10 s"]),
        ([SECOND, SECOND], ["100 ms", "1 s"]),
        ([1, 1], ["1 ms", "10 ms"]),
        ([MILLISECOND, DAY], ["1 ms", "100 ms", "10 s", "10 min", "10 h"]),
        ([500 * DAY, 900 * DAY], ["40 d", "400 d"]),
    ],
)
def test_a_scale_of_latencies_is_labelled_in_round_lengths(lengths: list[int], shown: list[str]) -> None:
    assert labels(lines(words(2), [Lengths(tone="busy", lengths=lengths)])) == shown


@BUSY
@given(lengths=st.lists(st.integers(1, 10_000 * DAY), min_size=1, max_size=6))
def test_longer_is_higher_and_no_line_leaves_the_picture(lengths: list[int]) -> None:
    svg = lines(words(len(lengths)), [Lengths(tone="busy", lengths=lengths)])

    found = [down for _, down in points(svg)]
    assert len(found) == len(lengths)
    assert all(0 <= down <= HEIGHT for down in found)
    by_length = [
        down for _, down in sorted(zip(lengths, found, strict=True), key=lambda pair: (pair[0], -pair[1]))
    ]
    assert falls(by_length)


def falls(numbers: Iterable[float]) -> bool:
    listed = list(numbers)
    return listed == sorted(listed, reverse=True)


@pytest.mark.parametrize(
    ("length", "told"),
    [
        (MILLISECOND, "1 ms"),
        (85 * MILLISECOND, "85 ms"),
        (847 * MILLISECOND, "847 ms"),
        (1_234 * MILLISECOND, "1.2 s"),
        (119 * SECOND, "119 s"),
        (2 * MINUTE, "2 min"),
        (150 * SECOND, "2.5 min"),
        (119 * MINUTE, "119 min"),
        (2 * HOUR, "2 h"),
        (47 * HOUR, "47 h"),
        (49 * HOUR, "2 d"),
        (500 * DAY, "500 d"),
    ],
)
def test_a_length_is_told_as_exactly_as_it_is_known(length: int, told: str) -> None:
    assert spoken(length) == told


@pytest.mark.parametrize(("number", "top"), [(0, 1), (1, 1), (7, 8), (9, 10), (10, 10), (11, 20), (699, 800)])
def test_a_scale_of_counts_ends_at_a_round_number(number: int, top: int) -> None:
    assert round_up(number) == top


@pytest.mark.parametrize(
    ("number", "told"),
    [(0, "0"), (800, "800"), (1_000, "1k"), (2_500, "2.5k"), (40_000_000, "40M"), (5 * 10**15, "5000T")],
)
def test_a_large_number_is_labelled_in_short(number: int, told: str) -> None:
    assert brief(number) == told
