"""Each command in the test's process, against a relay in hand."""

import re

import httpx
import orjson
import pytest

from relay.cli import exits
from tests.cli.conftest import Shell, lines_of
from tests.relays import FAILING, HOOK, OTHER_TOKEN, SUCCESS
from tests.sockets import unused_port

GONE = httpx.Response(410)
FAILED = httpx.Response(200, json={"status": "ERROR", "exception_reason": "no"})


async def registered(shell: Shell, task: str = "task-1", *more: str) -> str:
    made = await shell.run("register", task, "--callback", HOOK, "--json", *more)
    assert made.exit_code == 0, made.stderr
    registration: str = lines_of(made)[0]["id"]
    return registration


async def test_a_task_is_registered_with_all_that_the_api_takes(shell: Shell) -> None:
    options = ["--kind", "tts", "--metadata", '{"order": 7}', "--expires-in", "60", "--format", "raw"]

    registration = await registered(shell, "task-1", *options)

    found = await shell.relay.read(registration)
    assert (found["task_id"], found["kind"], found["format"]) == ("task-1", "tts", "raw")
    assert (found["callback_url"], found["metadata"]) == (HOOK, {"order": 7})


async def test_the_same_registration_again_stands_already_and_another_is_a_conflict(shell: Shell) -> None:
    await registered(shell)

    again = await shell.run("register", "task-1", "--callback", HOOK)
    other = await shell.run("register", "task-1", "--callback", HOOK, "--metadata", '{"order": 8}')

    assert (again.exit_code, other.exit_code) == (0, exits.FAILED)
    assert "it stood already" in again.stderr
    assert "task-1: metadata: differs from what stands" in other.stderr


async def test_tasks_come_from_a_file_as_ids_and_as_json(shell: Shell) -> None:
    lines = ["plain-id", "", orjson.dumps({"task_id": "{odd", "kind": "dub"}).decode()]

    made = await shell.run(
        "register", "first", "--file", "-", "--callback", HOOK, "--kind", "tts", stdin="\n".join(lines)
    )

    rows = [line.split("\t") for line in made.stdout.splitlines()]
    assert [(task, kind) for _, task, kind, *_ in rows] == [
        ("first", "tts"),
        ("plain-id", "tts"),
        ("{odd", "dub"),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("register",), "name a task"),
        (("register", "a", "b", "--watch"), "watches one task"),
        (("register", "a", "--metadata", "{"), "is not JSON"),
        (("register", "a", "--metadata", "[]"), "must be an object"),
        (("register", "--file", "/nowhere/at/all"), "cannot be read"),
        (("list", "--since", "yesterday"), "90m, 2h or 3d"),
        (("list", "--state", "lively"), "watching"),
        (("listen", "--after", "c-1", "--since-start"), "give one of them"),
        (("listen", "--retry"), "--forward"),
        (("listen", "--forward", "ftp://localhost"), "http://localhost:3000/hooks"),
    ],
)
async def test_wrong_usage_says_what_would_be_right(
    shell: Shell, arguments: tuple[str, ...], words: str
) -> None:
    refused = await shell.run(*arguments, COLUMNS="200")

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert words in refused.stderr


@pytest.mark.parametrize("line", ["{no json", '{"kind": "tts"}'])
async def test_a_line_that_is_no_task_is_refused_before_anything_is_sent(shell: Shell, line: str) -> None:
    refused = await shell.run("register", "--file", "-", stdin=f"good\n{line}\n")

    assert refused.exit_code == 2
    assert await shell.relay.execute("SELECT count(*) FROM registrations") == [(0,)]


async def test_a_list_is_narrowed_and_is_as_long_as_was_asked(shell: Shell) -> None:
    await shell.run("register", "a", "b", "c", "--callback", HOOK)
    shell.relay.hands.advance(1)
    await shell.run("register", "d", "--kind", "tts", "--callback", HOOK)

    everything = await shell.run("list")
    two = await shell.run("list", "--limit", "2", "--json")
    one = await shell.run("list", "--kind", "tts", "--state", "watching", "--since", "2026-01-01T00:00:00Z")
    none = await shell.run("list", "--until", "2026-01-01T00:00:00Z")
    others = await shell.run("list", RELAY_TOKEN=OTHER_TOKEN)

    assert len(everything.stdout.splitlines()) == 4
    assert lines_of(two)[0]["task_id"] == "d"
    assert len(lines_of(two)) == 2
    assert "\td\ttts\twatching\t" in one.stdout
    assert (none.stdout, others.stdout) == ("", "")


async def test_show_tells_the_story_of_a_task_to_a_person_and_to_a_program(shell: Shell) -> None:
    shell.relay.world.task("task-1", SUCCESS)
    shell.relay.world.hook(HOOK, httpx.Response(410, text="\x1b[2Jgone for good"))
    registration = await registered(shell)
    await shell.relay.tick()

    told = await shell.run("show", "task-1", "--attempts")
    data = await shell.run("show", registration, "--attempts", "--json")

    assert told.exit_code == 0
    assert "CAMB reported SUCCESS" in told.stdout
    assert f"`relay redeliver {registration}`" in told.stdout
    assert "gone for good" in told.stdout
    assert "\x1b" not in told.stdout
    (document,) = lines_of(data)
    assert (document["state"], document["timeline"][-1]["what"]) == ("dead", "dead")
    assert document["attempts"][0]["http_status"] == 410


async def test_a_task_with_several_registrations_must_be_named_by_one_of_them(shell: Shell) -> None:
    first = await registered(shell)
    await shell.run("register", "task-1", "--callback", f"{HOOK}/2")

    several = await shell.run("show", "task-1")
    none = await shell.run("show", "nobodys")
    wrong = await shell.run("show", "reg_nothing")

    assert [each.exit_code for each in (several, none, wrong)] == [exits.FAILED] * 3
    assert first in several.stderr
    assert "no registration of a task nobodys" in none.stderr
    assert "there is no such registration" in wrong.stderr


@pytest.mark.parametrize(
    ("said", "answered", "code", "state"),
    [
        (SUCCESS, httpx.Response(204), 0, "delivered"),
        (FAILED, httpx.Response(204), exits.FAILED, "delivered"),
        (SUCCESS, GONE, exits.FAILED, "dead"),
    ],
    ids=["succeeded", "failed", "dead"],
)
async def test_watch_exits_by_what_the_registration_came_to(
    shell: Shell, said: httpx.Response, answered: httpx.Response, code: int, state: str
) -> None:
    shell.relay.world.task("task-1", said)
    shell.relay.world.hook(HOOK, answered)
    registration = await registered(shell)
    await shell.relay.tick()

    watched = await shell.run("watch", registration, "--json")
    by_task = await shell.run("watch", "task-1")

    assert (watched.exit_code, by_task.exit_code) == (code, code)
    assert lines_of(watched)[-1]["state"] == state
    assert re.search(rf"\d\d:\d\d:\d\d  {state}  ", by_task.stdout)


async def test_what_was_cancelled_is_no_success_either(shell: Shell) -> None:
    registration = await registered(shell)

    cancelled = await shell.run("cancel", registration)
    again = await shell.run("cancel", "task-1", "--json")
    watched = await shell.run("watch", registration)

    assert (cancelled.exit_code, again.exit_code, watched.exit_code) == (0, 0, exits.FAILED)
    assert "\tcancelled\t" in cancelled.stdout
    assert lines_of(again)[0]["state"] == "cancelled"


async def test_register_can_go_on_to_watch(shell: Shell) -> None:
    shell.relay.world.task("task-1", SUCCESS)
    registration = await registered(shell)
    await shell.relay.tick()

    watched = await shell.run("register", "task-1", "--callback", HOOK, "--watch", "--json")

    assert watched.exit_code == 0
    assert [(each["id"], each["state"]) for each in lines_of(watched)] == [(registration, "delivered")] * 2


async def test_what_is_dead_is_redelivered(shell: Shell) -> None:
    shell.relay.world.task("task-1", SUCCESS)
    shell.relay.world.hook(HOOK, GONE, httpx.Response(204))
    registration = await registered(shell)
    await shell.relay.tick()

    again = await shell.run("redeliver", registration)
    await shell.relay.tick()
    early = await shell.run("redeliver", await registered(shell, "task-2"))

    assert (again.exit_code, early.exit_code) == (0, exits.FAILED)
    assert "\tdelivering\t" in again.stdout
    assert (await shell.relay.read(registration))["state"] == "delivered"


async def test_a_test_notification_says_what_came_of_it(shell: Shell) -> None:
    shell.relay.world.hook(HOOK, httpx.Response(204), FAILING)

    good = await shell.run("test", HOOK)
    bad = await shell.run("test", HOOK)
    data = await shell.run("test", HOOK, "--json")

    assert (good.exit_code, bad.exit_code, data.exit_code) == (0, exits.FAILED, exits.FAILED)
    assert good.stdout.startswith(f"accepted: {HOOK} answered 204 in ")
    assert "the callback answered 500" in bad.stdout
    assert "the callback is broken" in bad.stdout
    assert lines_of(data)[0]["attempt"]["http_status"] == 500


async def test_origins_in_trouble_are_listed(shell: Shell) -> None:
    shell.relay.world.task("task-1", SUCCESS)
    shell.relay.world.hook(HOOK, httpx.Response(503, headers={"retry-after": "60"}))
    await registered(shell)
    await shell.relay.tick()

    listed = await shell.run("origins")
    data = await shell.run("origins", "--json")

    assert listed.stdout.startswith("https://hooks.test\tpaused\t")
    assert lines_of(data)[0]["waiting"] == 1


async def test_who_the_relay_does_not_know_is_told_where_a_token_goes(shell: Shell) -> None:
    unknown = await shell.run("list", RELAY_TOKEN="nobodys-token")
    none = await shell.run("list", RELAY_TOKEN=None)

    assert (unknown.exit_code, none.exit_code) == (exits.CONFIGURATION, exits.CONFIGURATION)
    assert "the API token is not known" in unknown.stderr
    assert "RELAY_TOKEN" in none.stderr
    assert "nobodys-token" not in unknown.stderr


async def test_where_nobody_answers_it_is_said_who_said_to_ask_there(shell: Shell) -> None:
    url = f"http://127.0.0.1:{unused_port()}"

    asked = await shell.run("list", RELAY_URL=url)
    wrong = await shell.run("list", "--url", "relay.test")

    assert (asked.exit_code, wrong.exit_code) == (exits.UNAVAILABLE, exits.CONFIGURATION)
    assert f"no answer from {url}" in asked.stderr
    assert "(RELAY_URL)" in asked.stderr
    assert "begins with http:// or https://" in wrong.stderr
