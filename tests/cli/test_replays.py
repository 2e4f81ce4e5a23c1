"""`relay replay` against a relay in hand."""

import asyncio

import httpx

from relay.cli import exits
from tests.cli.conftest import Shell, lines_of
from tests.relays import HOOK, SUCCESS

GONE = httpx.Response(410)
OK = httpx.Response(204)


async def with_dead(shell: Shell, *tasks: str) -> None:
    for task in tasks:
        shell.relay.world.task(task, SUCCESS)
    shell.relay.world.hook(HOOK, *[GONE] * len(tasks), OK)
    await shell.run("register", *tasks, "--callback", HOOK)
    await shell.relay.tick()


async def test_a_dry_run_counts_and_changes_nothing(shell: Shell) -> None:
    await with_dead(shell, "a", "b")

    counted = await shell.run("replay", "start", "--dry-run")
    data = await shell.run("replay", "start", "--dry-run", "--json")
    none = await shell.run("replay", "start", "--dry-run", "--kind", "tts")
    listed = await shell.run("replay", "list")

    assert counted.stdout == "2 registrations are dead and found by the filter\n"
    assert lines_of(data) == [{"matching": 2}]
    assert none.stdout.startswith("0 registrations")
    assert listed.stdout == ""


async def test_a_replay_is_followed_to_its_end(shell: Shell) -> None:
    await with_dead(shell, "a", "b")

    following = asyncio.create_task(shell.run("replay", "start", "--origin", "https://hooks.test"))
    while not following.done():
        await shell.relay.relay.replaying.run_once()
        await asyncio.sleep(0.05)

    done = await following
    assert (done.exit_code, done.stdout) == (0, "done: 2 sent again\n")


async def test_a_replay_is_paused_resumed_and_cancelled(shell: Shell) -> None:
    await with_dead(shell, "a")
    begun = lines_of(await shell.run("replay", "start", "--detach", "--json"))[0]["id"]

    said = [
        (await shell.run("replay", change, begun)).stdout.split("\t")[1]
        for change in ("pause", "resume", "cancel")
    ]
    refused = await shell.run("replay", "resume", begun)
    followed = await shell.run("replay", "follow", begun)
    listed = await shell.run("replay", "list", "--json")

    assert said == ["paused", "running", "cancelled"]
    assert refused.exit_code == exits.FAILED
    assert (followed.exit_code, followed.stdout) == (exits.FAILED, "cancelled: 0 sent again\n")
    assert [each["id"] for each in lines_of(listed)] == [begun]


async def test_a_replay_that_is_not_there_is_an_error(shell: Shell) -> None:
    refused = await shell.run("replay", "follow", "rpl_nothing")

    assert refused.exit_code == exits.FAILED
    assert "there is no such replay" in refused.stderr
