"""The relay beside the loop that CAMB's page shows, both over TLS, as CAMB is asked."""

import shutil
import statistics
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.bench.notification import THREADS, Trial
from tests.bench.processes import Listening
from tests.bench.surroundings import Surroundings
from tests.bench.table import Figure, Part, spread

TASKS: Final = 500
ROUNDS_SECONDS: Final = 12.0
NAME: Final = "a thread per task, two polls over TLS and the POST"


def measure(around: Surroundings) -> Part:
    openssl = shutil.which("openssl")
    if openssl is None:
        return Part(figures=[Figure(name=NAME, measured="not measured (openssl is not on PATH)")])
    certificate, key = _certificate(openssl, around.folder)
    with ExitStack() as stack:
        server = ("tests.bench.tls_simulator", str(certificate), str(key))
        camb = stack.enter_context(Listening(around.folder / "tls.log", *server))
        trusting = {"SSL_CERT_FILE": str(certificate), "REQUESTS_CA_BUNDLE": str(certificate)}
        trial = Trial(around, "tls", camb.origin, TASKS, stack, environment=trusting)
        relay, page = [], []
        for number in around.rounds(ROUNDS_SECONDS):
            relay.append(trial.relay(number))
            page.append(trial.page(number))
    return Part(
        figures=[
            Figure(
                name=NAME,
                measured=spread(relay, "ms", 1_000),
                against="threads " + spread(page, "ms", 1_000),
                ratio=statistics.median(t / r for t, r in zip(page, relay, strict=True)),
                least=10,
            )
        ],
        notes=[
            (
                f"over TLS: {len(page)} rounds of {TASKS} tasks and of {THREADS} threads; a certificate of one link on the "
                "simulator alone, so that the threads' POST and the relay's go without; a `requests.get` without a session "
                "makes a connection and a handshake each time"
            )
        ],
    )


def _certificate(openssl: str, folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key
