"""How a command shows what it found: a table for a person, tabs for a pipe, and nothing that plays with the terminal."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson
import typer
from rich.console import Console
from rich.text import Text

from relay.domain.chain import spoken
from relay.domain.instants import DAY, HOUR, MINUTE, SECOND, Instant, parse_rfc3339, text

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_AGO: Final = re.compile(r"([0-9]{1,6})(s|m|h|d)")
_UNITS: Final = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}

STYLES: Final = {
    "watching": "cyan",
    "delivering": "yellow",
    "available": "green",
    "delivered": "green",
    "dead": "bold red",
    "cancelled": "dim",
    "task.succeeded": "green",
    "task.failed": "red",
    "task.lost": "red",
    "registration.expired": "red",
    "open": "green",
    "slowed": "yellow",
    "paused": "red",
    "probing": "yellow",
    "running": "cyan",
    "done": "green",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`wide`: only where a terminal has room. `whole`: never cut short there."""

    name: str
    wide: bool = False
    whole: bool = False
    right: bool = False


WIDE: Final = 100
_GAP: Final = 2
_LEAST: Final = 8


def plain(written: str) -> str:
    """In one line, and without what would move a terminal's cursor or turn its text around: strangers wrote some of it."""
    return _CONTROL.sub(" ", written)


def styled(word: str) -> Text:
    return Text(plain(word), style=STYLES.get(word, ""))


def print_rows(out: Console, columns: Sequence[Column], rows: Iterable[Sequence[str | Text]]) -> None:
    if not out.is_terminal:
        for row in rows:
            typer.echo("\t".join(plain(str(cell)) for cell in row))
        return
    shown = [place for place, column in enumerate(columns) if out.width >= WIDE or not column.wide]
    chosen = [columns[place] for place in shown]
    lines = [[Text(column.name, style="dim") for column in chosen]]
    for row in rows:
        cells = [row[place] for place in shown]
        lines.append([cell.copy() if isinstance(cell, Text) else Text(plain(cell)) for cell in cells])
    widths = _widths(chosen, lines, out.width)
    for line in lines:
        for cell, column, width in zip(line, chosen, widths, strict=True):
            cell.truncate(width, overflow="ellipsis")
            cell.align("right" if column.right else "left", width)
        out.print(Text("  ").join(line), soft_wrap=True)


def _widths(columns: Sequence[Column], lines: Sequence[Sequence[Text]], room: int) -> list[int]:
    """As wide as what stands in them; where that is too much, the widest that may be cut short are."""
    widths = [max(line[place].cell_len for line in lines) for place in range(len(columns))]
    excess = sum(widths) + _GAP * (len(widths) - 1) - room
    while excess > 0:
        place = max(
            (place for place, column in enumerate(columns) if not column.whole),
            key=lambda place: widths[place],
            default=None,
        )
        if place is None or widths[place] <= _LEAST:
            break
        widths[place] -= 1
        excess -= 1
    return widths


def print_json(document: object) -> None:
    typer.echo(orjson.dumps(document))


def ago(moment: str, now: Instant) -> str:
    age = now - parse_rfc3339(moment)
    return "now" if age < SECOND else spoken(age)


def clock_time(moment: str, now: Instant) -> str:
    """By the machine's own zone: the time of a moment within half a day of now, and else its date as well."""
    local = datetime.fromisoformat(moment).astimezone()
    near = abs(now - parse_rfc3339(moment)) < DAY // 2
    return local.strftime("%H:%M:%S" if near else "%Y-%m-%d %H:%M:%S")


def moment_of(given: str | None, now: Instant) -> str | None:
    """RFC 3339 from itself, or from a time that has passed since, as `90m`. Raises BadParameter."""
    if given is None:
        return None
    found = _AGO.fullmatch(given)
    if found is not None:
        return text(Instant(max(0, now - int(found[1]) * _UNITS[found[2]])))
    try:
        parse_rfc3339(given)
    except ValueError:
        raise typer.BadParameter("must be as 90m, 2h or 3d (ago), or as 2026-11-23T13:00:00Z") from None
    return given
