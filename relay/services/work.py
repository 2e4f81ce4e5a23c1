"""The rhythm both queues share: claim until nothing is due or no place is free, one owned task a row, a wake in between."""

import abc
import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

import structlog

from relay.clock import Clock
from relay.domain.errors import DatabaseUnavailable
from relay.domain.instants import SECOND, Instant, Span
from relay.domain.lanes import LaneName
from relay.services.running import Running
from relay.storage.look import Look
from relay.storage.queue import Claim
from relay.telemetry import Metrics

LEASE_MARGIN: Final = Span(15 * SECOND)
"""How much longer than its deadline a claimed request is left alone."""

MOST_LOOKS_IN_VAIN: Final = 5
"""In a row, over clients whose lanes are looked at some at a time; the next ones are looked at when it is woken again."""

_log = structlog.get_logger()


class Claimed(Protocol):
    """What both claims have."""

    @property
    def lane(self) -> LaneName: ...


Row = TypeVar("Row", bound=Claimed)


class Work(abc.ABC, Generic[Row]):
    """`ticked_at` is when this process last saw what is due. A claimed row starts at once; none waits in memory."""

    def __init__(self, name: str, *, clock: Clock, metrics: Metrics, concurrency: int) -> None:
        self.name = name
        self.ticked_at = Instant(0)
        self._clock = clock
        self._metrics = metrics
        self._concurrency = concurrency
        self._running = Running()
        self._waking = Running()
        self._per_lane: Counter[LaneName] = Counter()
        self._lock = asyncio.Lock()
        self._look = Look()
        self._in_vain = 0
        self._last: LaneName | None = None
        self._more = False
        self._left = 0
        self._woken = False
        self._draining = False
        metrics.in_flight.labels(name).set_function(lambda: len(self._running))

    async def run_once(self) -> None:
        """Claim what is due, start it, and return."""
        async with self._lock:
            self._woken = False
            self._begin_round()
            try:
                while self._may_claim() and await self._claim_some():
                    pass
            except DatabaseUnavailable as error:
                _log.warning("claim.failed", queue=self.name, error=str(error))
                return
            except Exception:  # noqa: BLE001 - a claim that fails must not be the last; the next tick tries again
                self._metrics.errors.labels(self.name).inc()
                _log.exception("claim.failed", queue=self.name)
                return
            self.ticked_at = self._clock.now()

    def wake(self) -> None:
        """Something became due, or a place free: look again soon, once however often this is called."""
        if not self._woken and not self._draining:
            self._woken = True
            self._waking.start(self.run_once())

    def stop_claiming(self) -> None:
        self._draining = True

    async def drain(self, left: Callable[[], float]) -> None:
        """Claim no more; wait for what is under way while there are seconds `left`."""
        self._draining = True
        await self._waking.drain(left())
        late = await self._running.drain(left())
        if late:
            _log.warning("drain.cut_off", queue=self.name, requests=late)

    def cut_off(self) -> None:
        """Wait for nothing any more: leases bring back what is under way."""
        self._waking.cut_off()
        late = self._running.cut_off()
        if late:
            _log.warning("drain.cut_off", queue=self.name, requests=late)

    @abc.abstractmethod
    def _may_claim(self) -> bool: ...

    @abc.abstractmethod
    async def _claim(self, free: int) -> Claim[Row]: ...

    @abc.abstractmethod
    async def _work(self, row: Row) -> None:
        """Ask, decide, record."""

    async def _claim_some(self) -> bool:
        """Whether it is worth claiming again at once."""
        # Not the tasks still running: the last of a batch wakes this before any of the batch has left their set.
        free = self._concurrency - self._per_lane.total()
        if free <= 0:
            self._more = True
            return False
        left = self._left
        claim = await self._claim(free)
        self._more, self._last = claim.more, claim.last
        for row in claim.rows:
            self._per_lane[row.lane] += 1
            self._running.start(self._owned(row))
        # A place that was given back meanwhile woke nobody, for nobody was known to wait for it.
        if claim.rows or self._left != left:
            self._begin_round()
            return claim.more
        self._in_vain += 1
        return claim.unseen and self._in_vain < MOST_LOOKS_IN_VAIN

    def _begin_round(self) -> None:
        self._look.begin_round()
        self._in_vain = 0

    async def _owned(self, row: Row) -> None:
        try:
            await self._work(row)
        except Exception:  # noqa: BLE001 - whatever is wrong with one row must not starve the rest; its lease brings it back
            self._metrics.errors.labels(self.name).inc()
            _log.exception("row.failed", queue=self.name)
        finally:
            self._leave(row.lane)

    def _leave(self, lane: LaneName) -> None:
        """Give a place back, and look for who may have waited for it."""
        self._left += 1
        self._per_lane[lane] -= 1
        if not self._per_lane[lane]:
            del self._per_lane[lane]
        if self._more:
            self.wake()
