"""Daily work with a relay. A command imports what it needs when it runs."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from relay.cli import exits, replay
from relay.cli.calling import Asked, Kind, Since, Until, at_a_relay
from relay.cli.panels import DAILY

app: Final = typer.Typer()
app.add_typer(replay.app)

Named = Annotated[str, typer.Argument(metavar="ID", help="A registration's id, or its task's.")]


@app.command(rich_help_panel=DAILY)
@at_a_relay
def register(
    asked: Asked,
    tasks: Annotated[
        list[str] | None, typer.Argument(metavar="[TASK_ID]...", help="CAMB's task ids.")
    ] = None,
    callback: Annotated[
        str | None,
        typer.Option(help="The URL to notify; without one the event is pulled, as by `relay listen`."),
    ] = None,
    kind: Kind = None,
    metadata: Annotated[
        str | None, typer.Option(help="A JSON object, handed back with the notification.")
    ] = None,
    expires_in: Annotated[
        int | None, typer.Option(help="Seconds to wait for CAMB; 24 h if left out.")
    ] = None,
    format: Annotated[  # noqa: A002 - the API's own word
        Literal["standard", "raw"], typer.Option(help="An envelope, or CAMB's bytes alone.")
    ] = "standard",
    file: Annotated[
        Path | None,
        typer.Option(
            help="More tasks, one a line: an id, or JSON as the API takes it. - reads them from stdin."
        ),
    ] = None,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on as `relay watch` does; for one task.")
    ] = False,
) -> None:
    """Be told when tasks end.

    The same registration again is no error and makes no second one.
    """
    from relay.cli.registering import read_wishes, register_all

    common = {
        "callback_url": callback,
        "kind": kind,
        "metadata": _object(metadata),
        "expires_in": expires_in,
        "format": format,
    }
    wishes = read_wishes(
        tasks or (), file, {name: value for name, value in common.items() if value is not None}
    )
    if not wishes:
        raise typer.BadParameter("name a task, or a --file of them", param_hint="TASK_ID")
    if watch and len(wishes) != 1:
        raise typer.BadParameter("watches one task, and no more", param_hint="--watch")
    registered = register_all(asked, wishes, shown=not watch)
    if registered is None:
        raise typer.Exit(exits.FAILED)
    if watch:
        from relay.cli.watching import watch as watching

        raise typer.Exit(watching(asked, registered))


def _object(written: str | None) -> dict[str, Any] | None:
    import json

    if written is None:
        return None
    try:
        found = json.loads(written)
    except ValueError as error:
        raise typer.BadParameter(f"is not JSON: {error}", param_hint="--metadata") from None
    if not isinstance(found, dict):
        raise typer.BadParameter('must be an object, as {"order": 7}', param_hint="--metadata")
    return found


@app.command("list", rich_help_panel=DAILY)
@at_a_relay
def list_(
    asked: Asked,
    state: Annotated[
        Literal["watching", "delivering", "available", "delivered", "dead", "cancelled"] | None,
        typer.Option(help="Only those in this state."),
    ] = None,
    kind: Kind = None,
    task_id: Annotated[str | None, typer.Option(help="Only those of this task.")] = None,
    origin: Annotated[str | None, typer.Option(help="Only those of this callback origin.")] = None,
    dead_reason: Annotated[
        Literal["exhausted", "gone", "blocked"] | None, typer.Option(help="Only those dead for this reason.")
    ] = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
) -> None:
    """List registrations, newest first."""
    from itertools import islice

    from relay.cli.registrations import print_registrations
    from relay.cli.showing import moment_of, print_json
    from relay.client import MAX_PAGE

    found = asked.relay.registrations(
        state=state,
        kind=kind,
        task_id=task_id,
        origin=origin,
        dead_reason=dead_reason,
        since=moment_of(since, asked.clock.wall()),
        until=moment_of(until, asked.clock.wall()),
        page=min(limit, MAX_PAGE),
    )
    chosen = islice(found, limit)
    if asked.json:
        for registration in chosen:
            print_json(registration)
    else:
        print_registrations(chosen, now=asked.clock.wall())


@app.command(rich_help_panel=DAILY)
@at_a_relay
def show(
    asked: Asked,
    named: Named,
    *,
    attempts: Annotated[
        bool, typer.Option("--attempts", help="Each attempt with what the callback answered.")
    ] = False,
) -> None:
    """Say why a registration is where it is, step by step, and what comes next."""
    from relay.cli.registrations import find, print_attempts, print_registration
    from relay.cli.showing import print_json

    registration = find(asked.relay, named)
    tried = list(asked.relay.attempts(registration["id"])) if attempts else None
    steps = asked.relay.timeline(registration["id"])
    if asked.json:
        more = {} if tried is None else {"attempts": tried}
        print_json({**registration, "timeline": steps, **more})
        return
    print_registration(registration, steps, now=asked.clock.wall())
    if tried is not None:
        print_attempts(tried, now=asked.clock.wall())


@app.command(rich_help_panel=DAILY)
@at_a_relay
def watch(asked: Asked, named: Named) -> None:
    """Follow a registration until it has ended.

    Exit 0 if its task succeeded and its callback was told, or its event is there to be pulled; 1 if the task failed, is
    lost or expired, and if the registration is dead or cancelled.
    """
    from relay.cli.registrations import find
    from relay.cli.watching import watch as watching

    raise typer.Exit(watching(asked, find(asked.relay, named)["id"]))


@app.command(rich_help_panel=DAILY)
@at_a_relay
def listen(
    asked: Asked,
    forward: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="POST each event there, as a callback gets it: a URL, host:port/path or a port.",
        ),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(metavar="CURSOR", help="Begin behind that event, and not with what comes from now on."),
    ] = None,
    *,
    since_start: Annotated[
        bool, typer.Option("--since-start", help="Begin with the oldest event that is kept.")
    ] = False,
    retry: Annotated[
        bool,
        typer.Option("--retry", help="Send an event again until it is accepted, and the next one after it."),
    ] = False,
    skip_verify: Annotated[
        bool, typer.Option("--skip-verify", help="Believe any certificate of the --forward URL.")
    ] = False,
) -> None:
    """Follow your events as they are made, and forward them to a port of this machine: no tunnel, no public URL.

    Headers and body are those of a callback, signature included, so that your handler verifies them with your secret.
    Ctrl-C ends it. All events of the client come, those with a callback too.
    """
    import signal

    from relay.cli.forwarding import Forward, local_url
    from relay.cli.listening import Listening
    from relay.client import LATEST

    if after is not None and since_start:
        raise typer.BadParameter("is an --after of its own: give one of them", param_hint="--since-start")
    if forward is None and (retry or skip_verify):
        raise typer.BadParameter("is what to --retry and to --skip-verify", param_hint="--forward")
    to = None if forward is None else Forward(local_url(forward), verify=not skip_verify, clock=asked.clock)
    begin = None if since_start else after or LATEST
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    raise typer.Exit(Listening(asked, to, retry=retry).run(begin))


@app.command(rich_help_panel=DAILY)
@at_a_relay
def cancel(asked: Asked, named: Named) -> None:
    """Take a registration back: nothing is sent that was not under way."""
    from relay.cli.registrations import find, print_registrations
    from relay.cli.showing import print_json

    cancelled = asked.relay.cancel(find(asked.relay, named)["id"])
    print_json(cancelled) if asked.json else print_registrations([cancelled], now=asked.clock.wall())


@app.command(rich_help_panel=DAILY)
@at_a_relay
def redeliver(asked: Asked, named: Named) -> None:
    """Send a notification again that was delivered, or is dead: the same event, over a new round of the schedule."""
    from relay.cli.registrations import find, print_registrations
    from relay.cli.showing import print_json

    again = asked.relay.redeliver(find(asked.relay, named)["id"])
    print_json(again) if asked.json else print_registrations([again], now=asked.clock.wall())


@app.command(rich_help_panel=DAILY)
@at_a_relay
def test(
    asked: Asked,
    callback: Annotated[str, typer.Argument(metavar="URL", help="A callback, as the relay reaches it.")],
) -> None:
    """Have the relay send a signed test notification to a URL, and see what comes of it. Exit 0 if it was accepted."""
    from relay.cli.registrations import print_trial
    from relay.cli.showing import print_json

    trial = asked.relay.test(callback)
    print_json(trial) if asked.json else print_trial(trial, callback)
    if trial["attempt"]["outcome"] != "accepted":
        raise typer.Exit(exits.FAILED)


@app.command(rich_help_panel=DAILY)
@at_a_relay
def origins(asked: Asked) -> None:
    """List your callback origins: which are in trouble, until when, and how much waits for each."""
    from relay.cli.registrations import print_origins
    from relay.cli.showing import print_json

    found = asked.relay.origins()
    if asked.json:
        for origin in found:
            print_json(origin)
    else:
        print_origins(found, now=asked.clock.wall())
