import io

import pytest
import typer
from rich.console import Console
from rich.text import Text

from relay.cli.showing import Column, ago, clock_time, moment_of, plain, print_rows
from relay.domain.instants import DAY, HOUR, SECOND, Instant, parse_rfc3339, text

NOW = parse_rfc3339("2026-11-23T13:00:00Z")
COLUMNS = (Column(name="task"), Column(name="kind", wide=True), Column(name="id", whole=True))


def printed(width: int, *rows: tuple[str | Text, ...]) -> list[str]:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    print_rows(console, COLUMNS, rows)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_table_fits_its_terminal_and_cuts_no_id_short() -> None:
    lines = printed(40, ("a-task-with-a-very-long-name-of-its-own", "tts", "reg_" + "0" * 20))

    assert lines == [
        "task            id                      ",
        "a-task-with-a…  reg_00000000000000000000",
    ]


def test_a_wide_terminal_shows_more() -> None:
    assert printed(100, ("one", "tts", Text("reg_1"))) == ["task  kind  id   ", "one   tts   reg_1"]


def test_no_terminal_is_too_narrow() -> None:
    lines = printed(10, ("a-task-with-a-very-long-name", "tts", "reg_" + "0" * 20))

    assert lines[1] == "a-task-…  reg_00000000000000000000"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("plain words", "plain words"),
        ("\x1b[2Jgone", " [2Jgone"),
        ("two\r\nlines\tand a tab", "two lines and a tab"),
        ("right\u202eleft", "right left"),
        ("\x9b31m", " 31m"),
    ],
)
def test_what_strangers_wrote_does_not_play_with_the_terminal(written: str, shown: str) -> None:
    assert plain(written) == shown


@pytest.mark.parametrize(
    ("given", "moment"),
    [
        ("90m", "2026-11-23T11:30:00.000Z"),
        ("2h", "2026-11-23T11:00:00.000Z"),
        ("3d", "2026-11-20T13:00:00.000Z"),
        ("1s", "2026-11-23T12:59:59.000Z"),
        ("99999d", "1970-01-01T00:00:00.000Z"),
        ("2026-11-23T13:00:00+01:00", "2026-11-23T13:00:00+01:00"),
    ],
)
def test_a_moment_may_be_said_by_how_long_ago_it_was(given: str, moment: str) -> None:
    assert moment_of(given, NOW) == moment


@pytest.mark.parametrize("given", ["", "yesterday", "3w", "2026-11-23", "-1h"])
def test_what_is_no_moment_is_refused(given: str) -> None:
    with pytest.raises(typer.BadParameter, match="90m, 2h or 3d"):
        moment_of(given, NOW)


def test_what_is_new_is_now_and_what_is_old_has_its_date() -> None:
    assert ago(text(Instant(NOW - SECOND // 2)), NOW) == "now"
    assert ago(text(Instant(NOW + HOUR)), NOW) == "now"
    assert ago(text(Instant(NOW - HOUR)), NOW) == "60 min"
    assert len(clock_time(text(NOW), NOW)) == len("13:00:00")
    assert len(clock_time(text(Instant(NOW - DAY)), NOW)) == len("2026-11-22 13:00:00")
