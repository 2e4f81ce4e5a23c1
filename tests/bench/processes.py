"""Processes of their own: what they listen on, what they cost, how much they hold."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import relay

ROOT: Final = Path(relay.__file__).parent.parent
START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 30.0
API_TOKEN: Final = "bench-token"
CAMB_KEY: Final = "bench-key"
SIGNING_SECRET: Final = "whsec_TWVhc3VyZWRUd2ljZUN1dE9uY2VNZWFzdXJlZFR3aWNl"

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_USER_TIME: Final = 11  # of what follows the command's name in /proc/<pid>/stat: fields 14 and 15 of proc(5)


class Process:
    """A Python module run with `-m`, its stderr in a file."""

    def __init__(self, log: Path, *command: str, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=log.parent,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | dict(environment or {}),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def ask(self, question: Mapping[str, object]) -> dict[str, Any]:
        """One line of JSON in, one out."""
        if self._process.stdin is None:
            raise RuntimeError("the process has no stdin")
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        line = b"" if self._process.stdout is None else self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a process ended early: {self.log.read_text()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def cpu(self) -> float:
        """Seconds of user and system time, over all its threads."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii")
        fields = stat.rpartition(")")[2].split()
        return (int(fields[_USER_TIME]) + int(fields[_USER_TIME + 1])) / _TICKS

    @property
    def resident(self) -> float:
        """MiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


class Listening(Process):
    """A demo server, which prints where it listens."""

    def __init__(self, log: Path, *command: str) -> None:
        super().__init__(log, *command)
        self.origin: str = self.answer()["listening"]


class RelayProcess(Process):
    """`relay serve` on a SQLite file: logs as JSON to a file, every setting at its default but those given."""

    def __init__(self, folder: Path, *, camb: str, settings: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "relay.db"
        super().__init__(
            folder / "relay.log",
            "relay",
            "serve",
            environment={
                "RELAY_API_TOKENS": API_TOKEN,
                "RELAY_CAMB_API_KEY": CAMB_KEY,
                "RELAY_SIGNING_SECRETS": SIGNING_SECRET,
                "RELAY_SERVER__PORT": "0",
                "RELAY_DATABASE__URL": f"sqlite:///{self.file}",
                "RELAY_CAMB__BASE_URL": f"{camb}/apis",
                "RELAY_CALLBACKS__ALLOW_NETWORKS": "loopback",
                "RELAY_CALLBACKS__ALLOW_HTTP": "allowed-networks",
            }
            | dict(settings),
        )
        until(lambda: '"relay.listening"' in self.log.read_text() or not self.running, START_SECONDS)
        if not self.running:
            raise RuntimeError(f"the relay ended early: {self.log.read_text()[-2000:]}")
        told = (json.loads(line) for line in self.log.read_text().splitlines())
        self.port: int = next(line["port"] for line in told if line["event"] == "relay.listening")


def until(condition: Callable[[], bool], seconds: float, every: float = 0.05) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s")
        time.sleep(every)
