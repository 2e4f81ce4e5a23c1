"""Commands that draw on a terminal: a table that fits, a picture that is redrawn, a bar."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.neighbours import Neighbours
from tests.e2e.processes import TOKEN, environment, run, serving, sqlite_url

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


async def test_on_a_terminal_everything_is_drawn_within_its_columns(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    async with serving(environment(neighbours, sqlite_url(tmp_path)), tmp_path) as relay:
        # What rich takes for a terminal; COLUMNS is all of one that is left to a test.
        environ = {
            "RELAY_URL": relay.url,
            "RELAY_TOKEN": TOKEN,
            "HOME": str(tmp_path),
            "FORCE_COLOR": "1",
            "TERM": "xterm-256color",
            "COLUMNS": "80",
            "LINES": "24",
        }

        def typed(*arguments: str) -> tuple[int, str]:
            done = run(*arguments, environ=environ, folder=tmp_path)
            assert done.stderr == "", done.stderr
            return done.returncode, _ESCAPES.sub("", done.stdout).replace("\r", "")

        task = "success-after-1-drawn-with-a-task-id-that-is-far-too-long-for-any-table"
        registered, _ = typed("register", task, "--callback", neighbours.hook("gone-1"), "--watch")
        listed = typed("list")
        shown = typed("show", task, "--attempts")
        replayed, drawn = typed("replay", "start", "--yes")
        watched, _ = typed("watch", task)

    assert (registered, listed[0], shown[0], replayed, watched) == (1, 0, 0, 0, 0)
    assert max(len(line) for line in listed[1].splitlines()) <= 80
    assert re.search("success-after-1-[a-z-]*… ", listed[1])
    assert "CAMB reported SUCCESS: the task" in " ".join(shown[1].split())
    assert "1/1" in drawn
    assert "done: 1 sent again" in drawn
