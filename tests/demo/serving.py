"""The demo's servers as processes of their own, and the official SDK as their client."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import httpx
import orjson
from camb.client import AsyncCambAI

STOP_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """`url` is where it listens, as `http://127.0.0.1:40123`."""

    url: str
    process: subprocess.Popen[bytes]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal; answers the exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)


@contextmanager
def served(module: str, *arguments: str) -> Iterator[Served]:
    """Run `python -m <module>`, which announces its address on its first line."""
    with subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield Served(url=orjson.loads(process.stdout.readline())["listening"], process=process)
        finally:
            process.kill()


@asynccontextmanager
async def official_sdk(simulator_url: str, *, api_key: str = "demo-key") -> AsyncIterator[AsyncCambAI]:
    """CAMB's own client, talking to the simulator at that URL (without `/apis`)."""
    async with httpx.AsyncClient(trust_env=False) as client:
        yield AsyncCambAI(base_url=f"{simulator_url}/apis", api_key=api_key, httpx_client=client)
