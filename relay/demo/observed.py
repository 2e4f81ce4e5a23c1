"""What the simulator and the receiver say they saw: their `/state`, read."""

from typing import Any

import httpx
from pydantic import BaseModel

from relay.demo.behaviours import Ending
from relay.demo.scenario import ATTEMPT_DEADLINE_SECONDS, POLL_DEADLINE_SECONDS
from relay.domain.instants import SECOND, Instant

_ALL = {"limit": 1_000_000}
_SLOW_TO_ANSWER = ("/hooks/slow-", "/hooks/hang")


class SeenTask(BaseModel):
    task_id: str
    behaviour: str
    ends_at: int
    polls: int
    last_poll_at: int | None
    ending: Ending | None

    def hangs(self, now: int) -> bool:
        """Whether a poll waits for an answer that will not come."""
        asked = self.last_poll_at or 0
        return (
            self.behaviour == "hang" and self.ending is None and now - asked < POLL_DEADLINE_SECONDS * SECOND
        )


class SeenTasks(BaseModel):
    now: int
    tasks: list[SeenTask]

    @property
    def polls_under_way(self) -> int:
        return sum(task.hangs(self.now) for task in self.tasks)


class SeenArrival(BaseModel):
    webhook_id: str
    path: str
    body: Any
    last_at: int
    headers: dict[str, str]
    accepted: int

    @property
    def registration(self) -> str:
        return self.headers["relay-registration-id"]

    @property
    def event_type(self) -> str:
        return self.headers["relay-event-type"]

    def waits(self, now: int) -> bool:
        """Whether the relay waits for the answer to it."""
        slow = self.path.startswith(_SLOW_TO_ANSWER)
        return slow and not self.accepted and now - self.last_at < ATTEMPT_DEADLINE_SECONDS * SECOND


class SeenTotals(BaseModel):
    received: int
    verified: int
    bad_signatures: int
    duplicates: int
    bodies_changed: int


class SeenArrivals(BaseModel):
    totals: SeenTotals
    data: list[SeenArrival]

    def deliveries_under_way(self, now: Instant) -> int:
        return sum(arrival.waits(now) for arrival in self.data)


async def seen_tasks(http: httpx.AsyncClient, simulator_url: str) -> SeenTasks:
    answer = await http.get(f"{simulator_url}/_simulator/state", params=_ALL)
    return SeenTasks.model_validate_json(answer.content)


async def seen_arrivals(http: httpx.AsyncClient, receiver_url: str) -> SeenArrivals:
    answer = await http.get(f"{receiver_url}/state", params=_ALL)
    return SeenArrivals.model_validate_json(answer.content)
