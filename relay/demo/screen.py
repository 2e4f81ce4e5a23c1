"""What a person sees of the demo: a live table on a terminal, lines elsewhere."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from relay.api.schemas import RegistrationResource
from relay.demo.scenario import PlannedTask
from relay.domain.registrations import RegistrationState

_NOTES_SHOWN: Final = 6
_FRAME_LINES: Final = 6
_REFRESHES: Final = 8
_SECONDS_BETWEEN_COUNTS: Final = 2
_STYLES: Final[Mapping[str, str]] = {
    RegistrationState.WATCHING: "cyan",
    RegistrationState.DELIVERING: "yellow",
    RegistrationState.DELIVERED: "green",
    RegistrationState.DEAD: "magenta",
}
_OVER: Final = frozenset({RegistrationState.DELIVERED, RegistrationState.DEAD})
_ENDED: Final = frozenset({"succeeded", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A planned task, and what the relay last said of its registration: None before it did."""

    task: PlannedTask
    accepted: bool
    registration: RegistrationResource | None

    @property
    def state(self) -> str:
        if self.registration is None:
            return "accepted" if self.accepted else "to register"
        return self.registration.state

    @property
    def over(self) -> bool:
        return self.registration is not None and self.registration.state in _OVER

    @property
    def camb_says(self) -> str:
        """CAMB's word where that ended the task, else what the last poll came to."""
        if self.registration is None:
            return ""
        task = self.registration.task
        if task.state in _ENDED and task.status is not None:
            return task.status
        return "" if task.last_poll is None else task.last_poll.result

    @property
    def event(self) -> str:
        event = None if self.registration is None else self.registration.event
        return "" if event is None else event.type.rpartition(".")[2]

    @property
    def tries(self) -> str:
        delivery = None if self.registration is None else self.registration.delivery
        return "" if delivery is None or not delivery.attempts else str(delivery.attempts)

    @property
    def answer(self) -> str:
        """The receiver's to the last try."""
        delivery = None if self.registration is None else self.registration.delivery
        return "" if delivery is None or not delivery.attempts else str(delivery.last_http_status or "none")

    @property
    def polls(self) -> str:
        return "" if self.registration is None else str(self.registration.task.polls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    title: str
    width: int
    cell: Callable[[Row], str | Text]
    justify: Literal["left", "right"] = "left"


_KIND: Final = Field(title="kind", width=16, cell=lambda row: row.task.kind)
_LAST: Final = Field(title="last", width=4, cell=lambda row: row.answer, justify="right")
_FIELDS: Final = (
    Field(title="CAMB says", width=12, cell=lambda row: row.camb_says),
    Field(title="polls", width=5, cell=lambda row: row.polls, justify="right"),
    Field(title="event", width=9, cell=lambda row: row.event),
    Field(title="state", width=11, cell=lambda row: Text(row.state, style=_STYLES.get(row.state, "dim"))),
    Field(title="tries", width=5, cell=lambda row: row.tries, justify="right"),
    Field(title="receiver", width=8, cell=lambda row: row.task.hook),
)
_WIDE: Final = 100
_LONGEST_TASK: Final = 30


def table_of(rows: Sequence[Row], width: int) -> Table:
    """The column of the tasks has what room the others leave."""
    fields = _FIELDS if width < _WIDE else (_KIND, *_FIELDS, _LAST)
    room = width - sum(field.width + 1 for field in fields)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("task", no_wrap=True, width=min(room, _LONGEST_TASK))
    for field in fields:
        table.add_column(field.title, no_wrap=True, width=field.width, justify=field.justify)
    for row in rows:
        table.add_row(row.task.task_id, *(field.cell(row) for field in fields))
    return table


class LiveScreen:
    """A table that fits the terminal: whatever is over makes room for what is not."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rows: Sequence[Row] = ()
        self._relay: Callable[[], Text] = Text
        self._notes: list[Text] = []
        self._live = Live(
            console=console, get_renderable=self.frame, refresh_per_second=_REFRESHES, transient=True
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()
        for note in self._notes:
            self._console.print(note)
        if self._rows:
            self._console.print()
            self._console.print(table_of(self._rows, self._console.width))

    def relay_is(self, said: Callable[[], Text]) -> None:
        """`said` is asked each time the screen is drawn."""
        self._relay = said

    def note(self, at: float, text: str, style: str = "") -> None:
        self._notes.append(_note(at, text, style))

    def show(self, _: float, rows: Sequence[Row]) -> None:
        self._rows = rows

    def frame(self) -> RenderableType:
        width, height = self._console.size
        notes = self._notes[-_NOTES_SHOWN:]
        taken = sum(1 + (note.cell_len - 1) // width for note in notes)
        room = max(1, height - taken - _FRAME_LINES)
        open_rows = [row for row in self._rows if not row.over]
        over = [row for row in self._rows if row.over]
        shown = {row.task.task_id for row in [*open_rows, *reversed(over)][:room]}
        hidden = len(self._rows) - len(shown)
        counts = _counts(self._rows) + (f" ({hidden} not shown)" if hidden else "")
        return Group(
            self._relay(),
            Text(counts, style="dim"),
            table_of([row for row in self._rows if row.task.task_id in shown], width),
            Text(""),
            *notes,
        )


class PlainScreen:
    """A line for each thing that happens, and the counts now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._counted_at = 0.0
        self._rows: Sequence[Row] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._rows:
            self._console.print(table_of(self._rows, self._console.width))

    def relay_is(self, said: Callable[[], Text]) -> None:
        """Nothing is drawn again here: the notes say it once."""

    def note(self, at: float, text: str, style: str = "") -> None:
        self._console.print(_note(at, text, style), soft_wrap=True)

    def show(self, at: float, rows: Sequence[Row]) -> None:
        self._rows = rows
        if at - self._counted_at >= _SECONDS_BETWEEN_COUNTS:
            self._counted_at = at
            self.note(at, _counts(rows), "dim")


Screen = LiveScreen | PlainScreen


def screen_on(console: Console) -> Screen:
    return LiveScreen(console) if console.is_terminal else PlainScreen(console)


def _note(at: float, text: str, style: str) -> Text:
    return Text.assemble((f"{at:5.1f} s  ", "dim"), (text, style))


def _counts(rows: Sequence[Row]) -> str:
    return ", ".join(f"{count} {state}" for state, count in Counter(row.state for row in rows).items())
