"""What each client may still register, told at a glance: the database is asked when a count might refuse somebody."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from relay.clock import Clock
from relay.domain.allowances import Allowance, Spending
from relay.domain.errors import FieldError, InvalidInput, TooMany
from relay.domain.ids import Identity
from relay.domain.instants import SECOND, Instant, Span
from relay.storage import bounds
from relay.storage.engine import Database

COUNT_AGAIN: Final = Span(1 * SECOND)
"""How old a count may be that refuses: a client at its bound must not have the database count without end."""
LATER_SECONDS: Final = 10
"""When to try again where nobody knows when registrations will have stopped watching."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """`count` new registrations were found room for; those of the `refused` identities were not."""

    count: int
    refused: Collection[Identity] = ()


@dataclass(slots=True)
class _Known:
    """One client's: `watched` is the last count and what was made here since, `reserved` what is under way."""

    spending: Spending = field(default_factory=Spending)
    watched: int = 0
    reserved: int = 0
    counted_at: Instant | None = None
    counting: asyncio.Lock = field(default_factory=asyncio.Lock)

    def room(self, most: int) -> int:
        return 0 if self.counted_at is None else most - self.watched - self.reserved


class Allowing:
    """Each process keeps accounts of its own: each allows the whole minute, and beside others a few more that watch."""

    def __init__(self, database: Database, allowances: Mapping[str, Allowance], *, clock: Clock) -> None:
        self._database = database
        self._allowances = allowances
        self._clock = clock
        self._known = {client: _Known() for client in allowances}

    def spend(self, client: str, count: int) -> None:
        """Raises TooMany where that is more than the minute allows, InvalidInput where it always would be."""
        known, per_minute = self._known[client], self._allowances[client].registrations_per_minute
        if count > per_minute:
            rule = f"must be at most {per_minute}: that is what this client may register in a minute"
            raise InvalidInput(FieldError(field="registrations", rule=rule))
        now = self._clock.now()
        wait = known.spending.wait(count, per_minute, now)
        if wait:
            raise TooMany(
                f"this client may register {per_minute} times a minute (registrations_per_minute); nothing was stored",
                retry_after=-(-wait // SECOND),
            )
        known.spending = known.spending.spend(count, per_minute, now)

    async def reserve(self, client: str, identities: Sequence[Identity]) -> Reservation:
        """Find room for what may be new; what stands already needs none. To be settled, whatever comes of it."""
        known, most = self._known[client], self._allowances[client].max_watched
        if known.room(most) < len(identities):
            async with known.counting:
                await self._count(client, known, most)
                return await self._squeeze(known, most, identities)
        known.reserved += len(identities)
        return Reservation(count=len(identities))

    def settle(self, client: str, reservation: Reservation, made: int) -> None:
        """`made` registrations watch that were reserved room for, or may watch for all one knows."""
        known = self._known[client]
        known.reserved -= reservation.count
        known.watched += made

    def too_many_watched(self, client: str) -> TooMany:
        return TooMany(
            f"{self._allowances[client].max_watched} registrations of this client watch (max_watched); nothing was stored:"
            " cancel some, or wait until tasks have ended",
            retry_after=LATER_SECONDS,
        )

    async def _count(self, client: str, known: _Known, most: int) -> None:
        now = self._clock.now()
        if known.counted_at is None or now >= known.counted_at + COUNT_AGAIN:
            known.watched = await self._database.read(bounds.count_watching, client, most)
            known.counted_at = now

    async def _squeeze(self, known: _Known, most: int, identities: Sequence[Identity]) -> Reservation:
        """The first that are new, as many as there is room for."""
        wanted = dict.fromkeys(identities)
        stand = (
            await self._database.read(bounds.standing, wanted) if known.room(most) < len(wanted) else set()
        )
        new = [identity for identity in wanted if identity not in stand]
        room = max(0, known.room(most))
        reserved = min(room, len(new))
        known.reserved += reserved
        return Reservation(count=reserved, refused=frozenset(new[room:]))
