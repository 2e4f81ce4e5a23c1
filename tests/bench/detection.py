"""How much later a task's end is seen than the pace of its polls alone would have it."""

import random
import sqlite3
import statistics
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Final

from relay.clock import system_clock
from relay.domain.instants import HOUR, SECOND, Instant
from tests.bench.processes import RelayProcess, until
from tests.bench.seeding import Watched, read, seed
from tests.bench.surroundings import Surroundings
from tests.bench.table import Figure, Part

WATCHED: Final = (10, 1_000, 10_000)
FEW: Final = WATCHED[0]
# Each task's next poll is due at some moment of this: the default longest pace between two polls of a task.
PACE_SECONDS: Final = 30
WINDOW_SECONDS: Final = 5
ROUND_SECONDS: Final = 40.0
RAISED: Final[Mapping[str, str]] = {"RELAY_CAMB__RATE_PER_SECOND": "1000", "RELAY_CAMB__CONCURRENCY": "50"}


def measure(around: Surroundings) -> Part:
    seconds = WINDOW_SECONDS // 3 if around.quick else WINDOW_SECONDS
    folder, figures = around.folder / "detection", []
    with RelayProcess(folder / "raised", camb=around.camb, settings=RAISED) as relay:
        for watched in WATCHED:
            delays = _delays(relay, around, watched, seconds)
            figures.append(_figure(f"{watched:,} watched, rate raised", delays))
    with RelayProcess(folder / "default", camb=around.camb, settings={}) as relay:
        delays = _delays(relay, around, FEW, seconds)
        figures.append(_figure(f"{FEW} watched, default rate (10/s)", delays))
    return Part(
        figures=figures,
        notes=[
            (
                "detection: from the moment a task's poll is due to the arrival of its terminal answer, for the polls due in "
                f"{seconds} s; 1,000 and 10,000 tasks are due at moments spread over {PACE_SECONDS} s, 10 over {seconds} s; "
                f"raised: {', '.join(f'{k}={v}' for k, v in RAISED.items())}"
            ),
            (
                f"detection at the default rate is measured with {FEW} tasks alone: a rate of 10/s keeps "
                f"{10 * PACE_SECONDS} tasks at their longest pace, and above that polls queue by design"
            ),
        ],
    )


def _figure(name: str, delays: Sequence[float]) -> Figure:
    cut = statistics.quantiles(delays, n=100, method="inclusive")
    return Figure(
        name=f"detection beyond the interval: {name}",
        measured=f"p50 {cut[49]:.2f} s, p99 {cut[98]:.2f} s",
        against=f"{len(delays):,} ends seen, tick 1 s",
    )


def _delays(relay: RelayProcess, around: Surroundings, watched: int, seconds: int) -> Sequence[float]:
    dice = random.Random(watched)
    over = seconds if watched == FEW else PACE_SECONDS
    offsets = {
        f"success-{relay.port}-{watched}-{each}": dice.randrange(over * SECOND) for each in range(watched)
    }
    later = Instant(system_clock().now() + HOUR)
    rows = [Watched(task_id=each, due_at=Instant(later + offset)) for each, offset in offsets.items()]
    seed(relay.file, rows, f"{around.callbacks}/hooks/ok/bench")
    begins_at = Instant(system_clock().now() + SECOND)
    _move(relay, later, begins_at - later)
    expected = [each for each, offset in offsets.items() if offset < seconds * SECOND]
    until(lambda: len(_seen(relay, expected)) == len(expected), ROUND_SECONDS, every=0.5)
    seen = _seen(relay, expected)
    _move(relay, 0, HOUR)  # the others stay watched, and out of the way of whoever is measured next
    return [(seen[each] - begins_at - offsets[each]) / SECOND for each in expected]


def _move(relay: RelayProcess, due_from: int, span: int) -> None:
    """At one stroke, so that no task is due before the last of them is there."""
    with closing(sqlite3.connect(relay.file, timeout=5)) as connection, connection:
        connection.execute("UPDATE tasks SET next_at = next_at + ? WHERE next_at >= ?", (span, due_from))


def _seen(relay: RelayProcess, expected: Sequence[str]) -> dict[str, int]:
    rows = read(
        relay.file, "SELECT task_id, first_terminal_at FROM tasks WHERE first_terminal_at IS NOT NULL"
    )
    found = {str(task_id): at for task_id, at in rows}
    return {each: found[each] for each in expected if each in found}
