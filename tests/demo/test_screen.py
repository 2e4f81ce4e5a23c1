import io
import random
from typing import Final

import pytest
from rich.console import Console
from rich.text import Text

from relay.api.schemas import RegistrationResource
from relay.demo.scenario import PlannedTask, plan
from relay.demo.screen import LiveScreen, PlainScreen, Row, screen_on

MOMENT: Final = "2026-11-18T11:06:42.500Z"


def registered(task: PlannedTask, state: str) -> Row:
    resource = RegistrationResource.model_validate(
        {
            "id": "reg_1",
            "task_id": task.task_id,
            "kind": task.kind,
            "callback_url": "http://127.0.0.1/hooks/ok",
            "format": "standard",
            "state": state,
            "metadata": {},
            "created_at": MOMENT,
            "expires_at": MOMENT,
            "trace_id": None,
            "task": {
                "state": "watching",
                "status": "PENDING",
                "run_id": None,
                "polls": 3,
                "last_poll": None,
                "next_poll_at": None,
            },
            "event": None,
            "delivery": None,
        }
    )
    return Row(task=task, accepted=True, registration=resource)


def terminal(*, width: int = 80, height: int = 24) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=height)


@pytest.mark.parametrize("width", [80, 120])
def test_on_a_small_terminal_what_is_over_makes_room_for_what_goes_on(width: int) -> None:
    console = terminal(width=width)
    screen = LiveScreen(console)
    tasks = plan(40, random.Random(1))
    rows = [
        registered(task, "watching" if number >= 30 else "delivered") for number, task in enumerate(tasks)
    ]

    with console.capture() as captured:
        screen.relay_is(lambda: Text("the relay serves"))
        screen.note(1.5, "SIGKILL " * 20)
        screen.show(2, rows)
        console.print(screen.frame())

    lines = captured.get().splitlines()
    assert len(lines) <= 24
    assert "SIGKILL" in captured.get()
    for task in tasks[30:]:
        assert any(line.startswith(task.task_id[:20]) for line in lines)


def test_without_a_terminal_each_event_is_a_line_and_the_table_comes_at_the_end() -> None:
    written = io.StringIO()
    (task,) = plan(1, random.Random(1))

    with screen_on(Console(file=written, width=80)) as screen:
        screen.note(1.5, "SIGKILL")
        screen.show(2.5, [registered(task, "watching")])
        screen.show(2.6, [registered(task, "delivered")])

    events, _, *table = written.getvalue().split("\n", 2)
    assert events.strip() == "1.5 s  SIGKILL"
    assert "1 watching" in written.getvalue()
    assert "delivered" in table[0]


def test_the_screen_is_live_on_a_terminal_only() -> None:
    assert isinstance(screen_on(terminal()), LiveScreen)
    assert isinstance(screen_on(Console(file=io.StringIO())), PlainScreen)
