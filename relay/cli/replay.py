"""Replays: begun by a filter, followed, paused, resumed, cancelled. A command imports what it needs when it runs."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from typing import Annotated, Any, Final, Literal

import typer

from relay.cli.calling import Asked, Kind, Since, Until, at_a_relay
from relay.cli.panels import DAILY

app: Final = typer.Typer()
replays: Final = typer.Typer(
    name="replay", help="Send again, in the background, what is dead or was delivered.", no_args_is_help=True
)
app.add_typer(replays, rich_help_panel=DAILY)

ReplayId = Annotated[str, typer.Argument(metavar="ID", help="A replay's id, as `relay replay list` has it.")]


@replays.command()
@at_a_relay
def start(
    asked: Asked,
    state: Annotated[Literal["dead", "delivered"], typer.Option(help="What became of it before.")] = "dead",
    kind: Kind = None,
    origin: Annotated[str | None, typer.Option(help="Only callbacks of this origin.")] = None,
    since: Since = None,
    until: Until = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count: nothing is sent.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether to, on a terminal.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for its end.")] = False,
) -> None:
    """Send again what a filter finds, at the pace of its origins, and follow it to the end.

    What becomes dead after its start is not part of it. Ctrl-C stops following; the replay goes on in the relay.
    """
    from relay.cli.console import out
    from relay.cli.replaying import describe, follow
    from relay.cli.showing import moment_of, print_json

    now = asked.clock.wall()
    wanted: dict[str, Any] = {
        "state": state,
        "kind": kind,
        "origin": origin,
        "since": moment_of(since, now),
        "until": moment_of(until, now),
    }
    if dry_run or (out.is_terminal and not yes and not asked.json):
        matching = asked.relay.count_replay(**wanted)
        print_json({"matching": matching}) if asked.json else out.print(describe(matching, state))
        if dry_run or matching == 0:
            return
        typer.confirm("Send again?", abort=True)
    begun = asked.relay.replay(**wanted)
    if detach:
        _show(asked, begun["id"])
    else:
        raise typer.Exit(follow(asked, begun["id"]))


@replays.command("list")
@at_a_relay
def list_(asked: Asked, limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20) -> None:
    """List replays, newest first."""
    from itertools import islice

    from relay.cli.replaying import print_replays
    from relay.cli.showing import print_json

    found = islice(asked.relay.replays(), limit)
    if asked.json:
        for each in found:
            print_json(each)
    else:
        print_replays(found, now=asked.clock.wall())


@replays.command()
@at_a_relay
def follow(asked: Asked, replay_id: ReplayId) -> None:
    """Watch a replay until it is over: how far it is with each origin, and what it waits for. Exit 0 if it is done."""
    from relay.cli.replaying import follow as following

    raise typer.Exit(following(asked, replay_id))


@replays.command()
@at_a_relay
def pause(asked: Asked, replay_id: ReplayId) -> None:
    """Let a replay rest; what it has sent again already goes on."""
    asked.relay.change_replay(replay_id, "pause")
    _show(asked, replay_id)


@replays.command()
@at_a_relay
def resume(asked: Asked, replay_id: ReplayId) -> None:
    """Let a replay go on."""
    asked.relay.change_replay(replay_id, "resume")
    _show(asked, replay_id)


@replays.command()
@at_a_relay
def cancel(asked: Asked, replay_id: ReplayId) -> None:
    """End a replay; what it has sent again already goes on."""
    asked.relay.change_replay(replay_id, "cancel")
    _show(asked, replay_id)


def _show(asked: Asked, replay_id: str) -> None:
    from relay.cli.replaying import print_replays
    from relay.cli.showing import print_json

    found = asked.relay.get_replay(replay_id)
    print_json(found) if asked.json else print_replays([found], now=asked.clock.wall())
