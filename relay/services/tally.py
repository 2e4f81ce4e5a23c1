"""Count what was done, and add it to the store's rollups: charts survive a restart and cover every process."""

import asyncio
from collections import Counter
from typing import Final

import structlog

from relay.clock import Clock
from relay.domain.deliveries import Attempt
from relay.domain.errors import DatabaseUnavailable
from relay.domain.instants import MINUTE, SECOND, Instant
from relay.domain.registrations import EventType
from relay.domain.rollups import Measure, Slot, bucket_of, rolled_up
from relay.storage import rollups
from relay.storage.engine import Database

MOST_WAITING: Final = 100_000
"""Counts kept apart while the database takes none; what would be one more is left out of the charts."""
LAST_SECONDS: Final = 2.0
_MINUTE_SECONDS: Final = MINUTE // SECOND

_log = structlog.get_logger()


class Tallying:
    """Counting costs an entry in memory, under the minute it happened in; `run_once` writes what has come together."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._waiting: Counter[Slot] = Counter()

    def detected(self, client: str, type_: EventType, at: Instant) -> None:
        self._count(client, at, Measure.DETECTED, type_)

    def attempted(self, client: str, attempt: Attempt) -> None:
        self._count(client, attempt.ended_at, Measure.ATTEMPTED, attempt.label)

    def delivered(self, client: str, latency: int, at: Instant) -> None:
        """`latency` is from the event to the answer that accepted it."""
        self._count(client, at, Measure.LATENCY, bucket_of(latency))

    async def run_once(self) -> None:
        """What the database does not take is kept for the next time, as long as a chart would show it."""
        taken, self._waiting = self._waiting, Counter()
        counts = rolled_up(taken, self._clock.now())
        if not counts:
            return
        try:
            await self._database.write(rollups.add, counts)
        except DatabaseUnavailable as error:
            self._waiting.update(taken)
            _log.warning("rollups.failed", error=str(error))

    async def close(self) -> None:
        """Write what is left. What the database does not take in time is missing from the charts, and nowhere else."""
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self.run_once()
        except TimeoutError:
            _log.warning("rollups.abandoned")

    def _count(self, client: str, at: Instant, measure: Measure, bucket: str) -> None:
        slot = Slot(client, _MINUTE_SECONDS, Instant(at - at % MINUTE), measure, bucket)
        if slot in self._waiting or len(self._waiting) < MOST_WAITING:
            self._waiting[slot] += 1
