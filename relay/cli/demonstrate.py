"""Play the demo in front of a person or a script, and say whether every promise held."""

import asyncio
import os
import random
import signal
import sys
import webbrowser
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import orjson
from rich.console import Console
from rich.table import Table

from relay.cli import exits
from relay.clock import system_clock
from relay.demo.application import Refused
from relay.demo.processes import ProcessFailed
from relay.demo.run import Demo
from relay.demo.scenario import SHOP, SHORTENED, SHORTEST_EXPIRY, PlannedTask
from relay.demo.screen import screen_on
from relay.demo.verdict import Summary
from relay.domain.instants import Span, seconds

_PASSED_ON: Final = ("HOME", "LANG", "LC_ALL", "PATH", "SYSTEMROOT", "TMPDIR")
"""All that the demo's processes see of the caller's environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    seed: int
    crash: bool = True
    json: bool = False
    keep_open: bool = False


async def demonstrate(tasks: Sequence[PlannedTask], options: Options) -> int:
    """Answers the exit code: 0 only if every promise held."""
    out = Console(stderr=options.json, highlight=False)
    _print_shortened(out, options)
    demo = Demo(
        tasks,
        environ={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        clock=system_clock(),
        rng=random.Random(options.seed),  # noqa: S311 - the play repeats with its seed
        screen=(screen := screen_on(out)),
    )
    try:
        async with demo.opened():
            with screen:
                summary = await demo.play(crash=options.crash)
            took = demo.elapsed
            _print_summary(out, summary, took)
            if options.keep_open:
                await _until_interrupted(out, demo)
            exit_code = await demo.close()
    except (ProcessFailed, Refused) as failure:
        out.print(str(failure), style="red", markup=False, soft_wrap=True)
        return exits.FAILED
    if exit_code != 0:
        out.print(f"the relay did not stop in peace: exit code {exit_code}", style="red")
    held = summary.held and exit_code == 0
    if options.json:
        Console(highlight=False).out(_json(summary, options, held=held, took=took))
    return 0 if held else exits.FAILED


def _print_shortened(out: Console, options: Options) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("shortened to fit", "here", "by default"):
        table.add_column(column)
    for each in SHORTENED:
        table.add_row(each.name, each.value.replace(",", " "), each.default.replace(",", " "))
    table.add_row("expires_in of what never ends", f"PT{SHORTEST_EXPIRY}S", "PT24H")
    out.print(table)
    out.print(f"--seed {options.seed} plays this again\n", style="dim")


def _print_summary(out: Console, summary: Summary, took: float) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right", style="bold")
    table.add_column()
    table.add_row(str(summary.accepted), f"accepted, of {summary.tasks} tasks")
    table.add_row(str(summary.notified), "notified of the right event")
    table.add_row(str(summary.given_up), "given up as they should: the receiver said 410")
    table.add_row(str(summary.verified), f"requests verified by standardwebhooks, of {summary.attempts}")
    table.add_row(str(summary.duplicated), "duplicated: accepted, and sent again with the same id and body")
    table.add_row(str(summary.missed), "missed", style="green" if not summary.missed else "bold red")
    slowest = summary.slowest_detection
    if slowest is not None:
        dead = f", {slowest.dead:.1f} s of it without a relay" if slowest.dead else ""
        table.add_row(f"{slowest.took:.1f} s", f"slowest detection: {slowest.task_id}{dead}")
    out.print()
    out.print(table)
    for sentence in summary.broken:
        out.print(f"- {sentence}", style="red", markup=False, soft_wrap=True)
    verdict = "every promise held" if summary.held else "a promise was broken"
    out.print(f"\n{verdict}, in {took:.1f} s", style="bold green" if summary.held else "bold red")


async def _until_interrupted(out: Console, demo: Demo) -> None:
    """Raises ProcessFailed and Refused where the traffic breaks off."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    _print_how_to_go_on(out, demo)
    console = f"{demo.relay.url}/ui"
    if out.is_terminal and _has_display():
        await asyncio.to_thread(webbrowser.open, console)
    stopping, traffic = asyncio.create_task(stop.wait()), asyncio.create_task(demo.go_on())
    either: tuple[asyncio.Task[bool] | asyncio.Task[None], ...] = (stopping, traffic)
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if traffic.done():
        traffic.result()
    traffic.cancel()
    await asyncio.wait([traffic])


def _print_how_to_go_on(out: Console, demo: Demo) -> None:
    out.print("\nAll of it goes on until Ctrl-C, and new tasks keep coming.\n", style="bold")
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    table.add_row("console", f"{demo.relay.url}/ui")
    for client, token in demo.tokens.items():
        table.add_row(f"sign in as {client} with", token)
    table.add_row("or, to see both, with", demo.operators_token)
    table.add_row("all is signed with", demo.signing_secret)
    out.print(table)
    out.print("\nIn another terminal:\n")
    receiver = demo.receiver.url
    for line in (
        f"export RELAY_URL={demo.relay.url}",
        f"export RELAY_TOKEN={demo.tokens[SHOP]}",
        "relay list",
        f"relay register success-after-3-mine --kind tts --callback {receiver}/hooks/fail-1 --watch",
        "relay listen                        # --forward 3000/hooks, where you have a handler of your own",
        "relay replay start --dry-run",
        f'curl -s "{receiver}/state?relay-task-id=success-after-3-mine"',
        f'curl -s "{demo.simulator.url}/_simulator/state?limit=1"',
        "curl -s $RELAY_URL/metrics",
    ):
        out.print(line, markup=False, soft_wrap=True)
    out.print("\n`relay simulator --behaviours` lists what task ids can ask for.", style="dim")


def _has_display() -> bool:
    """Whether a browser would open before the one who asked."""
    return sys.platform in {"darwin", "win32"} or any(
        name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )


def _json(summary: Summary, options: Options, *, held: bool, took: float) -> str:
    said = asdict(summary)
    crash = summary.crash
    if crash is not None:
        del said["crash"]["killed_at"], said["crash"]["back_at"]
        said["crash"]["seconds_dead"] = seconds(Span(crash.back_at - crash.killed_at))
    return orjson.dumps(
        {
            "held": held,
            "seconds": took,
            "seed": options.seed,
            **said,
            "shortened": {each.name: {"here": each.value, "default": each.default} for each in SHORTENED},
        },
        option=orjson.OPT_INDENT_2,
    ).decode()
