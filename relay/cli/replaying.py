"""Replays as a person follows them."""

import time
from collections.abc import Callable, Iterable
from typing import Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from relay.cli import exits
from relay.cli.calling import Asked
from relay.cli.console import err, out
from relay.cli.showing import Column, ago, clock_time, plain, print_json, print_rows, styled
from relay.client import ClientError, Problem, Replay
from relay.domain.chain import counted
from relay.domain.instants import Instant

_GLANCE: Final = 0.5
_AGAIN_SECONDS: Final = 2.0
_OVER: Final = frozenset({"done", "cancelled"})
_COLUMNS: Final = (
    Column(name="age", right=True, whole=True),
    Column(name="state", whole=True),
    Column(name="sent again", right=True, whole=True),
    Column(name="of", right=True, whole=True),
    Column(name="what", wide=True),
    Column(name="replay", whole=True),
)


def describe(matching: int, state: str) -> str:
    return f"{counted(matching, 'registration')} {'are' if matching != 1 else 'is'} {state} and found by the filter"


def print_replays(replays: Iterable[Replay], *, now: Instant) -> None:
    print_rows(
        out,
        _COLUMNS,
        (
            (
                ago(each["created_at"], now) if out.is_terminal else each["created_at"],
                styled(each["state"]),
                str(each["replayed"]),
                "" if each["matching"] is None else str(each["matching"]),
                _filter(each),
                each["id"],
            )
            for each in replays
        ),
    )


def follow(asked: Asked, replay_id: str, *, sleep: Callable[[float], None] = time.sleep) -> int:
    """Answers the exit code once it is over."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[held]}", style="yellow"),
        console=out,
        disable=asked.json or not out.is_terminal,
    )
    try:
        with progress:
            over = _until_over(asked, replay_id, progress, sleep)
    except KeyboardInterrupt:
        err.print(
            f"\nit goes on in the relay; `relay replay follow {replay_id}` comes back to it",
            style="dim",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        return exits.INTERRUPTED
    if not asked.json:
        out.print(_verdict(over), highlight=False)
    return 0 if over["state"] == "done" else exits.FAILED


def _until_over(asked: Asked, replay_id: str, progress: Progress, sleep: Callable[[float], None]) -> Replay:
    shown: Replay | None = None
    task = progress.add_task("sending again", total=None, held="")
    while True:
        try:
            replay = asked.relay.get_replay(replay_id)
        except ClientError as error:
            if shown is None or (isinstance(error, Problem) and not error.passing):
                raise
            progress.update(task, held=plain(str(error)))
            sleep(_AGAIN_SECONDS)
            continue
        if asked.json and replay != shown:
            print_json(replay)
        shown = replay
        progress.update(
            task,
            description=replay["state"],
            completed=replay["replayed"] + replay["skipped"],
            total=replay["matching"],
            held=_held(replay, asked.clock.wall()),
        )
        if replay["state"] in _OVER:
            return replay
        sleep(_GLANCE)


def _held(replay: Replay, now: Instant) -> str:
    held = [each for each in replay["origins"] or () if each["held"] is not None]
    if not held:
        return ""
    first = held[0]
    until = "" if first["held_until"] is None else f" until {clock_time(first['held_until'], now)}"
    more = f", and {len(held) - 1} more" if len(held) > 1 else ""
    what = "is left alone" if first["held"] == "paused" else "has enough to do"
    return plain(f"{first['origin']} {what}{until}{more}")


def _verdict(replay: Replay) -> str:
    skipped = f", {replay['skipped']:,} changed or gone before their turn" if replay["skipped"] else ""
    return f"{replay['state']}: {replay['replayed']:,} sent again{skipped}"


def _filter(replay: Replay) -> str:
    wanted = replay["filter"]
    since = None if wanted["since"] is None else f"since {wanted['since']}"
    until = None if wanted["until"] is None else f"until {wanted['until']}"
    return " ".join(
        word for word in (wanted["state"], wanted["kind"], wanted["origin"], since, until) if word
    )
