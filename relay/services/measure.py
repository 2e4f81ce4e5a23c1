"""Say how much is waiting, for whom, and how the origins fare."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

import structlog

from relay.clock import Clock
from relay.domain.clients import Client
from relay.domain.deliveries import DeadReason
from relay.domain.errors import DatabaseUnavailable
from relay.domain.instants import HOUR, SECOND, Instant, Span, seconds
from relay.domain.lanes import LaneName, OriginState, client_of, origin_of
from relay.storage import lanes, lists
from relay.storage.engine import Database
from relay.storage.queue import DELIVERIES, TASKS, DueLane
from relay.telemetry import Metrics

MOST_COUNTED: Final = 1_000
"""Lanes whose due rows are counted for the gauge; beyond that it is a lower bound."""
MOST_DEAD_COUNTED: Final = 100_000
"""For each reason; beyond that the gauge is a lower bound."""
BEHIND: Final = Span(10 * SECOND)
"""How long a task may be due before the log says that polls queue."""
IDLE: Final = HOUR
"""After a pause that ended so long ago a key has nothing to ask, and does not count as paused for ever."""
_HELD_BACK: Final = tuple(state for state in OriginState if state is not OriginState.OPEN)

_log = structlog.get_logger()


class Measuring:
    def __init__(
        self, database: Database, *, clients: Mapping[str, Client], clock: Clock, metrics: Metrics
    ) -> None:
        self._database = database
        self._clients = clients
        self._clock = clock
        self._metrics = metrics

    async def run_once(self) -> None:
        now = self._clock.now()
        try:
            for name, queue in (("tasks", TASKS), ("deliveries", DELIVERIES)):
                paused = await self._database.read(lanes.paused, now)
                found = await self._database.read(queue.find, now, {})
                claimable = [lane for lane in found.due if self._claimable(lane.lane, paused)]
                due = await self._database.read(queue.count_due, claimable[:MOST_COUNTED], now)
                held = await self._database.read(queue.count_held, self._clients.keys())
                self._gauge(name, claimable, due, held, now)
            await self._measure_origins(now)
            await self._measure_keys(now)
            for reason in DeadReason:
                dead = await self._database.read(lists.count_dead, reason, MOST_DEAD_COUNTED)
                self._metrics.standing_dead.labels(reason).set(dead)
        except DatabaseUnavailable as error:
            _log.warning("measure.failed", error=str(error))

    async def _measure_origins(self, now: Instant) -> None:
        held_back = await self._database.read(lanes.held_back, now)
        origins = {name: lane for name, lane in held_back.items() if origin_of(name)}
        states = Counter(lane.state(now) for lane in origins.values())
        for state in _HELD_BACK:
            self._metrics.origins.labels(state).set(states[state])
        closed = [DueLane(lane=name, oldest=now) for name, lane in origins.items() if not lane.room(1, now)]
        waiting = await self._database.read(DELIVERIES.count_due, closed[:MOST_COUNTED], now)
        self._metrics.waiting_for_origin.set(waiting)

    async def _measure_keys(self, now: Instant) -> None:
        names = {client.key_lane for client in self._clients.values()}
        known = (await self._database.read(lanes.read, names)).values()
        failing = [lane for lane in known if lane.failures and now < lane.paused_until + IDLE]
        self._metrics.keys_paused.set(len(failing))

    def _claimable(self, lane: LaneName, paused: Collection[LaneName]) -> bool:
        """Whether a lane that has due work waits for us alone."""
        client = self._clients.get(client_of(lane))
        if client is None:
            return False
        # A task's lane is its client, which is paused with its key.
        return (client.key_lane if lane == client.name else lane) not in paused

    def _gauge(self, name: str, claimable: list[DueLane], due: int, held: int, now: Instant) -> None:
        age = max((now - lane.oldest for lane in claimable), default=0)
        self._metrics.due.labels(name).set(due)
        self._metrics.due_age.labels(name).set(seconds(age))
        self._metrics.held.labels(name).set(held)
        if name == "tasks" and age > BEHIND:
            _log.warning("polls.behind", due=due, oldest_seconds=round(seconds(age), 1))
