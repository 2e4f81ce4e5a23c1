"""The real command as a process of its own: started with an explicit environment, called over HTTP, stopped with signals."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import httpx
import orjson

from tests.e2e.neighbours import CAMB_KEY, SIGNING_SECRET, Neighbours

T = TypeVar("T")

COMMAND: Final = (str(Path(sys.executable).with_name("relay")),)
MODULE: Final = (sys.executable, "-m", "relay")
TOKEN: Final = "token-of-the-end-to-end-tests"

WITHIN: Final = 60.0
_PAUSE: Final = 0.05


async def until(asked: Callable[[], Awaitable[T]], *, within: float = WITHIN) -> T:
    """Ask again and again until the answer is true; fails past so many seconds, and shows the last answer."""
    answer: T | None = None
    try:
        async with asyncio.timeout(within):
            while not (answer := await asked()):  # noqa: ASYNC110 - what another process does sets no event here
                await asyncio.sleep(_PAUSE)
    except TimeoutError:
        raise AssertionError(f"not so within {within:g} s; the last answer was {answer!r}") from None
    return answer


class Written:
    """The lines a process writes, read as they come, so that it never waits for its reader."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.lines: list[bytes] = []
        self._stream = stream
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines of that name."""
        logged = (orjson.loads(line) for line in list(self.lines) if line.startswith(b"{"))
        return [event for event in logged if event.get("event") == name]

    def everything(self) -> str:
        """To be called once the process has ended."""
        self._reader.join()
        return b"".join(self.lines).decode()

    def _read(self) -> None:
        self.lines.extend(self._stream)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayProcess:
    """`api` carries the token."""

    process: subprocess.Popen[bytes]
    written: Written
    url: str
    api: httpx.AsyncClient

    async def register(self, task_id: str, callback_url: str, **more: object) -> str:
        """The id of a new registration."""
        wish = {"task_id": task_id, "callback_url": callback_url, **more}
        answer = await self.api.post("/v1/registrations", json=wish)
        assert answer.status_code == 201, answer.text
        registration: str = answer.json()["id"]
        return registration

    async def register_all(self, wishes: Sequence[Mapping[str, object]]) -> list[str]:
        """The ids of new registrations, in order."""
        answer = await self.api.post("/v1/registrations/batch", json={"registrations": wishes})
        assert answer.status_code == 200, answer.text
        items = answer.json()["data"]
        assert {item["http_status"] for item in items} == {201}, answer.text
        return [item["registration"]["id"] for item in items]

    async def read(self, registration: str) -> dict[str, Any]:
        answer = await self.api.get(f"/v1/registrations/{registration}")
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def reaches(self, registration: str, state: str, *, within: float = WITHIN) -> dict[str, Any]:
        """The registration, once it is in that state."""

        async def reached() -> dict[str, Any] | None:
            document = await self.read(registration)
            return document if document["state"] == state else None

        found = await until(reached, within=within)
        assert found is not None
        return found

    async def all_closed(self, *, within: float = WITHIN) -> None:
        """Wait until no registration is open any more."""

        async def closed() -> bool:
            return not [found for state in ("watching", "delivering") for found in await self._first(state)]

        await until(closed, within=within)

    async def _first(self, state: str) -> list[dict[str, Any]]:
        answer = await self.api.get("/v1/registrations", params={"state": state, "limit": 1})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    async def metric(self, sample: str) -> float:
        """A sample by name and labels as in the exposition, 0 where there is none."""
        exposition = (await self.api.get("/metrics")).text
        lines = (line.rpartition(" ") for line in exposition.splitlines())
        return next((float(value) for name, _, value in lines if name == sample), 0.0)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, *, within: float = WITHIN) -> int:
        """The exit code."""
        await until(self._is_over, within=within)
        return self.process.wait()

    async def kill(self) -> None:
        self.process.kill()
        await self.ended()

    async def terminate(self, *, within: float = WITHIN) -> int:
        self.process.terminate()
        return await self.ended(within=within)

    async def _is_over(self) -> bool:
        return self.process.poll() is not None


@asynccontextmanager
async def serving(
    environ: Mapping[str, str],
    folder: Path,
    command: Sequence[str] = (*COMMAND, "serve"),
    *,
    operations_url: str | None = None,
) -> AsyncIterator[RelayProcess]:
    """Run it in that folder until the end of the block, ready when the block begins.

    `operations_url` is where its health is, if not beside the API.
    """
    with subprocess.Popen(  # noqa: ASYNC220 - the one of asyncio would reap the process behind our back
        command,
        env=environ,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        written = Written(process.stdout)
        try:
            url = await until(lambda: _listening(process, written))
            assert url is not None
            headers = {"authorization": f"Bearer {TOKEN}"}
            async with httpx.AsyncClient(
                base_url=url, headers=headers, trust_env=False, timeout=30
            ) as client:
                relay = RelayProcess(process=process, written=written, url=url, api=client)
                await until(lambda: _is_ready(client, operations_url or url))
                yield relay
        finally:
            process.kill()
            written.everything()


async def _listening(process: subprocess.Popen[bytes], written: Written) -> str | None:
    assert process.poll() is None, written.everything()
    for event in written.events("relay.listening"):
        return f"http://{event['host']}:{event['port']}"
    return None


async def _is_ready(client: httpx.AsyncClient, url: str) -> bool:
    return (await client.get(f"{url}/readyz")).status_code == 200


def environment(neighbours: Neighbours, database_url: str, **more: str) -> dict[str, str]:
    """A relay between those neighbours that waits for nothing long; `more` are variables less their RELAY_."""
    variables = {
        "API_TOKENS": TOKEN,
        "CAMB_API_KEY": CAMB_KEY,
        "SIGNING_SECRETS": SIGNING_SECRET,
        "DATABASE__URL": database_url,
        "SERVER__PORT": "0",
        "CAMB__BASE_URL": f"{neighbours.simulator_url}/apis",
        "CAMB__RATE_PER_SECOND": "1000",
        "CALLBACKS__ALLOW_NETWORKS": "loopback",
        "CALLBACKS__ALLOW_HTTP": "allowed-networks",
        "POLLING__TICK": "PT0.1S",
        "POLLING__MIN_PACE": "PT0.2S",
        "POLLING__MAX_PACE": "PT0.5S",
        "DELIVERY__RETRY_SCHEDULE": "PT0.2S,PT0.2S,PT0.2S",
        "DELIVERY__PAUSE_WITHOUT_RETRY_AFTER": "PT0.2S",
        **more,
    }
    return {f"RELAY_{name}": value for name, value in variables.items()}


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'relay.db'}"


def run(
    *arguments: str,
    environ: Mapping[str, str],
    folder: Path,
    command: Sequence[str] = COMMAND,
    within: float = WITHIN,
) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        [*command, *arguments],
        env=environ,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
    )
