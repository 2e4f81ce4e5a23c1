"""Wait for what is new: however many wait, one statement every so often asks for all of them, and none while nobody does."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog

from relay.domain.errors import DatabaseUnavailable, TooMany
from relay.domain.ids import RegistrationId
from relay.storage import feeds
from relay.storage.engine import Database
from relay.storage.feeds import News
from relay.telemetry import Metrics

LOOK_SECONDS: Final = 0.25
MOST_OF_A_CLIENT: Final = 64
MOST: Final = 1_024
"""Requests that wait and streams of one process, whoever's they are."""
LATER_SECONDS: Final = 5

_log = structlog.get_logger()


@dataclass(eq=False, slots=True, kw_only=True)
class _Waiter:
    """For an event of `client` beyond `position`, or for `registration` to be decided. `told` is true where it came."""

    client: str | None = None
    position: int = 0
    registration: RegistrationId | None = None
    told: "asyncio.Future[bool]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def tell(self, *, came: bool) -> None:
        if not self.told.done():
            self.told.set_result(came)

    def is_met(self, news: News) -> bool:
        if self.client is not None:
            return news.positions.get(self.client, 0) > self.position
        return self.registration in news.decided


class Notifier:
    """One for each process. Once it has stopped nobody waits any more."""

    def __init__(
        self,
        database: Database,
        *,
        metrics: Metrics,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.stopped = False
        self._database = database
        self._metrics = metrics
        self._pause = pause
        self._waiters: set[_Waiter] = set()
        self._places: Counter[str] = Counter()
        self._farewells: set[Callable[[], None]] = set()
        self._looking: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many there are that the next look is for."""
        return len(self._waiters)

    @contextmanager
    def place(self, client: str) -> Iterator[None]:
        """To be held by whoever waits. Raises TooMany."""
        if self._places[client] >= MOST_OF_A_CLIENT:
            raise TooMany(
                f"{MOST_OF_A_CLIENT} requests and streams of this client wait already",
                retry_after=LATER_SECONDS,
            )
        if self._places.total() >= MOST:
            raise TooMany(
                f"{MOST} requests and streams wait at this process already", retry_after=LATER_SECONDS
            )
        self._places[client] += 1
        try:
            yield
        finally:
            self._places[client] -= 1

    async def event(self, client: str, beyond: int, seconds: float) -> bool:
        """Whether the client has an event beyond that position, once it has or the time is over."""
        return await self._wait(_Waiter(client=client, position=beyond), seconds)

    async def decided(self, wanted: RegistrationId, seconds: float) -> bool:
        """Whether the registration watches no more, once it does not or the time is over."""
        return await self._wait(_Waiter(registration=wanted), seconds)

    @contextmanager
    def at_stop(self, call: Callable[[], None]) -> Iterator[None]:
        """Within it `call` is called when the notifier stops, or at once where it has."""
        self._farewells.add(call)
        if self.stopped:
            call()
        try:
            yield
        finally:
            self._farewells.discard(call)

    def stop(self) -> None:
        """Answer everybody: there is nothing new."""
        self.stopped = True
        for waiter in self._waiters:
            waiter.tell(came=False)
        for call in tuple(self._farewells):
            call()

    async def close(self) -> None:
        self.stop()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait((self._looking,))

    async def _wait(self, waiter: _Waiter, seconds: float) -> bool:
        if self.stopped:
            return False
        self._waiters.add(waiter)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_around(), name="notifier")
        try:
            await asyncio.wait((waiter.told,), timeout=seconds)
        finally:
            self._waiters.discard(waiter)
        return waiter.told.done() and waiter.told.result()

    async def _look_around(self) -> None:
        while self._waiters:
            await self._pause(LOOK_SECONDS)
            try:
                await self._look()
            except DatabaseUnavailable:
                pass  # the probe says so, and who waits goes on waiting
            except Exception:  # noqa: BLE001 - whatever is wrong with one look, those who wait depend on the next one
                self._metrics.errors.labels("notify").inc()
                _log.exception("notify.failed")

    async def _look(self) -> None:
        clients = {waiter.client for waiter in self._waiters if waiter.client is not None}
        wanted = {waiter.registration for waiter in self._waiters if waiter.registration is not None}
        if not clients and not wanted:
            return
        news = await self._database.read(feeds.news, clients, wanted)
        met = {waiter for waiter in self._waiters if waiter.is_met(news)}
        self._waiters -= met
        for waiter in met:
            waiter.tell(came=True)
