import asyncio
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import httpx
import orjson
import pytest

from relay.cli.demonstrate import Options, demonstrate
from relay.client import Registration, RelayClient
from relay.demo.scenario import SCENES, plan
from tests.e2e.processes import COMMAND, run, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

TROUBLE = {
    "RELAY_API_TOKEN": "no-such-setting",
    "RELAY_CAMB__BASE_URL": "https://elsewhere.test/apis",
    "RELAY_DELIVERY__RETRY_SCHEDULE": "P1D",
    "HTTP_PROXY": "http://127.0.0.1:1",
}
"""What a user's shell may hold, and the demo must not see."""


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    """Where the demo finds a temporary folder of its own, to be looked into afterwards."""
    (tmp_path / "temporary").mkdir()
    return {"PATH": os.defpath, "TMPDIR": str(tmp_path / "temporary"), **TROUBLE}


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder with a configuration that nothing could be started with."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "relay.toml").write_text("this is no TOML")
    return tmp_path


def left_behind(environ: Mapping[str, str]) -> list[Path]:
    return list(Path(environ["TMPDIR"]).iterdir())


def summary_of(workplace: Path, environ: Mapping[str, str], *options: str) -> dict[str, Any]:
    played = subprocess.run(
        [*COMMAND, "demo", "--json", *options],
        cwd=workplace,
        env=environ,
        capture_output=True,
        check=False,
    )
    assert played.returncode == 0, played.stderr.decode()
    summary: dict[str, Any] = orjson.loads(played.stdout)
    return summary


def test_the_demo_misses_nothing_though_the_relay_is_killed_in_the_middle(
    workplace: Path, environ: Mapping[str, str]
) -> None:
    summary = summary_of(workplace, environ, "--seed", "1")

    expected = {"held": True, "tasks": 40, "accepted": 40, "notified": 39, "given_up": 1, "missed": 0}
    assert {name: summary[name] for name in expected} == expected
    assert summary["verified"] == summary["attempts"] >= len(SCENES)
    assert summary["crash"]["seconds_dead"] > 0
    assert summary["slowest_detection"]["took"] >= 0
    assert left_behind(environ) == []


def test_nothing_arrives_twice_in_a_demo_without_a_crash(workplace: Path, environ: Mapping[str, str]) -> None:
    summary = summary_of(workplace, environ, "--no-crash", "--tasks", "12")

    expected = {"accepted": 12, "notified": 11, "given_up": 1, "missed": 0, "duplicated": 0, "crash": None}
    assert {name: summary[name] for name in expected} == expected
    assert left_behind(environ) == []


async def test_a_demo_whose_receiver_refuses_everything_fails(capsys: pytest.CaptureFixture[str]) -> None:
    # A 400 pauses no origin: the schedule ends as quickly as it can.
    refused = [replace(task, hook="status-400") for task in plan(4, random.Random(1)) if task.kind != "tts"]

    code = await demonstrate(refused, Options(seed=1, crash=False, json=True))

    summary = orjson.loads(capsys.readouterr().out)
    assert code == 1
    assert (summary["held"], summary["notified"], summary["missed"]) == (False, 0, 2)
    assert all("dead (exhausted)" in sentence for sentence in summary["broken"])


@contextmanager
def playing(workplace: Path, environ: Mapping[str, str], *options: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [*COMMAND, "demo", "--tasks", "3", *options]
    with subprocess.Popen(command, cwd=workplace, env=environ, stdout=subprocess.PIPE) as demo:
        try:
            yield demo
        finally:
            demo.kill()


def line_with(words: str, stream: IO[bytes] | None) -> str:
    assert stream is not None
    return next(line for line in map(bytes.decode, stream) if words in line)


async def refuses_connections(url: str) -> bool:
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            await http.get(url)
    except httpx.ConnectError:
        return True
    return False


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)], ids=["Ctrl-C", "SIGKILL"]
)
async def test_a_demo_that_is_ended_from_outside_takes_everything_with_it(
    number: signal.Signals, code: int, workplace: Path, environ: Mapping[str, str]
) -> None:
    with playing(workplace, environ) as demo:
        urls = re.findall(r"http://[0-9.:]+[0-9]", line_with("simulator at", demo.stdout))
        urls += re.findall(r"http://[0-9.:]+[0-9]", line_with("the relay, process", demo.stdout))

        demo.send_signal(number)

        assert demo.wait(30) == code
        assert len(urls) == 3
        for url in urls:
            await until(partial(refuses_connections, url))
        await until(lambda: asyncio.to_thread(lambda: not left_behind(environ)))


async def test_a_demo_that_is_kept_open_can_be_played_with_while_new_tasks_keep_coming(
    workplace: Path, environ: Mapping[str, str]
) -> None:
    with playing(workplace, environ, "--no-crash", "--keep-open") as demo:
        console = line_with("console", demo.stdout).split()[-1]
        operator = line_with("to see both", demo.stdout).split()[-1]
        variables = dict(
            line_with(name, demo.stdout).strip().removeprefix("export ").split("=", 1)
            for name in ("RELAY_URL=", "RELAY_TOKEN=")
        )
        command = line_with("--watch", demo.stdout).split()[1:]
        watched = await asyncio.to_thread(
            run, *command, environ={"PATH": os.defpath, **variables}, folder=workplace
        )
        with RelayClient(variables["RELAY_URL"], variables["RELAY_TOKEN"]) as relay:

            def live() -> list[Registration]:
                return [each for each in relay.registrations() if "-live-" in each["task_id"]]

            await until(lambda: asyncio.to_thread(lambda: len(live()) > 2))
        async with httpx.AsyncClient(trust_env=False, headers={"origin": variables["RELAY_URL"]}) as browser:
            page = await browser.post(f"{console}/sign-in", data={"token": operator}, follow_redirects=True)

        demo.send_signal(signal.SIGINT)

        assert demo.wait(30) == 0
        assert console == f"{variables['RELAY_URL']}/ui"
        assert (watched.returncode, watched.stderr) == (0, "")
        assert "delivered" in watched.stdout
        assert (page.status_code, "studio" in page.text) == (200, True)
        assert left_behind(environ) == []


def test_without_the_verifying_library_the_demo_says_how_to_install_it() -> None:
    lacking = "import sys; sys.modules['standardwebhooks'] = None; from relay.cli import main; main()"

    refused = subprocess.run(
        [sys.executable, "-c", lacking, "demo"], capture_output=True, text=True, check=False
    )

    assert refused.returncode == 69
    assert "pip install camb-relay[demo]" in refused.stderr
