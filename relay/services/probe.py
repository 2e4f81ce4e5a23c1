"""Read the reference clock, and with it ask whether the database answers."""

import structlog

from relay.clock import Clock
from relay.domain.errors import DatabaseUnavailable
from relay.domain.instants import seconds
from relay.storage.engine import Database
from relay.telemetry import Metrics

_log = structlog.get_logger()


class Probing:
    def __init__(self, database: Database, *, clock: Clock, metrics: Metrics) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics

    async def run_once(self) -> None:
        try:
            await self._database.probe()
            reference = await self._database.reference_time()
        except DatabaseUnavailable as error:
            _log.warning("database.unavailable", error=str(error))
            return
        before = self._clock.halted
        self._clock.follow(reference)
        self._metrics.clock_skew.set(seconds(self._clock.skew))
        self._metrics.clock_halted.set(self._clock.halted)
        if self._clock.halted and not before:
            _log.error(
                "clock.halted",
                skew_seconds=seconds(self._clock.skew),
                halted="expiry and prune",
                remedy="set the clock right, or restart with `relay serve --accept-clock`",
            )
        elif before and not self._clock.halted:
            _log.warning("clock.believed_again")
