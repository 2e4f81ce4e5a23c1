"""Follow one registration until it has ended."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from relay.cli import exits
from relay.cli.calling import Asked
from relay.cli.console import err, out
from relay.cli.registrations import chain, facts, last_word
from relay.cli.showing import clock_time, plain, print_json
from relay.client import ClientError, Problem, Registration, Step
from relay.domain.instants import text

SUCCEEDED: Final = "task.succeeded"
ENDED: Final = frozenset({"delivered", "available", "dead", "cancelled"})
_WELL: Final = frozenset({"delivered", "available"})
_WAIT: Final = 30
_GLANCE: Final = 1
_AGAIN_SECONDS: Final = 2.0
_ROOM: Final = 9
"""Lines of a terminal that are not the chain's."""


def exit_code(registration: Registration) -> int:
    """0 where the task succeeded and whoever waits for it was told, or can pull it."""
    event = registration["event"]
    well = registration["state"] in _WELL and event is not None and event["type"] == SUCCEEDED
    return 0 if well else exits.FAILED


def watch(asked: Asked, registration_id: str, *, sleep: Callable[[float], None] = time.sleep) -> int:
    """Answers the exit code."""
    screen = _Screen(out, asked) if out.is_terminal and not asked.json else None
    with ExitStack() as stack:
        if screen is not None:
            stack.enter_context(screen.live)
        return exit_code(_until_ended(asked, registration_id, screen, sleep))


def _until_ended(
    asked: Asked, registration_id: str, screen: "_Screen | None", sleep: Callable[[float], None]
) -> Registration:
    shown: Registration | None = None
    wait = 0
    while True:
        try:
            registration = asked.relay.get(registration_id, wait=wait)
            if screen is not None:
                screen.show(registration, asked.relay.timeline(registration_id))
        except ClientError as error:
            if shown is None or (isinstance(error, Problem) and not error.passing):
                raise
            _trouble(screen, f"{error}; trying again")
            sleep(_AGAIN_SECONDS)
            wait = 0
            continue
        if screen is None and (shown is None or _told(shown) != _told(registration)):
            _print(asked, registration)
        shown = registration
        if registration["state"] in ENDED:
            return registration
        # While its task goes on the relay itself waits, and a person wants to see the polls meanwhile.
        wait = _GLANCE if screen is not None else _WAIT
        if registration["state"] != "watching":
            sleep(_GLANCE)


def _told(registration: Registration) -> tuple[object, ...]:
    delivery = registration["delivery"]
    attempts = 0 if delivery is None else delivery["attempts"]
    return registration["state"], last_word(registration), attempts


def _print(asked: Asked, registration: Registration) -> None:
    if asked.json:
        print_json(registration)
        return
    now = asked.clock.wall()
    said = plain(f"{clock_time(text(now), now)}  {registration['state']}  {last_word(registration)}")
    out.print(said, markup=False, highlight=False, soft_wrap=True)


def _trouble(screen: "_Screen | None", said: str) -> None:
    if screen is not None:
        screen.trouble(said)
    else:
        err.print(said, style="yellow", markup=False, highlight=False, soft_wrap=True)


class _Screen:
    """What is known, redrawn in place while it changes, and left standing at the end."""

    def __init__(self, console: Console, asked: Asked) -> None:
        self.live = Live(console=console, refresh_per_second=8)
        self._asked = asked
        self._spinner = Spinner("dots")
        self._parts: list[RenderableType] = []

    def show(self, registration: Registration, steps: Sequence[Step]) -> None:
        room = max(1, self.live.console.height - _ROOM)
        self._parts = [facts(registration), "", chain(steps[-room:], now=self._asked.clock.wall())]
        ended = registration["state"] in ENDED
        self.live.update(Group(*self._parts) if ended else Group(*self._parts, self._spinner), refresh=True)

    def trouble(self, said: str) -> None:
        self.live.update(Group(*self._parts, Text(plain(said), style="yellow")), refresh=True)
