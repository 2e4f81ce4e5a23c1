"""What every figure is measured in: a folder on a real disk, the simulator and the receiver."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.bench.processes import ROOT, SIGNING_SECRET, Listening

ROUNDS: Final = 5
ROUNDS_QUICK: Final = 2
FEWEST: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """`quick` asks for fewer and smaller samples."""

    folder: Path
    camb: str
    callbacks: str
    quick: bool

    def rounds(self, seconds: float) -> Iterator[int]:
        """Numbers from 1: as many as a ratio is the median of, fewer where they take longer than so many seconds."""
        begun = time.monotonic()
        for number in range(1, 1 + (ROUNDS_QUICK if self.quick else ROUNDS)):
            if number > FEWEST and time.monotonic() - begun > seconds:
                return
            yield number


@contextmanager
def surroundings(*, quick: bool) -> Iterator[Surroundings]:
    # Not the system's folder for temporary files: that may be memory, on which a flush to disk costs nothing.
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-", dir=build)))
        camb = stack.enter_context(Listening(folder / "simulator.log", "relay.demo.simulator"))
        receiver = ("relay.demo.receiver", "--secret", SIGNING_SECRET, "--no-bodies")
        callbacks = stack.enter_context(Listening(folder / "receiver.log", *receiver))
        yield Surroundings(
            folder=folder,
            camb=camb.origin,
            callbacks=callbacks.origin,
            quick=quick,
        )
