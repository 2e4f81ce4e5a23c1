"""Steps that each say what they looked at, or the first thing that is wrong."""

import sys
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Final

from relay.clock import Clock
from relay.domain.instants import Span, seconds

Looking = Generator[str, None, str]
"""Yields what is wrong, in words; returns what was looked at."""
Step = Callable[[], Looking]

THREADS: Final = 2


def passed(steps: Mapping[str, Step], clock: Clock, say: Callable[[str], None]) -> bool:
    """Runs them beside each other. The first thing that is wrong is the last that is said."""
    with ThreadPoolExecutor(THREADS) as pool:
        running = [pool.submit(_look, name, step, clock) for name, step in steps.items()]
        for done in as_completed(running):
            found, is_well = done.result()
            say(found)
            if not is_well:
                pool.shutdown(wait=False, cancel_futures=True)
                return False
    return True


def _look(name: str, step: Step, clock: Clock) -> tuple[str, bool]:
    began = clock.now()
    looking = step()
    try:
        wrong = next(looking)
    except StopIteration as end:
        taken = seconds(Span(clock.now() - began))
        return f"{name}: {end.value} ({taken:.1f} s)", True
    looking.close()
    return f"{name}: WRONG: {wrong}", False


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
