"""Who a relay talks to: the simulator of CAMB and the verifying receiver, and what they have seen."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from tests.demo.serving import served

CAMB_KEY: Final = "camb-key-of-the-end-to-end-tests"
SIGNING_SECRET: Final = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

SIMULATOR: Final = ("relay.demo.simulator", "--key", CAMB_KEY)
RECEIVER: Final = ("relay.demo.receiver", "--secret", SIGNING_SECRET)
_PAGE: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    simulator_url: str
    receiver_url: str
    http: httpx.AsyncClient

    def hook(self, behaviour: str) -> str:
        """A callback URL that the receiver treats so."""
        return f"{self.receiver_url}/hooks/{behaviour}"

    async def task(self, task_id: str) -> dict[str, Any] | None:
        """What the simulator knows of the task, None until it was asked for it."""
        query = {"task_id": task_id}
        state = (await self.http.get(f"{self.simulator_url}/_simulator/state", params=query)).json()
        found: list[dict[str, Any]] = state["tasks"]
        return found[0] if found else None

    async def arrival(self, registration: str) -> dict[str, Any] | None:
        """What came for the registration, None until something did."""
        query = {"relay-registration-id": registration}
        found: list[dict[str, Any]] = (await self._received(query))["data"]
        assert len(found) < 2, "a registration has one event at most"
        return found[0] if found else None

    async def arrivals(self) -> dict[str, dict[str, Any]]:
        """All that ever came, by registration."""
        found: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            page = await self._received({"after": str(after), "limit": str(_PAGE)})
            found += page["data"]
            after = page["next_after"]
        by_registration = {each["headers"]["relay-registration-id"]: each for each in found}
        assert len(by_registration) == len(found), "a registration has one event at most"
        return by_registration

    async def totals(self) -> dict[str, Any]:
        totals: dict[str, Any] = (await self._received({"limit": "0"}))["totals"]
        return totals

    async def _received(self, query: dict[str, str]) -> dict[str, Any]:
        document: dict[str, Any] = (await self.http.get(f"{self.receiver_url}/state", params=query)).json()
        return document


@asynccontextmanager
async def neighbours_at(simulator_url: str, receiver_url: str) -> AsyncIterator[Neighbours]:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        yield Neighbours(simulator_url=simulator_url, receiver_url=receiver_url, http=client)


@asynccontextmanager
async def own_neighbours() -> AsyncIterator[Neighbours]:
    """For tests that count everything that comes."""
    with served(*SIMULATOR) as simulator, served(*RECEIVER) as receiver:
        async with neighbours_at(simulator.url, receiver.url) as neighbours:
            yield neighbours
