"""What a relay holds in memory, at rest and while it watches."""

from typing import Final

from relay.clock import system_clock
from relay.domain.instants import MINUTE, Instant
from tests.bench.processes import RelayProcess, until
from tests.bench.seeding import Watched, read, seed
from tests.bench.surroundings import Surroundings
from tests.bench.table import Figure, Part

WATCHED: Final = 100_000
POLLED: Final = 300
ROUND_SECONDS: Final = 30.0
SETTINGS: Final = {"RELAY_CAMB__RATE_PER_SECOND": "200"}


def measure(around: Surroundings) -> Part:
    watched = WATCHED // 10 if around.quick else WATCHED
    few = _resident(around, "few", POLLED)
    many = _resident(around, "many", watched)
    return Part(
        figures=[
            Figure(
                name="memory at rest", measured=f"{few[0]:.1f} MiB", against=f"{few[1]:.1f} MiB once it polls"
            ),
            Figure(
                name="memory per 100,000 watched",
                measured=f"{(many[1] - few[1]) * WATCHED / (watched - POLLED):.1f} MiB",
                against=f"{many[1]:.1f} MiB with {watched:,} watched, {few[1]:.1f} MiB with {POLLED}",
            ),
        ],
        notes=[
            f"memory: resident set of the relay's process after {POLLED} polls, all pending; watched tasks are rows, "
            "not objects; tasks due within ten minutes, "
            + ", ".join(f"{k}={v}" for k, v in SETTINGS.items()),
        ],
    )


def _resident(around: Surroundings, name: str, watched: int) -> tuple[float, float]:
    """MiB at rest, and while so many are watched."""
    with RelayProcess(around.folder / f"memory-{name}", camb=around.camb, settings=SETTINGS) as relay:
        at_rest = relay.resident
        now = system_clock().now()
        step = 10 * MINUTE // watched
        rows = [
            Watched(
                task_id=f"never-{name}-{each}",
                due_at=now if each < POLLED else Instant(now + MINUTE + each * step),
            )
            for each in range(watched)
        ]
        seed(relay.file, rows, f"{around.callbacks}/hooks/ok/bench")
        until(lambda: read(relay.file, "SELECT sum(polls) FROM tasks")[0][0] >= POLLED, ROUND_SECONDS)
        return at_rest, relay.resident
