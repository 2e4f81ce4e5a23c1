"""What an operator runs. A command imports what it needs when it runs: a health check must not load a server."""
# ruff: noqa: PLC0415 - a health check must not load a server

import secrets
from typing import Annotated

import typer

from relay import __version__
from relay.cli import daily, exits, keep, leave_when_told
from relay.cli.console import ConfigFile, SecretsDir, err, fail, out, read_settings, refuse
from relay.cli.panels import SERVING, TRYING

app = typer.Typer(
    name="relay",
    help="Webhooks for CAMB.AI tasks: register a task and a callback URL, be notified when the task ends.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done, 1 the answer is no, 2 wrong usage, 69 no usable database, no answer from the relay or a "
    "library missing, 78 a wrong configuration, 130 interrupted.",
)
app.add_typer(keep.app)
app.add_typer(daily.app)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer hands an option over by position
    if wanted:
        out.print(__version__)
        raise typer.Exit


@app.callback()
def relay(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command(rich_help_panel=SERVING)
def serve(
    config: ConfigFile = None,
    secrets_dir: SecretsDir = None,
    *,
    accept_clock: Annotated[
        bool,
        typer.Option(
            "--accept-clock", help="Believe a clock that stands more than an hour before the last one seen."
        ),
    ] = False,
) -> None:
    """Run the relay until SIGTERM or Ctrl-C, then finish what is in flight and exit 0.

    A second one waits for nothing, loses nothing, and exits 130.
    """
    leave_when_told()
    import asyncio

    import uvloop

    from relay.cli.serving import CannotListen, hold_standard_streams
    from relay.cli.serving import serve as serving
    from relay.domain.errors import DatabaseUnavailable
    from relay.telemetry import configure_logging

    settings = read_settings(config, secrets_dir)
    missing = settings.missing_for_serving()
    if missing:
        refuse(missing)
    configure_logging(settings.logging.format, settings.logging.level)
    hold_standard_streams()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            whole = runner.run(serving(settings, accept_clock=accept_clock))
    except DatabaseUnavailable as error:
        fail(str(error), exits.UNAVAILABLE)
    except CannotListen as error:
        fail(f"{error}; see server.host and server.port", exits.CONFIGURATION)
    if not whole:
        raise typer.Exit(exits.INTERRUPTED)


@app.command(rich_help_panel=SERVING)
def migrate(config: ConfigFile = None, secrets_dir: SecretsDir = None) -> None:
    """Bring the database's schema up to date. Safe to repeat, and to run beside processes of the release before."""
    import asyncio

    from relay.cli.migrating import migrate as migrating
    from relay.domain.errors import DatabaseUnavailable

    settings = read_settings(config, secrets_dir)
    try:
        before, after = asyncio.run(migrating(settings))
    except DatabaseUnavailable as error:
        fail(str(error), exits.UNAVAILABLE)
    out.print(f"schema at {after}" + (", nothing to do" if before == after else f", was {before or 'empty'}"))


@app.command("check-config", rich_help_panel=SERVING)
def check_config(
    config: ConfigFile = None,
    secrets_dir: SecretsDir = None,
    *,
    online: Annotated[
        bool, typer.Option("--online", help="Also ask CAMB, with one harmless GET per key, which keys work.")
    ] = False,
) -> None:
    """Print the effective configuration with secrets masked, or everything that is wrong with it."""
    settings = read_settings(config, secrets_dir)
    for name, value in settings.describe():
        out.print(f"{name} = {value}", soft_wrap=True, markup=False, highlight=False)
    missing = settings.missing_for_serving()
    if missing:
        refuse(missing)
    for each in settings.clients_by_name().values():
        for key in each.public_keys:
            out.print(
                f"client {each.name}: receivers verify with {key.text}", soft_wrap=True, highlight=False
            )
    if online:
        import asyncio

        from relay.cli.checking import check_keys

        works = True
        for client, verdict in asyncio.run(check_keys(settings)):
            works = works and verdict.works
            out.print(f"client {client}: {verdict.text}", markup=False, highlight=False)
        if not works:
            raise typer.Exit(exits.FAILED)


@app.command(rich_help_panel=SERVING)
def secret(
    *,
    ed25519: Annotated[
        bool,
        typer.Option(
            "--ed25519",
            help="Make a pair instead: whsk_ for the relay, and on stderr its whpk_, which is no secret.",
        ),
    ] = False,
) -> None:
    """Make a signing secret: put it into RELAY_SIGNING_SECRETS, and give it to whoever receives the webhooks."""
    from relay.webhook.signing import NEW_KEY, Ed25519Unavailable, new_pair, new_secret

    chance = secrets.token_bytes(NEW_KEY)
    if not ed25519:
        out.print(new_secret(chance), soft_wrap=True, markup=False, highlight=False)
        return
    try:
        pair = new_pair(chance)
    except Ed25519Unavailable as error:
        fail(str(error), exits.UNAVAILABLE)
    out.print(pair.text, soft_wrap=True, markup=False, highlight=False)
    err.print(pair.public.text, soft_wrap=True, markup=False, highlight=False)


@app.command(rich_help_panel=SERVING)
def healthcheck(
    config: ConfigFile = None,
    secrets_dir: SecretsDir = None,
    *,
    ready: Annotated[
        bool,
        typer.Option("--ready", help="Ask whether it is ready (the database, the work), not only alive."),
    ] = False,
) -> None:
    """Ask the relay on this machine whether it is well; for containers. Exit 0 if so, 1 if not."""
    import http.client

    from relay.cli.health import hosts_to_ask, path_to_ask

    server = read_settings(config, secrets_dir).server
    port = server.port if server.operations_port is None else server.operations_port
    problem = ""
    for host in hosts_to_ask(server.host):
        connection = http.client.HTTPConnection(host, port, timeout=3)
        try:
            connection.request("GET", path_to_ask(ready=ready))
            answer = connection.getresponse()
            text = answer.read().decode()
            break
        except (OSError, http.client.HTTPException) as error:
            problem = type(error).__name__
    else:
        fail(f"no answer on port {port}: {problem}", exits.FAILED)
    out.print(text, markup=False, highlight=False)
    if answer.status != http.HTTPStatus.OK:
        raise typer.Exit(exits.FAILED)


def _simulator_help() -> str:
    from relay.demo.behaviours import GRAMMAR
    from relay.demo.simulator import behaviour_table

    return f"{GRAMMAR}\n\n{behaviour_table()}"


@app.command(rich_help_panel=TRYING)
def simulator(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.")] = 8081,
    submitted: Annotated[str, typer.Option(help="How tasks behave that are submitted.")] = "success-after-3",
    key: Annotated[
        list[str] | None, typer.Option(help="An API key to accept; any key if none is given.")
    ] = None,
    *,
    behaviours: Annotated[
        bool, typer.Option("--behaviours", help="List what task ids can ask for, and exit.")
    ] = False,
) -> None:
    """Serve CAMB's task API as a simulator: a task id such as `error-after-5-x` says how its task behaves."""
    from relay.demo.behaviours import script_of
    from relay.demo.simulator import run_simulator

    if behaviours:
        out.print(_simulator_help(), markup=False, highlight=False)
        return
    script = script_of(submitted)
    if script is None:
        raise typer.BadParameter("is no behaviour; see --behaviours", param_hint="--submitted")
    run_simulator(host=host, port=port, submitted=script, accepted_keys=key, forbidden_keys=())


@app.command(rich_help_panel=TRYING)
def demo(
    tasks: Annotated[int, typer.Option(min=3, max=500, help="How many tasks to play.")] = 40,
    seed: Annotated[
        int | None, typer.Option(help="Repeat the play of that seed; without it each play is another.")
    ] = None,
    *,
    no_crash: Annotated[
        bool, typer.Option("--no-crash", help="Leave the relay alive; then nothing may arrive twice.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print nothing but the summary on stdout, as JSON.")
    ] = False,
    keep_open: Annotated[
        bool, typer.Option("--keep-open", help="Leave all of it running to play with, until Ctrl-C.")
    ] = False,
) -> None:
    """See the main job in half a minute: tasks that end in every way, a relay killed in the middle, and nothing missed.

    Everything runs on this machine, on free ports, and is gone afterwards; no configuration is read.

    Exit 0 only if every promise held.
    """
    import importlib.util

    if importlib.util.find_spec("standardwebhooks") is None:
        fail(
            "the demo's receiver verifies with a library that is not installed: pip install camb-relay[demo]",
            exits.UNAVAILABLE,
        )
    import asyncio
    import random

    from relay.cli.demonstrate import Options, demonstrate
    from relay.demo.scenario import plan

    chosen = secrets.randbelow(1_000_000) if seed is None else seed
    options = Options(seed=chosen, crash=not no_crash, json=json, keep_open=keep_open)
    play = plan(tasks, random.Random(chosen))  # noqa: S311 - the play repeats with its seed
    try:
        code = asyncio.run(demonstrate(play, options))
    except KeyboardInterrupt:
        code = exits.INTERRUPTED
    raise typer.Exit(code)
