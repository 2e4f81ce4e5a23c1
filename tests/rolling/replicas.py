"""Replicas as a cluster keeps them: probed, listed while they are ready, and stopped as a Deployment stops its pods."""

import asyncio
from collections.abc import Mapping
from typing import Final

import httpx

from relay.demo.processes import Child, Processes
from tests.rolling.haproxy import SLOTS, Haproxy

PROBE_SECONDS: Final = 0.5
PROBE_TIMEOUT_SECONDS: Final = 3.0
PROBE_FAILURES: Final = 2
"""In a row, until a replica is no longer listed: timeout and threshold as the chart's, asked ten times as often."""
ENDPOINTS_SECONDS: Final = 1.0
"""How much later than the pod the nodes learn that it is to end."""
WITHIN: Final = 60.0


class Replica:
    def __init__(self, child: Child, slot: int) -> None:
        self.child = child
        self.slot = slot
        self.ready = False
        self.changed = asyncio.Event()
        self.watching: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        return int(self.child.url.rpartition(":")[2])

    async def becomes(self, *, ready: bool, within: float = WITHIN) -> None:
        """Wait until its probe says so."""
        try:
            async with asyncio.timeout(within):
                while self.ready is not ready:
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise self.child.failure("is not ready" if ready else "is still ready") from None


class Replicas:
    """Plays the kubelet and the endpoints' controller."""

    def __init__(
        self, processes: Processes, haproxy: Haproxy, environ: Mapping[str, str], http: httpx.AsyncClient
    ) -> None:
        self._processes = processes
        self._haproxy = haproxy
        self._environ = environ
        self._http = http
        self.running: list[Replica] = []

    async def start(self) -> Replica:
        """A new one, ready."""
        child = await self._processes.start("replica", "relay", "serve", environ=self._environ)
        slot = next(slot for slot in range(SLOTS) if slot not in {each.slot for each in self.running})
        replica = Replica(child, slot)
        self.running.append(replica)
        await self._haproxy.address(slot, replica.port)
        replica.watching = asyncio.create_task(self._watch(replica))
        await replica.becomes(ready=True)
        return replica

    async def stop(self, replica: Replica, *, pre_stop: float) -> float:
        """End it as a pod is ended; answers with the seconds from its SIGTERM to its end."""
        self.running.remove(replica)
        self._unwatch(replica)
        leaving = asyncio.create_task(self._leave(replica))
        await asyncio.sleep(pre_stop)
        begun = asyncio.get_running_loop().time()
        code = await replica.child.stop()
        took = asyncio.get_running_loop().time() - begun
        await leaving
        if code:
            raise replica.child.failure(f"exited with {code}")
        return took

    async def kill(self, replica: Replica) -> None:
        """SIGKILL; its probe finds out."""
        replica.child.kill()
        await replica.child.over()
        await replica.becomes(ready=False)
        self._unwatch(replica)
        self.running.remove(replica)

    async def close(self) -> None:
        for replica in self.running:
            self._unwatch(replica)

    async def _leave(self, replica: Replica) -> None:
        await asyncio.sleep(ENDPOINTS_SECONDS)
        await self._haproxy.maintenance(replica.slot)

    def _unwatch(self, replica: Replica) -> None:
        if replica.watching is not None:
            replica.watching.cancel()

    async def _watch(self, replica: Replica) -> None:
        failures = 0
        while True:
            failures = 0 if await self._probe(replica) else failures + 1
            ready = failures < (PROBE_FAILURES if replica.ready else 1)
            if ready is not replica.ready:
                await (self._haproxy.ready if ready else self._haproxy.maintenance)(replica.slot)
                replica.ready = ready
                replica.changed.set()
            await asyncio.sleep(PROBE_SECONDS)

    async def _probe(self, replica: Replica) -> bool:
        try:
            return (
                await self._http.get(f"{replica.child.url}/readyz", timeout=PROBE_TIMEOUT_SECONDS)
            ).is_success
        except httpx.TransportError:
            return False
