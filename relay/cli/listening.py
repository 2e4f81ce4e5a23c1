"""Follow the stream of events and forward each one, until Ctrl-C."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from relay.cli import exits
from relay.cli.calling import Asked
from relay.cli.console import err, fail, out
from relay.cli.forwarding import Answer, Forward
from relay.cli.showing import clock_time, plain, print_json, styled
from relay.client import LATEST, ClientError, Event, Problem
from relay.domain.chain import counted
from relay.domain.instants import SECOND

_FRESH_SECONDS: Final = 120
"""Verifiers take a signature for five minutes; one that waited longer than this for its turn is made anew."""
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 10.0
_TYPE: Final = len("registration.expired")
_KIND: Final = len("text-to-sound")
_WIDE: Final = 100
_LEAST_TASK: Final = 12


@dataclass(frozen=True, slots=True)
class Place:
    """Behind the event of that cursor; None: before the oldest."""

    cursor: str | None

    @property
    def option(self) -> str:
        return "--since-start" if self.cursor is None else f"--after {self.cursor}"


class Listening:
    """Counts what it saw, and keeps its place: the cursor of the last event that is done with."""

    def __init__(
        self,
        asked: Asked,
        forward: Forward | None,
        *,
        retry: bool,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._asked = asked
        self._forward = forward
        self._retry = retry
        self._sleep = sleep
        self._seen = 0
        self._accepted = 0
        self._missed: Place | None = None
        """Before the first event that was not accepted."""

    def run(self, begin: str | None) -> int:
        """Answers the exit code; raises ClientError where the relay does not let it begin."""
        relay = self._asked.relay
        stream = relay.stream(begin, broken=self._broken)
        self._say_hello(begin)
        try:
            for event in stream:
                self._take(event, stream.place)
        except KeyboardInterrupt:
            self._say_goodbye(stream.place)
            return 0
        except Problem as problem:
            if problem.oldest is None:
                raise
            fail(
                f"{problem}. `--after {problem.oldest}` goes on with the oldest event that is kept.",
                exits.FAILED,
            )
        finally:
            stream.close()
            if self._forward is not None:
                self._forward.close()
        return 0  # pragma: no cover - a stream has no end

    def _take(self, event: Event, before: str | None) -> None:
        self._seen += 1
        if self._forward is None:
            self._show(event, None)
            return
        pause = _FIRST_PAUSE
        while True:
            answer = self._forward.send(self._fresh(event, before))
            self._show(event, answer)
            if answer.accepted:
                self._accepted += 1
                return
            if not self._retry:
                self._missed = self._missed or Place(before)
                return
            self._sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _fresh(self, event: Event, before: str | None) -> Event:
        signed_at = int(event.headers["webhook-timestamp"])
        if self._asked.clock.wall() / SECOND - signed_at < _FRESH_SECONDS:
            return event
        try:
            page = self._asked.relay.events(before, limit=1)
        except ClientError:  # the old one is better than none: the answer will say
            return event
        return page.data[0] if page.data and page.data[0].id == event.id else event

    def _show(self, event: Event, answer: Answer | None) -> None:
        if self._asked.json:
            forwarded = (
                None
                if answer is None
                else {
                    "http_status": answer.http_status,
                    "duration_ms": round(answer.duration_ms, 3),
                    "error": answer.error,
                }
            )
            print_json({**event.document, "forwarded": forwarded})
            return
        out.print(self._line(event, answer), soft_wrap=True)
        if answer is not None and not answer.accepted:
            said = answer.error or answer.body.decode(errors="replace")
            if said:
                out.print(Text(f"  {plain(said)}", style="red"), soft_wrap=True)

    def _line(self, event: Event, answer: Answer | None) -> Text:
        now = self._asked.clock.wall()
        end = _answered(answer)
        begin = Text.assemble((f"{clock_time(event.created_at, now)}  ", "dim"), styled(event.type))
        begin.append(" " * (_TYPE - len(event.type)))
        kind = Text(f"  {event.kind:<{_KIND}}" if out.width >= _WIDE or not out.is_terminal else "")
        task = plain(event.task_id)
        if out.is_terminal:
            room = max(_LEAST_TASK, out.width - len(begin) - len(kind) - len(end) - 4)
            task = task if len(task) <= room else f"{task[: room - 1]}…"
            task = f"{task:<{room}}"
        return Text.assemble(begin, f"  {task}", kind, "  " if end else "", end)

    def _say_hello(self, begin: str | None) -> None:
        which = (
            "what comes from now on"
            if begin == LATEST
            else "what is kept, and what comes"
            if begin is None
            else "what comes behind"
        )
        self._note(f"{self._asked.relay.url}: {which}{self._whither()}. Ctrl-C ends it.")

    def _whither(self) -> str:
        return "" if self._forward is None else f", to {self._forward.url}"

    def _broken(self, reason: ClientError, pause: float) -> None:
        self._note(f"{reason}; again in {pause:g} s, nothing is skipped", "yellow")

    def _say_goodbye(self, place: str | None) -> None:
        said = f"\n{counted(self._seen, 'event')}"
        if self._forward is not None and self._seen:
            said += f", {self._accepted:,} accepted"
        self._note(said, "bold")
        if self._missed is not None:
            self._note(f"`{self._missed.option}` begins with the first that was not accepted")
        if place is not None:
            self._note(f"`{Place(place).option}` goes on from here")

    def _note(self, said: str, style: str = "dim") -> None:
        err.print(said, style=style, markup=False, highlight=False, soft_wrap=True)


def _answered(answer: Answer | None) -> Text:
    if answer is None:
        return Text("")
    word = "none" if answer.http_status is None else str(answer.http_status)
    return Text.assemble(
        (f"{word:>4}", "green" if answer.accepted else "red"), f" {answer.duration_ms:6.0f} ms"
    )
