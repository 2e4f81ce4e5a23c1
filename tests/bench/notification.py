"""What a notification costs: two polls, both durable, one signed POST, its outcome durable."""

import statistics
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Final

from relay.clock import system_clock
from tests.bench.processes import CAMB_KEY, SIGNING_SECRET, Process, RelayProcess, until
from tests.bench.seeding import Watched, read, seed
from tests.bench.surroundings import Surroundings
from tests.bench.table import Figure, Part, spread
from tests.bench.wrk import over_wrk, wrk_requests

CONCURRENCY: Final = 50
TASKS: Final = 1_000
THREADS: Final = 200
ROUND_SECONDS: Final = 60.0
ROUNDS_SECONDS: Final = 35.0
RAISED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "RELAY_CAMB__RATE_PER_SECOND": "10000",
        "RELAY_CAMB__CONCURRENCY": str(CONCURRENCY),
        "RELAY_POLLING__CONCURRENCY": str(CONCURRENCY),
        "RELAY_DELIVERY__CONCURRENCY_PER_ORIGIN": str(CONCURRENCY),
        "RELAY_POLLING__MIN_PACE": "PT0.5S",
    }
)
# The simulator answers such a task PENDING once and then SUCCESS: two polls, whatever the pace.
PREFIX: Final = "run-id-early-"
HOOK: Final = "/hooks/ok/bench"


class Trial:
    """The three contestants, and one round of each."""

    def __init__(
        self,
        around: Surroundings,
        name: str,
        camb: str,
        tasks: int,
        stack: ExitStack,
        *,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._around = around
        self._camb = camb
        self._tasks = tasks
        folder = around.folder / name
        settings = dict(RAISED) | dict(environment)
        self._relay = stack.enter_context(RelayProcess(folder, camb=camb, settings=settings))
        self._floor = stack.enter_context(Process(folder / "floor.log", "tests.bench.floor"))
        page = Process(folder / "page.log", "tests.bench.page_loop", environment=environment)
        self._page = stack.enter_context(page)
        self.walls: list[float] = []
        self.relay(0)  # once before it counts: caches fill, connections open, and the body comes to be
        self.walls.clear()
        self._event, self._body = _first_event(self._relay.file)

    def relay(self, number: int) -> float:
        """Seconds of CPU for each notification.

        The tasks are in the database, due, before the window opens, so that registering them is not in it; it closes when
        the last delivery's outcome is on disk, as another process reads it there.
        """
        due_at = system_clock().now()
        ids = [f"{PREFIX}relay-{number:02}-{each:05}" for each in range(self._tasks)]
        seed(
            self._relay.file,
            [Watched(task_id=each, due_at=due_at) for each in ids],
            self._around.callbacks + HOOK,
        )
        before, begun = self._relay.cpu, time.monotonic()
        until(lambda: self._delivered() == (number + 1) * self._tasks, ROUND_SECONDS, every=0.1)
        cost = self._relay.cpu - before
        self.walls.append(time.monotonic() - begun)
        ((polls,),) = read(self._relay.file, "SELECT sum(polls) FROM tasks")
        ((tries,),) = read(self._relay.file, "SELECT count(*) FROM attempts")
        if (polls, tries) != (2 * (number + 1) * self._tasks, (number + 1) * self._tasks):
            raise RuntimeError(f"{polls} polls and {tries} attempts are not two and one for each task")
        return cost / self._tasks

    def floor(self, number: int) -> float:
        return self._asked(self._floor, f"floor-{number:02}", self._tasks)

    def page(self, number: int) -> float:
        return self._asked(self._page, f"loop-{number:02}", THREADS)

    def _delivered(self) -> int:
        ((count,),) = read(
            self._relay.file,
            "SELECT count(*) FROM registrations WHERE state = 'delivered' AND closed_at IS NOT NULL",
        )
        return count

    def _asked(self, process: Process, name: str, tasks: int) -> float:
        before = process.cpu
        process.ask(
            {
                "camb": self._camb,
                "callbacks": self._around.callbacks,
                "path": HOOK,
                "key": CAMB_KEY,
                "secret": SIGNING_SECRET,
                "prefix": f"{PREFIX}{name}-",
                "event": self._event,
                "body": self._body,
                "tasks": tasks,
                "concurrency": CONCURRENCY,
                "sleep": 0.5,
            }
        )
        return (process.cpu - before) / tasks


def measure(around: Surroundings) -> Part:
    tasks = TASKS // 4 if around.quick else TASKS
    with ExitStack() as stack:
        trial = Trial(around, "notification", around.camb, tasks, stack)
        trial.floor(0)
        relay, floor, page, wrk = [], [], [], []
        for number in around.rounds(ROUNDS_SECONDS):
            relay.append(trial.relay(number))
            floor.append(trial.floor(number))
            page.append(trial.page(number))
            wrk += wrk_requests(around.camb)
    own = statistics.median(relay)
    return Part(
        figures=[
            Figure(
                name="CPU per notification, over the floor",
                measured=spread(relay, "ms", 1_000),
                against="floor " + spread(floor, "ms", 1_000),
                ratio=statistics.median(r / f for r, f in zip(relay, floor, strict=True)),
                most=1.5,
            ),
            over_wrk(floor, wrk),
            Figure(
                name="a thread per task, two polls and the POST",
                measured=spread(relay, "ms", 1_000),
                against="threads " + spread(page, "ms", 1_000),
                ratio=statistics.median(t / r for t, r in zip(page, relay, strict=True)),
                least=10,
            ),
            Figure(
                name="notifications a second, all on this machine",
                measured=f"{tasks / statistics.median(trial.walls):.0f}",
                against=f"{1 / own:.0f} a second of the relay's own CPU",
            ),
        ],
        notes=[
            (
                f"notification: {len(relay)} rounds of {tasks} tasks, each in turn; SQLite, synchronous=FULL, "
                f"JSON log to a file; raised: {', '.join(f'{k}={v}' for k, v in RAISED.items())}"
            ),
            (
                f"threads: {THREADS} at once, each asking through `requests` without a session, as on CAMB's page, "
                "without TLS, its sleep cut to 0.5 s"
            ),
        ],
    )


def _first_event(file: Path) -> tuple[str, str]:
    ((registration, body),) = read(file, "SELECT registration, CAST(body AS TEXT) FROM events LIMIT 1")
    return str(registration).replace("reg_", "evt_"), str(body)
