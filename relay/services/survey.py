"""How things stand, and how they went: what the console's first page shows."""

from collections.abc import Mapping, Sequence
from typing import Final

from relay.clock import Clock
from relay.domain.clients import Client
from relay.domain.rollups import EVERYBODY, Charts, ChartSpan, charts
from relay.domain.survey import DeadGroup, Survey, keys_of
from relay.storage import rollups
from relay.storage import survey as surveys
from relay.storage.engine import Database

MOST_DEAD_READ: Final = 10_000
"""The newest of a client's dead, which are put into groups."""


class Surveying:
    """`names` are of clients that are configured: one, or for an operator all of them."""

    def __init__(self, database: Database, *, clients: Mapping[str, Client], clock: Clock) -> None:
        self._database = database
        self._clients = clients
        self._clock = clock

    async def survey(self, names: Sequence[str]) -> Survey:
        keys = keys_of([self._clients[name] for name in names])
        return await self._database.read(surveys.survey, keys, self._clock.now())

    async def charts(self, names: Sequence[str], span: ChartSpan) -> Charts:
        """What every process has written by now: the newest of it is some seconds old."""
        everybody = len(names) > 1 and self._clients.keys() <= set(names)
        now = self._clock.now()
        since = span.starts(now)[0]
        rows = await self._database.read(rollups.read, [EVERYBODY] if everybody else names, span, since)
        return charts(rows, span, now)

    async def dead_groups(self, name: str) -> Sequence[DeadGroup]:
        """By reason and origin, the largest first, at most MOST_GROUPS of them."""
        return await self._database.read(surveys.dead_groups, name, MOST_DEAD_READ)
