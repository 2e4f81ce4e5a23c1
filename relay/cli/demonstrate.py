"""Play the demo in front of a person or a script, and say whether every promise held."""

import asyncio
import os
import random
import signal
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
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    receiver, simulator = demo.receiver.url, demo.simulator.url
    out.print("\nAll of it goes on until Ctrl-C. In another terminal:\n", style="bold")
    for line in (
        f"RELAY={demo.relay.url}",
        f"TOKEN={demo.tokens[SHOP]}",
        'curl -s -H "Authorization: Bearer $TOKEN" $RELAY/v1/registrations -H "Content-Type: application/json" \\',
        f"""  -d '{{"task_id": "success-after-3-mine", "callback_url": "{receiver}/hooks/fail-1", "kind": "tts"}}'""",
        'curl -s -H "Authorization: Bearer $TOKEN" "$RELAY/v1/registrations?limit=1"',
        f'curl -s "{receiver}/state?relay-task-id=success-after-3-mine"',
        f'curl -s "{simulator}/_simulator/state?limit=1"',
        "curl -s $RELAY/metrics",
    ):
        out.print(line, markup=False, soft_wrap=True)
    out.print("\n`relay simulator --behaviours` lists what task ids can ask for.", style="dim")
    await stop.wait()


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
