"""Follow the stream of events and forward each one, until Ctrl-C."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from relay.cli import exits
from relay.cli.calling import Asked
from relay.cli.console import err, fail, out
from relay.cli.forwarding import Answer, Forward
from relay.cli.showing import WIDE, clock_time, plain, print_json, print_rows, styled
from relay.client import LATEST, ClientError, Event, Problem
from relay.domain.chain import counted
from relay.domain.instants import SECOND

_FRESH_SECONDS: Final = 120
"""Verifiers take a signature for five minutes; one that waited longer than this for its turn is made anew."""
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 10.0
_TYPE: Final = len("registration.expired")
_KIND: Final = len("audio-separation")
_GAP: Final = 2
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
        self._trouble = ""
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
        if out.is_terminal:
            out.print(self._line(event, answer), soft_wrap=True)
        else:
            print_rows(out, (), [_fields(event, answer)])
        trouble = (
            "" if answer is None or answer.accepted else answer.error or answer.body.decode(errors="replace")
        )
        if trouble and trouble != self._trouble:  # a server that is down says the same of every event
            out.print(Text(f"  {plain(trouble)}", style="red"), soft_wrap=True)
        self._trouble = trouble

    def _line(self, event: Event, answer: Answer | None) -> Text:
        at = clock_time(event.created_at, self._asked.clock.wall())
        begin = Text.assemble((f"{at}  ", "dim"), styled(event.type), " " * (_TYPE - len(event.type) + _GAP))
        kind = f"{event.kind:<{_KIND}}" if out.width >= WIDE else ""
        end = Text.assemble(kind, _answered(answer))
        task = Text(plain(event.task_id))
        task.truncate(
            max(_LEAST_TASK, out.width - len(begin) - len(end) - _GAP), overflow="ellipsis", pad=True
        )
        return Text.assemble(begin, task, " " * _GAP, end)

    def _say_hello(self, begin: str | None) -> None:
        which = {LATEST: "what comes from now on", None: "all that is kept"}.get(
            begin, f"what comes behind {begin}"
        )
        self._note(f"{self._asked.relay.url}: {which}; Ctrl-C ends it")
        if self._forward is not None:
            self._note(f"to {self._forward.url}")

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


def _fields(event: Event, answer: Answer | None) -> Sequence[str]:
    fields = (event.created_at, event.type, event.task_id, event.kind)
    if answer is None:
        return fields
    return (*fields, str(answer.http_status or "none"), f"{answer.duration_ms:.0f} ms")


def _answered(answer: Answer | None) -> Text:
    if answer is None:
        return Text("")
    word = "none" if answer.http_status is None else str(answer.http_status)
    return Text.assemble(
        (f"  {word:>4}", "green" if answer.accepted else "red"), f" {answer.duration_ms:6.0f} ms"
    )
