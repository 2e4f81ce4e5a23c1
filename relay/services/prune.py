"""Keep the house: drop what is over, give up what nobody will take, and heal what must never be."""

from collections.abc import Mapping
from typing import Final

import structlog

from relay.clock import Clock
from relay.domain.clients import Client
from relay.domain.deliveries import DeadReason
from relay.domain.errors import DatabaseUnavailable
from relay.domain.instants import HOUR, Instant, Span
from relay.domain.registrations import RegistrationState
from relay.domain.rollups import ChartSpan
from relay.storage import giving_up, lanes, replays, retention, rollups, schema
from relay.storage.engine import Database
from relay.telemetry import Metrics

PRUNE_SECONDS: Final = 60
MOST_AT_ONCE: Final = 500
LANE_KEPT: Final = HOUR

_FINISHED: Final = (RegistrationState.DELIVERED, RegistrationState.AVAILABLE, RegistrationState.CANCELLED)

_log = structlog.get_logger()


class Pruning:
    """`finished` and `dead` are how long such registrations are kept; None is for ever.

    `patience` is how long a delivery that was tried is due, at an origin that fails all the while, before it is given up.
    """

    def __init__(
        self,
        database: Database,
        *,
        clients: Mapping[str, Client],
        finished: Span,
        dead: Span | None,
        patience: Span,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._clients = clients
        self._finished = finished
        self._dead = dead
        self._patience = patience
        self._clock = clock
        self._metrics = metrics

    async def run_once(self) -> None:
        """Drop and heal. While the clock is not believed nothing is dropped."""
        try:
            await self._heal()
            await self._database.write(schema.note_seen, self._clock.now())
            if self._clock.halted:
                return
            await self._give_up()
            for state in _FINISHED:
                await self._drop(state, self._finished)
            if self._dead is not None:
                await self._drop(RegistrationState.DEAD, self._dead)
            await self._drop_replays()
            for span in ChartSpan:
                await self._drop_rollups(span)
            await self._database.write(lanes.forget, Instant(self._clock.now() - LANE_KEPT))
        except DatabaseUnavailable as error:
            _log.warning("prune.failed", error=str(error))

    async def _drop(self, state: RegistrationState, kept: Span) -> None:
        before = Instant(self._clock.now() - kept)
        while await self._database.write(retention.prune, state, before, MOST_AT_ONCE) >= MOST_AT_ONCE:
            pass

    async def _give_up(self) -> None:
        before = Instant(self._clock.now() - self._patience)
        more = True
        while more:
            given_up = await self._database.write(
                giving_up.give_up, self._clients.keys(), before, self._clock.now(), MOST_AT_ONCE
            )
            more = len(given_up) >= MOST_AT_ONCE
            self._metrics.dead.labels(DeadReason.EXHAUSTED).inc(len(given_up))
            for registration in given_up:
                _log.error("delivery.given_up", registration=registration, dead=DeadReason.EXHAUSTED)

    async def _drop_replays(self) -> None:
        before = Instant(self._clock.now() - self._finished)
        for replay in await self._database.read(replays.find_over, before):
            while await self._database.write(replays.drop, replay, MOST_AT_ONCE):
                pass
        for replay in await self._database.read(replays.find_crowded):
            while await self._database.write(replays.trim, replay, MOST_AT_ONCE):
                pass

    async def _drop_rollups(self, span: ChartSpan) -> None:
        # A slot longer than counts are added for: nobody locks any more what is dropped here.
        before = Instant(self._clock.now() - span.kept - span.slot)
        while await self._database.write(rollups.prune, span, before, MOST_AT_ONCE) >= MOST_AT_ONCE:
            pass

    async def _heal(self) -> None:
        base_urls = {name: client.camb_base_url for name, client in self._clients.items()}
        healed = await self._database.write(retention.heal, base_urls)
        self._metrics.watching_under_terminal.set(healed)
        if healed:
            _log.error("watching_under_terminal.healed", registrations=healed)
        strays = await self._database.write(
            retention.publish_strays, self._clients.keys(), self._clock.now(), MOST_AT_ONCE
        )
        if strays:
            _log.info("delivery_without_callback.healed", registrations=strays)
