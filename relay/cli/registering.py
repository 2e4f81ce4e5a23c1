"""Register what the command line and a file name, and say what became of each."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TextIO, cast

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from relay.cli.calling import Asked
from relay.cli.console import err, out
from relay.cli.registrations import print_registrations
from relay.cli.showing import plain, print_json
from relay.client import Problem, Registration, Wish

_STDIN: Final = Path("-")
_FEW: Final = 20
"""As many are shown one by one."""


def read_wishes(tasks: Sequence[str], file: Path | None, common: Mapping[str, Any]) -> list[Wish]:
    """`common` goes with every task, but where a line of the file says otherwise. Raises BadParameter."""
    lines: Iterable[str] = () if file is None else _lines(file)
    given = [*({"task_id": task} for task in tasks), *map(_in_line, lines)]
    return [cast(Wish, {**common, **each}) for each in given]


def register_all(asked: Asked, wishes: Sequence[Wish], *, shown: bool = True) -> str | None:
    """The id of the last one registered; None where any was refused."""
    made: list[Registration] = []
    stood, refused = 0, 0
    progress = Progress(
        TextColumn("registering"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=len(wishes) <= _FEW or not err.is_terminal,
    )
    with progress:
        for wish, result in zip(
            progress.track(wishes, total=len(wishes)), asked.relay.register_many(wishes), strict=True
        ):
            if isinstance(result, Problem):
                refused += 1
                err.print(
                    f"{plain(wish['task_id'])}: {plain(str(result))}",
                    style="red",
                    markup=False,
                    soft_wrap=True,
                )
            else:
                stood += not result.created
                made.append(result.registration)
                if asked.json:
                    print_json(result.registration)
    if shown and not asked.json:
        _print(asked, made, stood)
    return None if refused else made[-1]["id"]


def _print(asked: Asked, made: Sequence[Registration], stood: int) -> None:
    if len(made) <= _FEW or not out.is_terminal:
        print_registrations(made, now=asked.clock.wall())
    else:
        out.print(f"{len(made):,} registered")
    if stood:
        err.print(f"{stood:,} of them stood already" if len(made) > 1 else "it stood already", style="dim")
    if made and made[-1]["callback_url"] is None:
        err.print("without a callback: `relay listen` shows its event, and forwards it", style="dim")


def _lines(file: Path) -> list[str]:
    try:
        text = _read(sys.stdin) if file == _STDIN else file.read_text()
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"cannot be read: {error}", param_hint="--file") from None
    return [line.strip() for line in text.split("\n") if line.strip()]


def _read(stream: TextIO) -> str:
    return stream.read()


def _in_line(line: str) -> dict[str, Any]:
    """A bare id, or an object: an id that begins with a brace can be written as one."""
    if not line.startswith("{"):
        return {"task_id": line}
    try:
        wish: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise typer.BadParameter(f"{plain(line[:80])} is not JSON: {error}", param_hint="--file") from None
    if not isinstance(wish.get("task_id"), str):
        raise typer.BadParameter(f"{plain(line[:80])} has no task_id", param_hint="--file")
    return wish
