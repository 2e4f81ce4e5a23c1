"""One container as a deployment has it: the root read-only, no capability, no new privilege."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final

from relay.clock import system_clock
from relay.domain.instants import Span, seconds
from tests.e2e.processes import until
from tests.image.engine import Engine

PORT: Final = 8080
PATIENCE: Final = 150.0
"""Seconds for a container to become healthy on a machine that has much other work: a check cut short counts against it."""
HARDENED: Final = ("--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    exit_code: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    engine: Engine
    id: str

    @property
    def url(self) -> str:
        return f"http://{self.engine.podman('port', self.id, str(PORT))}"

    @property
    def health(self) -> str:
        """Asks as an engine would do every ten seconds."""
        self.engine.run("/usr/bin/podman", "healthcheck", "run", self.id, check=False)
        health: str = self._state["Health"]["Status"]
        return health

    @property
    def logs(self) -> str:
        """Both streams, as far as they were written."""
        read = self.engine.run("/usr/bin/podman", "logs", self.id)
        return read.stdout + read.stderr

    async def becomes_healthy(self) -> None:
        async def is_healthy() -> bool:
            return await asyncio.to_thread(lambda: self.health) == "healthy"

        await until(is_healthy, within=PATIENCE)

    async def ended(self) -> int:
        """The exit code. Polled: where nobody reaps orphans podman itself waits 20 s longer."""

        async def is_over() -> bool:
            return not self._state["Running"]

        await until(is_over)
        code: int = self._state["ExitCode"]
        return code

    def start(self) -> None:
        """Once more, after it has ended."""
        self.engine.podman("start", self.id)

    async def stop(self) -> Stopped:
        clock = system_clock()
        began = clock.now()
        await asyncio.to_thread(self.engine.podman, "stop", "--time", "30", self.id)
        took = Span(clock.now() - began)
        return Stopped(exit_code=self._state["ExitCode"], seconds=seconds(took))

    @property
    def _state(self) -> dict[str, Any]:
        [described] = json.loads(self.engine.podman("container", "inspect", self.id))
        state: dict[str, Any] = described["State"]
        return state
