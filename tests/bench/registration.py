"""What a durable registration costs beside a route that does nothing, and what it costs in a batch."""

import statistics
from contextlib import ExitStack
from typing import Final

from tests.bench.processes import API_TOKEN, Listening, Process, RelayProcess
from tests.bench.surroundings import Surroundings
from tests.bench.table import Figure, Part, spread

CONNECTIONS: Final = 100
SINGLES: Final = 2_000
BATCH: Final = 1_000
BATCHES: Final = 4
ROUNDS_SECONDS: Final = 12.0
# Polling is another figure's: one a minute and a half is the least that can be asked for.
SETTINGS: Final = {"RELAY_CAMB__RATE_PER_SECOND": "0.01"}
MILLISECONDS: Final = 1_000


class Trial:
    def __init__(self, around: Surroundings, stack: ExitStack) -> None:
        self._callback = f"{around.callbacks}/hooks/ok/bench"
        self._relay = stack.enter_context(
            RelayProcess(around.folder / "registration", camb=around.camb, settings=SETTINGS)
        )
        self._trivial = stack.enter_context(Listening(around.folder / "trivial.log", "tests.bench.trivial"))
        self._load = stack.enter_context(Process(around.folder / "load.log", "tests.bench.load"))
        self.waits: list[float] = []
        self.rates: list[float] = []

    def singles(self, name: str, requests: int) -> float:
        cost = self._posted(self._relay, self._relay.port, f"single-{name}-", requests, 1, "201")
        return cost / requests

    def trivial(self, requests: int) -> float:
        port = int(self._trivial.origin.rpartition(":")[2])
        return self._posted(self._trivial, port, "trivial-", requests, 1, "201") / requests

    def batches(self, name: str, requests: int) -> float:
        cost = self._posted(self._relay, self._relay.port, f"batch-{name}-", requests, BATCH, "200")
        return cost / (requests * BATCH)

    def _posted(
        self, process: Process, port: int, prefix: str, requests: int, batch: int, expected: str
    ) -> float:
        """Seconds of the process's CPU."""
        before = process.cpu
        told = self._load.ask(
            {
                "port": port,
                "token": API_TOKEN,
                "prefix": prefix,
                "callback_url": self._callback,
                "requests": requests,
                "batch": batch,
                "connections": CONNECTIONS if batch == 1 else 1,
            }
        )
        if told["answers"] != {expected: requests}:
            raise RuntimeError(f"expected {requests} times {expected}, and there were {told['answers']}")
        if process is self._relay and batch == 1:
            self.waits += told["waits"]
            self.rates.append(requests / told["wall"])
        return process.cpu - before


def measure(around: Surroundings) -> Part:
    requests = SINGLES // 4 if around.quick else SINGLES
    with ExitStack() as stack:
        trial = Trial(around, stack)
        trial.singles("first", requests // 4)
        trial.trivial(requests // 4)
        trial.waits.clear()
        trial.rates.clear()
        singles, trivial, batches = [], [], []
        for number in around.rounds(ROUNDS_SECONDS):
            singles.append(trial.singles(str(number), requests))
            trivial.append(trial.trivial(requests))
            batches.append(trial.batches(str(number), 1 if around.quick else BATCHES))
    percentiles = statistics.quantiles(trial.waits, n=100)
    return Part(
        figures=[
            Figure(
                name="CPU of a registration, over a trivial route",
                measured=spread(singles, "ms", MILLISECONDS),
                against="route " + spread(trivial, "ms", MILLISECONDS),
                ratio=statistics.median(s / t for s, t in zip(singles, trivial, strict=True)),
                most=2.5,
            ),
            Figure(
                name=f"CPU of a registration in a batch of {BATCH:,}",
                measured=spread(batches, "ms", MILLISECONDS),
                against="route " + spread(trivial, "ms", MILLISECONDS),
                ratio=statistics.median(b / t for b, t in zip(batches, trivial, strict=True)),
            ),
            Figure(
                name="registrations a second, one by one",
                measured=f"{statistics.median(trial.rates):.0f}",
                against=f"answered in p50 {percentiles[49] * 1e3:.0f} ms, p99 {percentiles[98] * 1e3:.0f} ms",
            ),
        ],
        notes=[
            (
                f"registration: {len(singles)} rounds of {requests} POSTs over {CONNECTIONS} kept connections, "
                f"each answered after its commit; polling slowed down: {', '.join(f'{k}={v}' for k, v in SETTINGS.items())}"
            ),
        ],
    )
