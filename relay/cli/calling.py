"""What every command has that calls a relay: the options that say which, and how a refusal is answered."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from relay.cli import exits, profiles
from relay.cli.console import fail

if TYPE_CHECKING:
    from relay.client import ClientError, RelayClient
    from relay.clock import Clock

_PANEL: Final = "Which relay"


def _profiles() -> list[str]:
    return profiles.names(os.environ)


Url = Annotated[
    str | None,
    typer.Option(
        "--url", help=f"The relay's URL; else RELAY_URL, else {profiles.LOCAL}.", rich_help_panel=_PANEL
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", help="Holds the API token; else RELAY_TOKEN.", rich_help_panel=_PANEL),
]
Profile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        help="URL and token from ~/.config/relay/profiles.toml; else RELAY_PROFILE.",
        autocompletion=_profiles,
        rich_help_panel=_PANEL,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one document a line, as the API has it.")]


def _kinds() -> list[str]:
    from relay.domain.kinds import KINDS

    return list(KINDS)


Kind = Annotated[str | None, typer.Option(help="The kind of task.", autocompletion=_kinds)]
Since = Annotated[str | None, typer.Option(help="From then on: 90m, 2h or 3d (ago), or a date and time.")]
Until = Annotated[str | None, typer.Option(help="Before then, in the same words.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The relay a command was told to work with, and whether JSON is wanted."""

    relay: "RelayClient"
    clock: "Clock"
    json: bool


_OWN: Final = (
    ("json", Json, False),
    ("url", Url, None),
    ("token_file", TokenFile, None),
    ("profile", Profile, None),
)


def at_a_relay(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command --json and the options that name a relay, and an Asked made of them."""

    @functools.wraps(command)
    def run(
        *, json: bool, url: str | None, token_file: Path | None, profile: str | None, **options: object
    ) -> None:
        from relay.client import ClientError, RelayClient
        from relay.clock import system_clock

        try:
            target = profiles.find_target(url=url, token_file=token_file, profile=profile, environ=os.environ)
        except profiles.NoTarget as error:
            fail(str(error), exits.CONFIGURATION)
        try:
            with RelayClient(target.url, target.token) as relay:
                command(Asked(relay=relay, clock=system_clock(), json=json), **options)
        except ClientError as error:
            _refused(error, target)
        except KeyboardInterrupt:
            raise typer.Exit(exits.INTERRUPTED) from None

    _, *given = inspect.signature(command).parameters.values()
    own = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, annotation, default in _OWN
    ]
    run.__signature__ = inspect.Signature([*given, *own])  # type: ignore[attr-defined]  # typer reads the options off it
    run.__annotations__ = {each.name: each.annotation for each in (*given, *own)}
    return run


def _refused(error: "ClientError", target: profiles.Target) -> NoReturn:
    from relay.client import Problem

    if not isinstance(error, Problem):
        fail(f"{error} ({target.said_by})", exits.UNAVAILABLE)
    if error.status == HTTPStatus.UNAUTHORIZED:
        fail(
            f"{target.url} says: {error}. Put the token into RELAY_TOKEN, a --token-file or a profile.",
            exits.CONFIGURATION,
        )
    again = "" if error.retry_after is None else f"; again in {error.retry_after} s"
    fail(f"{error}{again}", exits.UNAVAILABLE if error.passing else exits.FAILED)
