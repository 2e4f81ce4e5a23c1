"""The composition root: every object is built once, opened and closed in order."""

import asyncio
import random
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import structlog

from relay import __version__, presence
from relay.camb import CambClient
from relay.clock import Clock
from relay.commits import Commits
from relay.domain.ids import RANDOM_BITS, uuid7_hex
from relay.domain.instants import Instant, seconds, span_of
from relay.outside import Outside
from relay.policies import delivery_policy, lost_rule, network_policy, poll_policy, retry_policy
from relay.scheduler import Scheduler
from relay.services.allow import Allowing
from relay.services.announcing import Announcing
from relay.services.deliver import Delivering
from relay.services.expire import Expiring
from relay.services.measure import Measuring
from relay.services.notify import Notifier
from relay.services.poll import Polling
from relay.services.probe import Probing
from relay.services.prune import PRUNE_SECONDS, Pruning
from relay.services.pull import Pulling
from relay.services.read import Reading
from relay.services.register import Registering, Wakes
from relay.services.replay import ReplayControl, Replaying
from relay.services.survey import Surveying
from relay.services.tally import Tallying
from relay.services.work import Work
from relay.settings import Settings
from relay.storage.engine import open_database
from relay.storage.filelock import FileLock
from relay.telemetry import Metrics
from relay.traces import Traces
from relay.webhook.guard import Guard
from relay.webhook.sender import Sender

PROBE_SECONDS: Final = 1.0
MEASURE_SECONDS: Final = 10.0
EXPORT_SECONDS: Final = 1.0
TALLY_SECONDS: Final = 10.0

_log = structlog.get_logger()


class Relay:
    """One process: open it, serve what `ports.py` makes of it, close it."""

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
        self.metrics.build_info.labels(__version__, settings.role).set(1)
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
        self.guard = Guard(network_policy(settings), outside.lookups)
        self.commits = Commits(settings, self.database, clock=clock, metrics=self.metrics)
        self.traces = Traces(settings, outside.collector, clock=clock, metrics=self.metrics, rng=rng)
        self.probing = Probing(self.database, clock=clock, metrics=self.metrics)
        self.tallying = Tallying(self.database, clock=clock)
        self.new_request_id = partial(_request_id, clock, rng)
        works_here = settings.role != "api"
        self.delivering = self._build_delivering(rng)
        announced = self.delivering.wake if works_here else _somebody_else
        self.announcing = Announcing(
            announced, metrics=self.metrics, tally=self.tallying, tracer=self.traces.tracer
        )
        self.polling = self._build_polling(rng)
        self.works: tuple[Work[Any], ...] = (self.polling, self.delivering) if works_here else ()
        due = self.polling.wake if works_here else _somebody_else
        self.registering = Registering(
            self.database,
            self.commits.accepted,
            self.guard,
            Allowing(self.database, settings.allowances_by_name(), clock=clock),
            expires_in=span_of(settings.registrations.expires_in),
            wakes=Wakes(due=due, announcing=self.announcing),
            clock=clock,
            metrics=self.metrics,
            rng=rng,
        )
        self.notifier = Notifier(self.database, metrics=self.metrics)
        self.reading = Reading(
            self.database,
            self.notifier,
            clients=self.clients,
            retry=retry_policy(settings),
            slots=settings.delivery.concurrency_per_origin,
            lost=lost_rule(settings),
            clock=clock,
        )
        self.pulling = Pulling(
            self.database, self.notifier, clients=self.clients.values(), clock=clock, rng=rng
        )
        self.expiring = Expiring(
            self.database,
            clients=self.clients.keys(),
            due=due,
            announcing=self.announcing,
            clock=clock,
        )
        self.replay_control = ReplayControl(self.database, clock=clock, rng=rng)
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
        self.surveying = Surveying(self.database, clients=self.clients, clock=clock)
        self.measuring = Measuring(self.database, clients=self.clients, clock=clock, metrics=self.metrics)

    async def __aenter__(self) -> Self:
        """Open everything in order. Raises DatabaseUnavailable, SchemaMismatch among it."""
        async with AsyncExitStack() as opened:
            opened.callback(self._outside.close)
            if self._file_lock is not None:
                self._file_lock.acquire()
                opened.callback(self._file_lock.release)
            opened.push_async_callback(self.database.close)
            await presence.begin(
                self.database,
                self.settings,
                self.clock,
                works=bool(self.works),
                accept_clock=self._accept_clock,
            )
            if self.works:
                opened.push_async_callback(presence.note_seen, self.database, self.clock)
            opened.push_async_callback(self.tallying.close)
            for transport in (self._outside.camb, self._outside.callbacks):
                await opened.enter_async_context(transport)
            await opened.enter_async_context(self.traces.open(self._drain_left))
            opened.push_async_callback(self.notifier.close)
            self.commits.open()
            opened.push_async_callback(self.commits.close)
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
        try:
            await self.drain()
        finally:
            await self._closing.aclose()
        _log.info("relay.stopped")

    def begin_drain(self) -> None:
        """Not ready any more, nothing is claimed from here on, and nobody waits for events."""
        if self.draining:
            return
        self.draining = True
        self._drain_until = Instant(self.clock.now() + span_of(self.settings.server.drain))
        self._scheduler.pause()
        for work in self.works:
            work.stop_claiming()
        self.replaying.stop()
        self.notifier.stop()

    def cut_short(self) -> None:
        """Drain for no longer. What was handed in is still committed; the rest is as after a crash, and loses nothing."""
        self.begin_drain()
        self._drain_until = self.clock.now()
        self._scheduler.cut_off()
        for work in self.works:
            work.cut_off()

    async def drain(self) -> None:
        """Let what is under way finish, within the drain."""
        self.begin_drain()
        await self._scheduler.drain(self._drain_left())
        await asyncio.gather(*(work.drain(self._drain_left) for work in self.works))

    def _drain_left(self) -> float:
        return seconds(max(0, self._drain_until - self.clock.now()))

    def _start_jobs(self) -> None:
        self._scheduler.every(PROBE_SECONDS, "probe", self.probing.run_once)
        self._scheduler.every(TALLY_SECONDS, "tally", self.tallying.run_once)
        if self.traces.exporter is not None:
            self._scheduler.every(EXPORT_SECONDS, "spans", self.traces.exporter.run_once)
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
            self.commits.polled,
            clients=self.clients,
            policy=policy,
            announcing=self.announcing,
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
            self.commits.attempted,
            clients=self.clients,
            policy=policy,
            clock=self.clock,
            metrics=self.metrics,
            rng=rng,
            tracer=self.traces.tracer,
            tally=self.tallying,
        )


def _request_id(clock: Clock, rng: random.Random) -> str:
    return f"req_{uuid7_hex(clock.now(), rng.getrandbits(RANDOM_BITS))}"


def _somebody_else() -> None:
    """In the API's own process nothing is to be woken: a worker's tick finds the work."""
