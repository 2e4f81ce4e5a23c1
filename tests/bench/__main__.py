"""`python -m tests.bench`: measure, and print one table."""

import argparse
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from tests.bench import (
    detection,
    isolation,
    memory,
    notification,
    page_times,
    queue_find,
    registration,
    threads,
)
from tests.bench.surroundings import Surroundings, surroundings
from tests.bench.table import Part, show

PARTS: Final[Mapping[str, Callable[[Surroundings], Part]]] = MappingProxyType(
    {
        "notification": notification.measure,
        "threads": threads.measure,
        "registration": registration.measure,
        "detection": detection.measure,
        "isolation": isolation.measure,
        "queue": queue_find.measure,
        "pages": page_times.measure,
        "memory": memory.measure,
    }
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--only", choices=sorted(PARTS), action="append", help="this part; again for a second"
    )
    parser.add_argument("--quick", action="store_true", help="fewer and smaller samples, for a first look")
    given = parser.parse_args()
    begun = time.monotonic()
    with surroundings(quick=given.quick) as around:
        parts = [
            measure(around) for name, measure in PARTS.items() if given.only is None or name in given.only
        ]
    show(parts, time.monotonic() - begun)


if __name__ == "__main__":
    main()
