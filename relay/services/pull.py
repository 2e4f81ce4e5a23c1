"""Events to whoever pulls them: the same ids and bytes that callbacks get, in the order of their positions."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from relay.clock import Clock
from relay.domain.clients import Client
from relay.domain.cursors import STORE_BITS, Cursor
from relay.domain.errors import Gone
from relay.domain.instants import SECOND
from relay.services.notify import Notifier
from relay.storage import feeds, schema
from relay.storage.engine import Database
from relay.storage.feeds import Page, StoredEvent
from relay.webhook.headers import notification_headers
from relay.webhook.signing import Signer


class Start(Enum):
    """Where to begin without a cursor."""

    OLDEST = "oldest"
    LATEST = "latest"
    """Behind all that is there by now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """`start` is where its events begin, `cursor` where they end, to go on from."""

    start: Cursor
    events: Sequence[StoredEvent]
    cursor: Cursor


class Pulling:
    """Raises Ed25519Unavailable and WrongPublicKey over a client's keys."""

    def __init__(
        self,
        database: Database,
        notifier: Notifier,
        *,
        clients: Iterable[Client],
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._database = database
        self._notifier = notifier
        self._signers = {client.name: Signer(client.signing_keys) for client in clients}
        self._clock = clock
        self._rng = rng

    async def read(self, client: str, after: Cursor | Start, limit: int) -> Pulled:
        """What there is beyond `after`, and no more than a page of it; may be repeated. Raises Gone."""
        position = after.position if isinstance(after, Cursor) else None
        page, store = await self._page(client, position, 0 if after is Start.LATEST else limit)
        if isinstance(after, Cursor):
            _judge(after, page, store)
        start = Cursor(store=store, position=page.last if after is Start.LATEST else page.start)
        end = replace(start, position=page.events[-1].position) if page.events else start
        return Pulled(start=start, events=page.events, cursor=end)

    async def read_or_wait(self, client: str, after: Cursor | Start, limit: int, seconds: float) -> Pulled:
        """The same; where there is nothing, wait for it, so long at most. Raises Gone and TooMany."""
        pulled = await self.read(client, after, limit)
        if pulled.events or not seconds:
            return pulled
        with self._notifier.place(client):
            await self._notifier.event(client, pulled.cursor.position, seconds)
        return await self.read(client, pulled.cursor, limit)

    def headers(self, client: str, event: StoredEvent) -> Mapping[str, str]:
        """Signed at this moment: a receiver believes a signature for some minutes."""
        timestamp = self._clock.wall() // SECOND
        signature = self._signers[client].sign(event.event_id, timestamp, event.body)
        lines = notification_headers(event, timestamp, signature)
        return {name.decode(): value.decode() for name, value in lines}

    async def _page(self, client: str, after: int | None, limit: int) -> tuple[Page, int]:
        """With the name of the store, which whoever pulls first gives it."""
        page = await self._database.read(feeds.read, client, after, limit)
        while page.store is None:
            await self._database.write(schema.name_store, self._rng.getrandbits(STORE_BITS))
            page = await self._database.read(feeds.read, client, after, limit)
        return page, page.store


def _judge(after: Cursor, page: Page, store: int) -> None:
    oldest = Cursor(store=store, position=page.horizon).text
    if after.store != store:
        raise Gone(
            "the cursor is of another store than this one, which was restored or is new", oldest=oldest
        )
    if after.position < page.horizon:
        raise Gone("what comes next after the cursor was dropped by retention", oldest=oldest)
    if after.position > page.last:
        raise Gone("the cursor lies beyond the last event, of a store that has lost some", oldest=oldest)
