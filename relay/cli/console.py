"""What commands have in common: two options, two consoles, and how a wrong configuration is answered."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer
from rich.console import Console

from relay.cli import exits

if TYPE_CHECKING:  # they take longer to import than all else that a help needs
    from relay.settings import Settings

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", help="The TOML file; else RELAY_CONFIG, else ./config/relay.toml if it is there."
    ),
]
SecretsDir = Annotated[
    Path | None,
    typer.Option(
        "--secrets-dir", help="A folder with a file for each secret variable; else RELAY_SECRETS_DIR."
    ),
]

out: Final = Console()
err: Final = Console(stderr=True)


def read_settings(config: Path | None, secrets_dir: Path | None) -> "Settings":
    """Exits where they are wrong."""
    from relay.settings import ConfigurationError, load_settings  # noqa: PLC0415 - not every command has settings to read, and they take time to load

    try:
        return load_settings(config=config, secrets_dir=secrets_dir, environ=os.environ, cwd=Path.cwd())
    except ConfigurationError as error:
        refuse(error.problems)


def refuse(problems: tuple[str, ...]) -> NoReturn:
    err.print("The configuration cannot be used:", style="bold")
    for problem in problems:
        err.print(f"- {problem}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(exits.CONFIGURATION)


def fail(message: str, code: int) -> NoReturn:
    err.print(message, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)
