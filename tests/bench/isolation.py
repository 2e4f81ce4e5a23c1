"""What one bad origin costs the others, and how an origin that is back is found and filled again."""

import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from relay.clock import system_clock
from relay.domain.instants import SECOND, Instant
from tests.bench.many_origins import address
from tests.bench.processes import Process, RelayProcess, until
from tests.bench.seeding import read, seed_deliveries
from tests.bench.surroundings import Surroundings
from tests.bench.table import Figure, Part, spread

ORIGINS: Final = 100
A_SECOND_EACH: Final = 2
WINDOW: Final = 8
BACKLOG: Final = 50_000
RETURNING: Final = 400
ANSWER_SECONDS: Final = 0.02
ROUNDS_SECONDS: Final = 300.0
SETTLE_SECONDS: Final = 60.0
# A tick of its default second would hide everything shorter; a deadline of 15 s would only make the windows longer.
SETTINGS: Final = {"RELAY_POLLING__TICK": "PT0.05S", "RELAY_DELIVERY__DEADLINE": "PT4S"}
QUICK_PAUSES: Final = {
    "RELAY_DELIVERY__PAUSE_WITHOUT_RETRY_AFTER": "PT0.5S",
    "RELAY_DELIVERY__LONGEST_PAUSE": "PT1S",
}


class Trial:
    """A relay of its own, and the receiver that all of them call."""

    def __init__(self, relay: RelayProcess, receiver: Process, port: int) -> None:
        self.relay = relay
        self._receiver = receiver
        self._port = port

    def url(self, number: int) -> str:
        return f"http://{address(number)}:{self._port}/hook"

    def p99(self, bad: int | None, origins: int) -> float:
        """Seconds from due to arrival, of deliveries that become due over WINDOW seconds at every origin but the `bad` one."""
        begin = system_clock().now() + 2 * SECOND
        step = SECOND // A_SECOND_EACH
        wanted = [
            (self.url(number), Instant(begin + turn * step + number * step // origins))
            for turn in range(WINDOW * A_SECOND_EACH)
            for number in range(origins)
        ]
        self._receiver.ask({"hanging": [] if bad is None else [address(bad)], "take": True})
        due = dict(zip(seed_deliveries(self.relay.file, wanted), wanted, strict=True))
        good = {event: at for event, (url, at) in due.items() if bad is None or url != self.url(bad)}
        lates: dict[str, float] = {}

        def all_arrived() -> bool:
            told = self._receiver.ask({"hanging": [] if bad is None else [address(bad)], "take": True})
            for _, event, at, _ in told["arrivals"]:
                if event in good and event not in lates:
                    lates[event] = (at - good[event]) / SECOND
            return len(lates) == len(good)

        time.sleep(WINDOW + 2)
        until(all_arrived, SETTLE_SECONDS, every=0.2)
        return statistics.quantiles(lates.values(), n=100)[98]


def measure(around: Surroundings) -> Part:
    origins = ORIGINS // 4 if around.quick else ORIGINS
    backlog = BACKLOG // 10 if around.quick else BACKLOG
    alone, beside, before, behind = [], [], [], []
    with ExitStack() as stack:
        log = around.folder / "many-origins.log"
        receiver = stack.enter_context(Process(log, "tests.bench.many_origins", str(origins)))
        port = receiver.answer()["listening"]

        def trial(name: str, **more: str) -> Trial:
            folder = around.folder / name
            relay = RelayProcess(folder, camb=around.camb, settings=SETTINGS | more)
            return Trial(stack.enter_context(relay), receiver, port)

        quiet, burdened = trial("quiet"), trial("burdened")
        seed_deliveries(burdened.relay.file, [("http://127.2.0.1:1/gone", Instant(1))] * backlog)
        for number in around.rounds(ROUNDS_SECONDS):
            alone.append(quiet.p99(None, origins))
            beside.append(quiet.p99(number, origins))
            before.append(quiet.p99(None, origins))
            behind.append(burdened.p99(None, origins))
        curve = _recovery(trial("returning", **QUICK_PAUSES), receiver)
    return Part(
        figures=[
            _figure(f"p99 to {origins - 1} origins while one more hangs", beside, alone),
            _figure(f"p99 to {origins} origins behind {backlog:,} for a dead one", behind, before),
        ],
        notes=[
            (
                f"isolation: {len(alone)} rounds of each in turn, {A_SECOND_EACH} a second to each origin for {WINDOW} s, "
                "a tick of 50 ms and a deadline of 4 s; another origin hangs in each round"
            ),
            f"recovery: {RETURNING} wait for an origin that answers in {1_000 * ANSWER_SECONDS:.0f} ms once it is back",
            *curve,
        ],
    )


def _figure(name: str, measured: Sequence[float], against: Sequence[float]) -> Figure:
    return Figure(
        name=name,
        measured=spread(measured, "ms", 1_000),
        against="without " + spread(against, "ms", 1_000),
        ratio=statistics.median(one / other for one, other in zip(measured, against, strict=True)),
        most=1.2,
    )


def _recovery(trial: Trial, receiver: Process) -> list[str]:
    """How many were under way, and how many arrived, in each stretch of time from the first one that was accepted."""
    receiver.ask({"failing": [address(0)], "delay": ANSWER_SECONDS, "take": True})
    seed_deliveries(trial.relay.file, [(trial.url(0), Instant(1))] * RETURNING)
    until(
        lambda: read(trial.relay.file, "SELECT count(*) FROM lanes WHERE slots = 0") == [(1,)], SETTLE_SECONDS
    )
    receiver.ask({"delay": ANSWER_SECONDS, "take": True})
    until(
        lambda: (
            read(trial.relay.file, "SELECT count(*) FROM deliveries WHERE delivered_at > 0")
            >= [(RETURNING // 2,)]
        ),
        SETTLE_SECONDS,
    )
    arrivals = receiver.ask({"delay": ANSWER_SECONDS, "take": True})["arrivals"]
    first, stretch = arrivals[0][2], 0.1
    lines = []
    for number in range(8):
        inside = [
            under_way
            for _, _, at, under_way in arrivals
            if number * stretch <= (at - first) / SECOND < (number + 1) * stretch
        ]
        lines.append(
            f"recovery: {number * stretch:.1f} to {(number + 1) * stretch:.1f} s: {len(inside)} arrive, "
            f"at most {max(inside, default=0)} under way"
        )
    return lines
