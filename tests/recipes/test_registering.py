"""Every recipe for registering, against a relay of its own."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.e2e.neighbours import SIGNING_SECRET, Neighbours, own_neighbours
from tests.e2e.processes import TOKEN, RelayProcess, environment, serving, sqlite_url
from tests.recipes.inboxes import SqliteInbox
from tests.recipes.receivers import HERE, NODE, ON_NODE, PYTHON, PYTHON_RECIPES, copied, receiving
from tests.sockets import Answer, answer, listening

HOOK = "https://hooks.example.com/camb"
CREATED = answer("201 Created", b'{"id": "reg_1"}', content_type="application/json")
REFUSED = answer("422 Unprocessable", b'{"title": "the relay says why"}', content_type="application/json")
TROUBLE: Sequence[Answer] = (
    answer("503 Service Unavailable", retry_after="0"),
    answer("429 Too Many Requests", retry_after="0"),
    CREATED,
)
WITHIN = 40

Command = tuple[str, ...]


@pytest.fixture(
    params=[
        pytest.param((PYTHON, str(HERE / "register.py")), id="python"),
        pytest.param(
            (shutil.which("sh") or "sh", str(HERE / "register.sh")),
            id="curl",
            marks=pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here"),
        ),
        pytest.param((NODE, str(HERE / "register.mjs")), id="javascript", marks=ON_NODE),
    ]
)
def command(request: pytest.FixtureRequest) -> Command:
    command: Command = request.param
    return command


@pytest.fixture
async def neighbours() -> AsyncIterator[Neighbours]:
    async with own_neighbours() as neighbours:
        yield neighbours


@pytest.fixture
async def relay(neighbours: Neighbours, tmp_path: Path) -> AsyncIterator[RelayProcess]:
    async with serving(environment(neighbours, sqlite_url(tmp_path)), tmp_path) as relay:
        yield relay


async def registered(command: Command, url: str, task_id: str, hook: str) -> subprocess.CompletedProcess[str]:
    environ: Mapping[str, str] = {"RELAY_URL": url, "RELAY_TOKEN": TOKEN, "PATH": "/usr/bin:/bin"}
    return await asyncio.to_thread(
        subprocess.run,
        [*command, task_id, hook],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )


@pytest.mark.e2e
async def test_a_task_is_registered_once_however_often_it_is_asked(
    command: Command, relay: RelayProcess, neighbours: Neighbours
) -> None:
    hook = neighbours.hook("ok")

    done = [await registered(command, relay.url, "pending", hook) for _ in range(2)]

    first, again = (re.findall(r"reg_\w+", each.stdout)[0] for each in done)
    assert first == again
    found = await relay.read(first)
    assert (found["task_id"], found["callback_url"]) == ("pending", hook)


async def test_it_is_asked_again_where_that_may_help(command: Command) -> None:
    async with listening(*TROUBLE) as server:
        done = await registered(command, server.origin, "task-1", HOOK)

    assert done.returncode == 0, done.stderr
    assert "reg_1" in done.stdout
    assert len(server.received) == len(TROUBLE)
    assert {each.headers["authorization"] for each in server.received} == {f"Bearer {TOKEN}"}
    assert len({each.body for each in server.received}) == 1


async def test_a_refusal_is_shown_and_not_asked_again(command: Command) -> None:
    async with listening(REFUSED) as server:
        done = await registered(command, server.origin, "task-1", "ftp://hooks.example.com")

    assert done.returncode != 0
    assert "the relay says why" in done.stdout + done.stderr
    assert len(server.received) == 1


@pytest.mark.e2e
async def test_from_a_registration_to_the_work_that_is_done(
    relay: RelayProcess, neighbours: Neighbours, tmp_path_factory: pytest.TempPathFactory
) -> None:
    recipe = PYTHON_RECIPES[0]
    folder = tmp_path_factory.mktemp("recipe")
    copied(recipe, folder)
    inbox = SqliteInbox(path=folder / "inbox.db")
    inbox.make()

    with receiving(recipe, folder, {"RELAY_SIGNING_SECRET": SIGNING_SECRET}, inbox) as receiver:
        done = await registered((PYTHON, str(HERE / "register.py")), relay.url, "success-once", receiver.url)
        found = await relay.reaches(done.stdout.strip(), "delivered")

    assert set(await inbox.kept()) == {found["event"]["id"]}
