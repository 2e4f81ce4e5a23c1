"""What a client may see: its own registrations, their attempts, and why they are where they are."""

from collections.abc import Mapping, Sequence
from typing import Final

from relay.clock import Clock
from relay.domain.chain import Step
from relay.domain.clients import Client
from relay.domain.deliveries import RetryPolicy
from relay.domain.history import Terms
from relay.domain.ids import RegistrationId
from relay.domain.registrations import RegistrationState
from relay.domain.timeline import timeline
from relay.domain.watching import LostRule
from relay.services.notify import Notifier
from relay.storage import histories, lists, origins, views
from relay.storage.engine import Database
from relay.storage.lists import Filter, Listed
from relay.storage.origins import Latency, OriginView
from relay.storage.views import AttemptView, RegistrationView

MOST_TOLD: Final = 50
"""Attempts that a timeline tells of one by one."""


class Reading:
    """`slots` are an origin's while all is well."""

    def __init__(
        self,
        database: Database,
        notifier: Notifier,
        *,
        clients: Mapping[str, Client],
        retry: RetryPolicy,
        slots: int,
        lost: LostRule,
        clock: Clock,
    ) -> None:
        self._database = database
        self._notifier = notifier
        self._clients = clients
        self._retry = retry
        self._slots = slots
        self._lost = lost
        self._clock = clock

    async def registration(self, client: str, wanted: RegistrationId, *, wait: float = 0) -> RegistrationView:
        """Once it watches no more, or after so many seconds. Raises NotFound, also for what is another client's, and TooMany."""
        view = await self._database.read(views.get, client, wanted)
        if view.state is not RegistrationState.WATCHING or not wait:
            return view
        with self._notifier.place(client):
            await self._notifier.decided(wanted, wait)
        return await self._database.read(views.get, client, wanted)

    async def registrations(self, wanted: Filter) -> Listed:
        return await self._database.read(lists.find_page, wanted)

    async def attempts(
        self, client: str, wanted: RegistrationId, *, after: int, limit: int
    ) -> Sequence[AttemptView]:
        """Raises NotFound, also for what is another client's."""
        return await self._database.read(views.attempts_of, client, wanted, after, limit)

    async def origins(self, client: str, after: str, most: int) -> Sequence[OriginView]:
        """By name, from the first one beyond `after`."""
        return await self._database.read(origins.find, client, after, self._clock.now(), most)

    async def latencies(self, client: str, origins_: Sequence[str]) -> Mapping[str, Latency | None]:
        """By origin; None for one that has accepted nothing lately."""
        return await self._database.read(origins.latencies, client, origins_)

    async def timeline(self, client: Client, wanted: RegistrationId) -> Sequence[Step]:
        """Raises NotFound, also for what is another client's."""
        history = await self._database.read(histories.read, client.name, wanted, client.key_lane, MOST_TOLD)
        terms = Terms(
            retry=self._retry,
            slots=self._slots,
            lost=self._lost,
            now=self._clock.now(),
            configured=client.name in self._clients,
            clock_halted=self._clock.halted,
        )
        return timeline(history, terms)
