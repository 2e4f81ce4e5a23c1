"""What every figure is measured in: a folder on a real disk, the simulator and the receiver."""

from contextlib import ExitStack, contextmanager
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.processes import ROOT, SIGNING_SECRET, Listening


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """`rounds` are how many samples a ratio is the median of; `quick` asks for fewer and smaller ones."""

    folder: Path
    camb: str
    callbacks: str
    rounds: int
    quick: bool


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
            rounds=2 if quick else 5,
            quick=quick,
        )
