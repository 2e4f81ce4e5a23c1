"""Callers that register and read without a pause, over connections that they keep and over fresh ones, and count what fails."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.e2e.processes import TOKEN

KEEPING: Final = 5
FRESH: Final = 4
PAUSE_SECONDS: Final = 0.04
BATCH: Final = 5
TIMEOUT_SECONDS: Final = 15.0
RETRY_SECONDS: Final = 0.2

_TASKS: Final = ("success", "success-after-0.5", "success-after-2", "error-after-1")
_HOOKS: Final = ("ok", "ok", "ok", "slow-0.2")


@dataclass(slots=True)
class Tally:
    """What became of the requests of one phase."""

    requests: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        return self.failures.total()

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.failures.items()))
        return f"{self.requests} requests, {self.failed} failed" + (f" ({kinds})" if kinds else "")


class Load:
    """Every registration is tried until it is accepted; `accepted` holds the ids, `tally` counts each single request."""

    def __init__(self, url: str, receiver_url: str) -> None:
        self._url = url
        self._receiver_url = receiver_url
        self._numbers = itertools.count(1)
        self._stopping = asyncio.Event()
        self._callers: list[asyncio.Task[None]] = []
        self.accepted: list[str] = []
        self.tally = Tally()

    def start(self) -> None:
        for keeping in [True] * KEEPING + [False] * FRESH:
            self._callers.append(asyncio.create_task(self._call(keeping=keeping)))

    def next_phase(self) -> Tally:
        """The tally from here on; a request counts where it ends."""
        self.tally = Tally()
        return self.tally

    async def stop(self) -> None:
        """Let the callers finish what they began."""
        self._stopping.set()
        await asyncio.gather(*self._callers)

    async def close(self) -> None:
        for caller in self._callers:
            caller.cancel()
        await asyncio.gather(*self._callers, return_exceptions=True)

    async def _call(self, *, keeping: bool) -> None:
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1 if keeping else 0)
        async with httpx.AsyncClient(
            base_url=self._url,
            headers={"authorization": f"Bearer {TOKEN}"},
            limits=limits,
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        ) as client:
            for turn in self._turns():
                await turn(client)
                await asyncio.sleep(PAUSE_SECONDS)

    def _turns(self) -> Iterator[Any]:
        turns = itertools.cycle(
            (self._register, self._read, self._register, self._register_batch, self._list)
        )
        while not self._stopping.is_set():
            yield next(turns)

    def _wish(self) -> dict[str, str]:
        number = next(self._numbers)
        return {
            "task_id": f"{_TASKS[number % len(_TASKS)]}-r{number}",
            "callback_url": f"{self._receiver_url}/hooks/{_HOOKS[number // len(_TASKS) % len(_HOOKS)]}",
        }

    async def _register(self, client: httpx.AsyncClient) -> None:
        answer = await self._accepted(client, "/v1/registrations", self._wish())
        self.accepted.append(answer["id"])

    async def _register_batch(self, client: httpx.AsyncClient) -> None:
        wishes = [self._wish() for _ in range(BATCH)]
        answer = await self._accepted(client, "/v1/registrations/batch", {"registrations": wishes})
        for item in answer["data"]:
            if item["http_status"] not in {200, 201}:
                raise RuntimeError(f"an item of a batch was refused: {item}")
            self.accepted.append(item["registration"]["id"])

    async def _accepted(self, client: httpx.AsyncClient, path: str, body: object) -> dict[str, Any]:
        while True:
            answer = await self._request(client, "POST", path, body)
            if answer is not None:
                document: dict[str, Any] = answer.json()
                return document
            await asyncio.sleep(RETRY_SECONDS)

    async def _read(self, client: httpx.AsyncClient) -> None:
        if self.accepted:
            await self._request(client, "GET", f"/v1/registrations/{self.accepted[-1]}")

    async def _list(self, client: httpx.AsyncClient) -> None:
        await self._request(client, "GET", "/v1/registrations?limit=5")

    async def _request(
        self, client: httpx.AsyncClient, method: str, path: str, body: object = None
    ) -> httpx.Response | None:
        """The answer where it is a 2xx."""
        self.tally.requests += 1
        try:
            answer = await client.request(method, path, json=body)
        except httpx.TransportError as error:
            self.tally.failures[type(error).__name__] += 1
            return None
        if answer.is_success:
            return answer
        self.tally.failures[str(answer.status_code)] += 1
        return None
