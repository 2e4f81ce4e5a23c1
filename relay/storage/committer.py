"""Group commit: concurrent small writes gather for a moment and share one transaction.

Each caller is answered after the commit. What counts is the batch: a row alone costs many times what it costs in company, and
so does the flush to disk.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import structlog
from sqlalchemy import Connection

from relay.clock import Clock
from relay.domain.errors import DatabaseUnavailable, Overloaded
from relay.domain.instants import seconds
from relay.storage.engine import Database
from relay.telemetry import Metrics

Item = TypeVar("Item")
Result = TypeVar("Result")

GATHER_SECONDS: Final = 0.003
FIRST_WAIT_SECONDS: Final = 0.25
LONGEST_WAIT_SECONDS: Final = 5.0
MOST_AT_ONCE: Final = 1_000
LAST_SECONDS: Final = 2.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Item, Result]):
    items: Sequence[Item]
    answer: "asyncio.Future[Sequence[Result]]"


class Committer(Generic[Item, Result]):
    """One kind of write. `write` may be run again with the same items after a COMMIT whose fate nobody knows.

    A committer that `keeps` holds on to what the database would not take, and tries again until it does: meanwhile it is `stuck`.
    One that does not keep fails all its callers with DatabaseUnavailable, and refuses with Overloaded beyond `capacity` items.
    """

    def __init__(
        self,
        name: str,
        *,
        database: Database,
        write: Callable[[Connection, Sequence[Item]], Sequence[Result]],
        clock: Clock,
        metrics: Metrics,
        keeps: bool,
        capacity: int | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._name = name
        self._database = database
        self._write = write
        self._clock = clock
        self._metrics = metrics
        self._keeps = keeps
        self._capacity = capacity
        self._pause = pause
        self._queue: deque[_Entry[Item, Result]] = deque()
        self._waiting = 0
        self._arrived = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self.stuck = False

    def open(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"committer {self._name}")

    async def close(self) -> None:
        """Commit what has been handed in, and stop.

        What the database will not take within LAST_SECONDS is let go: nobody was told that it is durable.
        """
        self._closing = True
        self._arrived.set()
        if self._task is None:
            return
        _, late = await asyncio.wait((self._task,), timeout=LAST_SECONDS)
        if late:
            self._task.cancel()
            await asyncio.wait(late)
            _log.error("commit.abandoned", writes=self._name)

    async def submit(self, items: Sequence[Item]) -> Sequence[Result]:
        """The results in the order of the items, once they are durable; they are written even if the caller goes away."""
        if self._capacity is not None and self._waiting + len(items) > self._capacity:
            raise Overloaded("too many writes are waiting; send the request again in a moment")
        entry: _Entry[Item, Result] = _Entry(items, asyncio.get_running_loop().create_future())
        self._queue.append(entry)
        self._waiting += len(items)
        self._arrived.set()
        return await entry.answer

    async def _run(self) -> None:
        while self._queue or not self._closing:
            self._arrived.clear()
            if not self._queue:
                await self._arrived.wait()
                continue
            if self._waiting < MOST_AT_ONCE and not self._closing:
                await self._pause(GATHER_SECONDS)
            await self._commit(self._next_batch())

    def _next_batch(self) -> list[_Entry[Item, Result]]:
        batch: list[_Entry[Item, Result]] = []
        size = 0
        while self._queue and (not batch or size + len(self._queue[0].items) <= MOST_AT_ONCE):
            batch.append(self._queue.popleft())
            size += len(batch[-1].items)
        self._waiting -= size
        return batch

    async def _commit(self, batch: Sequence[_Entry[Item, Result]]) -> None:
        try:
            results = await self._written([item for entry in batch for item in entry.items])
        except DatabaseUnavailable as error:
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001 - whatever one row causes is that row's, and goes to whoever handed it in
            self.stuck = False  # the database answers
            if len(batch) == 1:
                _fail(batch, error)
            else:
                for entry in batch:
                    await self._commit([entry])
        else:
            _answer(batch, results)

    async def _written(self, items: Sequence[Item]) -> Sequence[Result]:
        wait = FIRST_WAIT_SECONDS
        while True:
            begun = self._clock.now()
            try:
                results = await self._database.write(self._write, items)
            except DatabaseUnavailable as error:
                self._metrics.commit_failures.labels(self._name).inc()
                if not self._keeps or self._closing:
                    raise
                if not self.stuck:
                    _log.error("commit.failed", writes=self._name, items=len(items), error=str(error))
                self.stuck = True
                await self._pause(wait)
                wait = min(wait * 2, LONGEST_WAIT_SECONDS)
            else:
                self._metrics.commit_seconds.labels(self._name).observe(seconds(self._clock.now() - begun))
                self._metrics.commit_size.labels(self._name).observe(len(items))
                self.stuck = False
                return results


def _answer(batch: Sequence[_Entry[Item, Result]], results: Sequence[Result]) -> None:
    start = 0
    for entry in batch:
        end = start + len(entry.items)
        if not entry.answer.done():
            entry.answer.set_result(results[start:end])
        start = end


def _fail(batch: Sequence[_Entry[Item, Result]], error: Exception) -> None:
    for entry in batch:
        if not entry.answer.done():
            entry.answer.set_exception(error)
