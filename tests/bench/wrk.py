"""The same requests made by wrk, where it is on PATH: what HTTP costs a program that does nothing else."""

import re
import resource
import shutil
import statistics
import subprocess
from collections.abc import Sequence
from typing import Final

from tests.bench.processes import CAMB_KEY
from tests.bench.table import Figure, spread

CONNECTIONS: Final = 50
SECONDS: Final = 2
REQUESTS: Final = 3
"""For each notification."""


def wrk_requests(camb: str) -> list[float]:
    """Seconds of wrk's CPU for three requests; empty where there is no wrk."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(
        [
            *(wrk, "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-H", f"x-api-key: {CAMB_KEY}"),
            f"{camb}/apis/text-to-sound/never-wrk",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    made = re.search(r"(\d+) requests in", ran.stdout)
    if made is None:
        raise RuntimeError(f"wrk said something else: {ran.stdout}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return [REQUESTS * cpu / int(made[1])]


def over_wrk(floor: Sequence[float], wrk: Sequence[float]) -> Figure:
    name = "the floor over wrk (three GETs)"
    if not wrk:
        return Figure(name=name, measured="not measured (wrk is not on PATH)")
    return Figure(
        name=name,
        measured=spread(floor, "ms", 1_000),
        against="wrk " + spread(wrk, "ms", 1_000),
        ratio=statistics.median(f / w for f, w in zip(floor, wrk, strict=True)),
    )
