"""The composition root: every object is built once, opened and closed in order."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from relay import __version__
from relay.api.health import Health
from relay.api.keys import Keys
from relay.api.middleware import RequestContext
from relay.api.origins import Origins
from relay.api.problems import on_http_error, on_relay_error
from relay.api.registrations import Registrations
from relay.api.replays import ReplayCalls
from relay.api.requests import Callers
from relay.api.routes import operations_routes, public_routes
from relay.api.tests import TestNotifications
from relay.camb import CambClient
from relay.clock import Clock
from relay.domain.errors import DatabaseUnavailable, RelayError
from relay.domain.ids import RANDOM_BITS, uuid7_hex
from relay.domain.instants import Instant, seconds, span_of
from relay.domain.registrations import Registration
from relay.outside import Outside
from relay.policies import (
    delivery_policy,
    longest_waits,
    lost_rule,
    network_policy,
    poll_policy,
    retry_policy,
    slot_policy,
)
from relay.scheduler import Scheduler
from relay.services.allow import Allowing
from relay.services.deliver import Delivering
from relay.services.expire import Expiring
from relay.services.measure import Measuring
from relay.services.poll import Polling
from relay.services.prune import Pruning
from relay.services.read import Reading
from relay.services.register import Registering, Wakes
from relay.services.replay import Replaying, Replays
from relay.services.work import Work
from relay.settings import Settings
from relay.storage import attempts, polls, queue, registrations, schema
from relay.storage.attempts import AttemptOutcome, RecordedAttempt
from relay.storage.committer import Committer
from relay.storage.engine import open_database
from relay.storage.filelock import FileLock
from relay.storage.polls import PollOutcome, RecordedPoll
from relay.storage.registrations import Registered
from relay.telemetry import Metrics
from relay.webhook.guard import Guard
from relay.webhook.sender import Sender

PROBE_SECONDS: Final = 1.0
PRUNE_SECONDS: Final = 60.0
MEASURE_SECONDS: Final = 10.0
MOST_WAITING: Final = 20_000
"""Registrations that may wait for their commit before the API answers 503."""

_log = structlog.get_logger()


class Relay:
    """One process: open it, serve `create_app` of it, close it."""

    def __init__(
        self,
        settings: Settings,
        outside: Outside,
        *,
        clock: Clock,
        rng: random.Random,
        accept_clock: bool = False,
    ) -> None:
        self.settings = settings
        self.clients = settings.clients_by_name()
        self.clock = clock
        self.metrics = Metrics()
        self.draining = False
        self._drain_until = Instant(0)
        self._outside = outside
        self._accept_clock = accept_clock
        self._closing = AsyncExitStack()
        self._scheduler = Scheduler(self.metrics)
        self.database = open_database(
            settings.database.url.get_secret_value(), clock, pool_size=settings.database.pool_size
        )
        self._file_lock = None if settings.database.file is None else FileLock(settings.database.file)
        self.guard = Guard(network_policy(settings), outside.lookup)
        base_urls = {name: client.camb_base_url for name, client in self.clients.items()}
        lost = lost_rule(settings)
        commit = partial(Committer, database=self.database, clock=clock, metrics=self.metrics)
        self._accepted: Committer[Registration, Registered] = commit(
            "registrations",
            write=partial(registrations.register, base_urls=base_urls),
            keeps=False,
            capacity=MOST_WAITING,
        )
        self._polled: Committer[PollOutcome, RecordedPoll] = commit(
            "polls", write=partial(polls.record, lost=lost), keeps=True
        )
        self._attempted: Committer[AttemptOutcome, RecordedAttempt] = commit(
            "attempts", write=partial(attempts.record, slots=slot_policy(settings)), keeps=True
        )
        self.new_request_id = partial(_request_id, clock, rng)
        works_here = settings.role != "api"
        self.delivering = self._build_delivering(rng)
        self.polling = self._build_polling(rng)
        self.works: tuple[Work[Any], ...] = (self.polling, self.delivering) if works_here else ()
        due = self.polling.wake if works_here else _somebody_else
        announced = self.delivering.wake if works_here else _somebody_else
        self.registering = Registering(
            self.database,
            self._accepted,
            self.guard,
            Allowing(self.database, settings.allowances_by_name(), clock=clock),
            expires_in=span_of(settings.registrations.expires_in),
            wakes=Wakes(due=due, announced=announced),
            clock=clock,
            metrics=self.metrics,
            rng=rng,
        )
        self.reading = Reading(
            self.database,
            clients=self.clients,
            retry=retry_policy(settings),
            slots=settings.delivery.concurrency_per_origin,
            lost=lost,
            clock=clock,
        )
        self.expiring = Expiring(
            self.database,
            clients=self.clients.keys(),
            due=due,
            announced=announced,
            clock=clock,
            metrics=self.metrics,
        )
        self.replays = Replays(self.database, clock=clock, rng=rng)
        self.replaying = Replaying(
            self.database,
            clients=self.clients.keys(),
            announced=announced,
            clock=clock,
            metrics=self.metrics,
        )
        dead = settings.retention.dead
        self.pruning = Pruning(
            self.database,
            clients=self.clients,
            finished=span_of(settings.retention.finished),
            dead=None if dead is None else span_of(dead),
            patience=retry_policy(settings).patience,
            clock=clock,
            metrics=self.metrics,
        )
        self.measuring = Measuring(self.database, clients=self.clients, clock=clock, metrics=self.metrics)

    async def __aenter__(self) -> Self:
        """Open everything in order. Raises DatabaseUnavailable, SchemaMismatch among it."""
        async with AsyncExitStack() as opened:
            opened.callback(self._outside.close)
            if self._file_lock is not None:
                self._file_lock.acquire()
                opened.callback(self._file_lock.release)
            opened.push_async_callback(self.database.close)
            await self._prepare_database()
            opened.push_async_callback(self._note_seen)
            for transport in (self._outside.camb, self._outside.callbacks):
                await opened.enter_async_context(transport)
            for committer in self._committers:
                committer.open()
            opened.push_async_callback(self._close_committers)
            self._start_jobs()
            opened.callback(self._scheduler.shutdown)
            self._closing = opened.pop_all()
        _log.info(
            "relay.started",
            version=__version__,
            role=self.settings.role,
            database=self.settings.database.dialect,
            clients=len(self.clients),
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Drain, then close in the opposite order. What could not be written is brought back by its lease."""
        await self.drain()
        await self._closing.aclose()
        _log.info("relay.stopped")

    @property
    def _committers(self) -> tuple[Committer[Any, Any], ...]:
        return (self._accepted, self._polled, self._attempted)

    async def _close_committers(self) -> None:
        await asyncio.gather(*(committer.close() for committer in self._committers))

    def begin_drain(self) -> None:
        """Not ready any more, and nothing is claimed from here on."""
        if self.draining:
            return
        self.draining = True
        self._drain_until = Instant(self.clock.now() + span_of(self.settings.server.drain))
        self._scheduler.pause()
        for work in self.works:
            work.stop_claiming()
        self.replaying.stop()

    async def drain(self) -> None:
        """Let what is under way finish, within the drain."""
        self.begin_drain()
        await self._scheduler.drain(self._drain_left())
        await asyncio.gather(*(work.drain(self._drain_left) for work in self.works))

    def _drain_left(self) -> float:
        return seconds(max(0, self._drain_until - self.clock.now()))

    async def probe(self) -> None:
        """Read the reference clock, and with it ask whether the database answers."""
        try:
            await self.database.probe()
            reference = await self.database.reference_time()
        except DatabaseUnavailable as error:
            _log.warning("database.unavailable", error=str(error))
            return
        before = self.clock.halted
        self.clock.follow(reference)
        self.metrics.clock_skew.set(seconds(self.clock.skew))
        self.metrics.clock_halted.set(self.clock.halted)
        if self.clock.halted and not before:
            _log.error(
                "clock.halted",
                skew_seconds=seconds(self.clock.skew),
                halted="expiry and prune",
                remedy="set the clock right, or restart with `relay serve --accept-clock`",
            )
        elif before and not self.clock.halted:
            _log.warning("clock.believed_again")

    async def _prepare_database(self) -> None:
        if self._file_lock is not None or self.settings.database.migrate_at_start:
            await self.database.write(schema.migrate)
        await self.database.read(schema.check)
        last_seen = None if self._accept_clock else await self.database.read(schema.seen_at)
        self.clock.begin(await self.database.reference_time(), last_seen)
        if self.works:
            alone = self._file_lock is not None
            await self.database.write(
                queue.begin, self.clock.now(), longest_waits(self.settings), last_seen, alone=alone
            )
            await self._note_seen()

    async def _note_seen(self) -> None:
        """When a worker was last alive is what the next start holds its clock against."""
        if self.works:
            with suppress(DatabaseUnavailable):
                await self.database.write(schema.note_seen, self.clock.now())

    def _start_jobs(self) -> None:
        self._scheduler.every(PROBE_SECONDS, "probe", self.probe)
        tick = self.settings.polling.tick.total_seconds()
        for work in self.works:
            self._scheduler.every(tick, work.name, work.run_once)
            work.wake()
        if self.works:
            self._scheduler.every(tick, "expire", self.expiring.run_once)
            self._scheduler.every(tick, "replay", self.replaying.run_once)
            self._scheduler.every(PRUNE_SECONDS, "prune", self.pruning.run_once)
            self._scheduler.every(MEASURE_SECONDS, "measure", self.measuring.run_once)
        self._scheduler.start()

    def _build_polling(self, rng: random.Random) -> Polling:
        policy = poll_policy(self.settings)
        return Polling(
            self.database,
            CambClient(
                self._outside.camb,
                clock=self.clock,
                deadline=policy.deadline,
                answer_bytes=self.settings.camb.answer_bytes,
            ),
            self._polled,
            clients=self.clients,
            policy=policy,
            announced=self.delivering.wake,
            clock=self.clock,
            metrics=self.metrics,
            rng=rng,
        )

    def _build_delivering(self, rng: random.Random) -> Delivering:
        policy = delivery_policy(self.settings)
        return Delivering(
            self.database,
            Sender(
                self._outside.callbacks,
                clients=self.clients.values(),
                clock=self.clock,
                deadline=policy.deadline,
                answer_bytes=self.settings.delivery.answer_bytes,
            ),
            self._attempted,
            clients=self.clients,
            policy=policy,
            clock=self.clock,
            metrics=self.metrics,
            rng=rng,
        )


def create_app(relay: Relay) -> Starlette:
    """What the public port serves: a worker alone has nothing but its health there."""
    routes = [] if relay.settings.server.operations_port is not None else operations_routes(_health(relay))
    if relay.settings.role != "worker":
        callers = Callers(relay.clients)
        routes += public_routes(
            Registrations(callers, relay.registering, relay.reading),
            Origins(callers, relay.reading, slots=relay.settings.delivery.concurrency_per_origin),
            ReplayCalls(callers, relay.replays),
            TestNotifications(callers, relay.delivering, relay.guard),
            Keys(callers, relay.clients),
        )
    return _application(relay, routes)


def create_operations_app(relay: Relay) -> Starlette:
    """What `server.operations_port` serves."""
    return _application(relay, operations_routes(_health(relay)))


def _application(relay: Relay, routes: Sequence[Route]) -> Starlette:
    app = Starlette(
        routes=routes,
        middleware=[Middleware(RequestContext, new_id=relay.new_request_id)],
        exception_handlers={HTTPException: on_http_error, RelayError: on_relay_error},
    )
    # A redirect would name whatever host the request named, and a client that follows would hand it its token.
    app.router.redirect_slashes = False
    return app


def _health(relay: Relay) -> Health:
    tick = span_of(relay.settings.polling.tick)
    return Health(relay.database, relay.works, relay.metrics, relay.clock, lambda: relay.draining, tick=tick)


def _request_id(clock: Clock, rng: random.Random) -> str:
    return f"req_{uuid7_hex(clock.now(), rng.getrandbits(RANDOM_BITS))}"


def _somebody_else() -> None:
    """In the API's own process nothing is to be woken: a worker's tick finds the work."""
