"""Backup and restore. A command imports what it needs when it runs."""
# ruff: noqa: PLC0415 - a command imports what it needs when it runs

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from relay.cli import exits
from relay.cli.console import ConfigFile, SecretsDir, err, fail, read_settings
from relay.cli.panels import SERVING

app: Final = typer.Typer()

_STREAM: Final = Path("-")


@app.command(rich_help_panel=SERVING)
def backup(
    file: Annotated[Path, typer.Argument(help="A file that is not there yet, or - for stdout.")],
    config: ConfigFile = None,
    secrets_dir: SecretsDir = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Write all that the database holds at one instant into an SQLite file, while the relay goes on working.

    The file of either database goes into either with `relay restore`. It holds callback URLs, and whatever secrets they carry.
    """
    from relay.cli.keeping import back_up, back_up_to_stream
    from relay.domain.errors import DatabaseUnavailable

    settings = read_settings(config, secrets_dir)
    if file == _STREAM and sys.stdout.isatty():
        raise typer.BadParameter("a terminal is no place for a backup: redirect stdout", param_hint="FILE")
    if file != _STREAM and file.exists() and not force:
        raise typer.BadParameter("is there already; --force replaces it", param_hint="FILE")
    try:
        stream = sys.stdout.buffer
        done = back_up_to_stream(settings, stream) if file == _STREAM else back_up(settings, file)
    except DatabaseUnavailable as error:
        fail(str(error), exits.UNAVAILABLE)
    except KeyboardInterrupt:
        fail("interrupted: there is no backup", exits.INTERRUPTED)
    except OSError as error:
        fail(f"the backup could not be written: {error.strerror}", exits.FAILED)
    err.print(
        f"{done.registrations:,} registrations at revision {done.revision}, {done.size:,} bytes, sha256 {done.digest}",
        highlight=False,
        soft_wrap=True,
    )


@app.command(rich_help_panel=SERVING)
def restore(
    file: Annotated[Path, typer.Argument(help="What `relay backup` wrote, or - for stdin.")],
    config: ConfigFile = None,
    secrets_dir: SecretsDir = None,
) -> None:
    """Bring a backup into a database that holds nothing, SQLite or PostgreSQL, whichever it was taken of.

    All of it or nothing. What was accepted is notified, again where the backup is older than its delivery.
    """
    from relay.cli.keeping import restore_file, restore_stream
    from relay.domain.errors import CannotRestore, DatabaseUnavailable

    settings = read_settings(config, secrets_dir)
    if file != _STREAM and not file.is_file():
        raise typer.BadParameter("there is no such file", param_hint="FILE")
    try:
        stream = sys.stdin.buffer
        done = restore_stream(settings, stream) if file == _STREAM else restore_file(settings, file)
    except DatabaseUnavailable as error:
        fail(str(error), exits.UNAVAILABLE)
    except CannotRestore as error:
        fail(str(error), exits.FAILED)
    except KeyboardInterrupt:
        fail("interrupted: nothing was restored", exits.INTERRUPTED)
    except OSError as error:
        fail(f"the backup could not be read: {error.strerror}", exits.FAILED)
    err.print(
        f"{done.registrations:,} registrations from a backup at revision {done.revision}",
        highlight=False,
        soft_wrap=True,
    )
