"""POST what is due to its callback, and walk the schedule until it is accepted."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, assert_never

import structlog

from relay.clock import Clock
from relay.domain.clients import Client
from relay.domain.deliveries import Attempt, Dead, DeadReason, Delivered, Retry, RetryPolicy
from relay.domain.envelope import test_body
from relay.domain.errors import Overloaded
from relay.domain.ids import RANDOM_BITS, EventId, test_event_id
from relay.domain.instants import MILLISECOND, SECOND, Instant, Span, seconds, text
from relay.domain.lanes import origin_lane
from relay.domain.registrations import EventType
from relay.domain.urls import CallbackUrl, parse_callback_url
from relay.services.spans import keep_attempt
from relay.services.tally import Tallying
from relay.services.work import LEASE_MARGIN, Work
from relay.storage import deliveries
from relay.storage.attempts import AttemptOutcome, RecordedAttempt
from relay.storage.committer import Committer
from relay.storage.deliveries import ClaimedDelivery, DeliveryClaim
from relay.storage.engine import Database
from relay.storage.queue import DELIVERIES, Claim
from relay.telemetry import Metrics
from relay.tracing.tracer import Tracer
from relay.webhook.sender import Message, Sender

MOST_TESTS: Final = 16
"""A client's tests at once, to however many origins: they take slots that deliveries need."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPolicy:
    """`deadline` is one attempt's; what may run at once is this process's, an origin being one client's."""

    retry: RetryPolicy
    deadline: Span
    concurrency: int
    concurrency_per_origin: int
    quantum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """A test as it was sent, and what came of it; `timestamp` is in Unix seconds."""

    event: EventId
    timestamp: int
    body: bytes
    attempt: Attempt


class Delivering(Work[ClaimedDelivery]):
    def __init__(
        self,
        database: Database,
        sender: Sender,
        committer: Committer[AttemptOutcome, RecordedAttempt],
        *,
        clients: Mapping[str, Client],
        policy: DeliveryPolicy,
        clock: Clock,
        metrics: Metrics,
        rng: random.Random,
        tracer: Tracer,
        tally: Tallying,
    ) -> None:
        super().__init__("deliveries", clock=clock, metrics=metrics, concurrency=policy.concurrency)
        self._database = database
        self._sender = sender
        self._committer = committer
        self._clients = clients
        self._policy = policy
        self._rng = rng
        self._tracer = tracer
        self._tally = tally
        self._tests: Counter[str] = Counter()
        for reason in DeadReason:  # what begins with its first increase seems never to have increased
            metrics.dead.labels(reason)

    @contextmanager
    def place_for_test(self, client: Client) -> Iterator[None]:
        """One of the client's, from before the name is looked up until there is an answer. Raises Overloaded."""
        if self._tests[client.name] >= MOST_TESTS:
            raise Overloaded("your other tests are not answered yet; try again in a moment")
        self._tests[client.name] += 1
        try:
            yield
        finally:
            self._tests[client.name] -= 1

    async def test(self, client: Client, url: CallbackUrl) -> Tested:
        """Send one signed `relay.test`, which is stored nowhere, takes a slot and moves no lane. Raises Overloaded."""
        lane = origin_lane(client.name, url.origin)
        if self._draining:
            raise Overloaded("the relay is stopping; try again in a moment")
        if self._per_lane[lane] >= self._policy.concurrency_per_origin:
            raise Overloaded("every slot of that callback's origin is taken; try again in a moment")
        now, timestamp = self._clock.now(), self._clock.wall() // SECOND
        event, body = test_event_id(now, self._rng.getrandbits(RANDOM_BITS)), test_body(now)
        self._per_lane[lane] += 1
        try:
            attempt = await self._sender.send(
                Message(
                    event_id=event,
                    registration_id=None,
                    task_id=None,
                    kind=None,
                    event_type=EventType.RELAY_TEST,
                    attempt=1,
                    url=url,
                    body=body,
                    client=client.name,
                    timestamp=timestamp,
                )
            )
        finally:
            self._leave(lane)
        _log.info("test.attempted", client=client.name, **_facts(attempt))
        return Tested(event=event, timestamp=timestamp, body=body, attempt=attempt)

    def _may_claim(self) -> bool:
        return not self._draining and not self._committer.stuck

    async def _claim(self, free: int) -> Claim[ClaimedDelivery]:
        now = self._clock.now()
        wanted = DeliveryClaim(
            now=now,
            answer_by=Instant(now + self._policy.deadline),
            leased_until=Instant(now + self._policy.deadline + LEASE_MARGIN),
            clients=self._clients.keys(),
            busy=dict(self._per_lane),  # a copy: the claim runs in another thread
            slots_per_lane=self._policy.concurrency_per_origin,
            free=free,
            quantum=self._policy.quantum,
            last=self._last,
        )
        return await self._database.write(deliveries.claim, wanted, self._look)

    async def _work(self, row: ClaimedDelivery) -> None:
        now = self._clock.now()
        if self._draining or now + self._policy.deadline > row.leased_until:
            await self._database.write(DELIVERIES.release, [row.held], now)
            return
        place = None if row.trace is None else self._tracer.below(row.trace)
        attempt = await self._sender.send(
            Message(
                event_id=row.event,
                registration_id=row.registration,
                task_id=row.task_id,
                kind=row.kind,
                event_type=row.type,
                attempt=row.number,
                url=parse_callback_url(row.callback_url),
                body=row.body,
                client=row.client,
                trace=place,
            )
        )
        keep_attempt(self._tracer, row, place, attempt)
        decision = self._policy.retry.decide(attempt, tries=row.failures + 1, chance=self._rng.random())
        word = self._policy.retry.word(attempt)
        outcome = AttemptOutcome(claimed=row, attempt=attempt, decision=decision, word=word)
        (recorded,) = await self._committer.submit([outcome])
        self._tell(outcome, recorded)

    def _tell(self, outcome: AttemptOutcome, recorded: RecordedAttempt) -> None:
        row, attempt, metrics = outcome.claimed, outcome.attempt, self._metrics
        metrics.attempts.labels(attempt.label).inc()
        self._tally.attempted(row.client, attempt)
        if not recorded.logged:
            metrics.attempt_logs_lost.inc()
        log = _log.bind(
            registration=row.registration,
            event_id=row.event,
            type=row.type,
            attempt=row.number,
            applied=recorded.applied,
            **_facts(attempt),
        )
        if row.trace is not None:
            log = log.bind(trace_id=row.trace.trace_id)
        if recorded.held_until is not None:
            metrics.lane_pauses.labels("origin").inc()
            log = log.bind(origin_held_until=text(recorded.held_until))
        match outcome.decision:
            case Delivered():
                if recorded.applied:
                    latency = attempt.ended_at - row.announced_at
                    metrics.delivery_latency.observe(seconds(latency))
                    self._tally.delivered(row.client, latency, attempt.ended_at)
                log.info("delivery.attempted")
            case Retry(at=at):
                log.info("delivery.attempted", next_at=text(at))
            case Dead(reason=reason):
                if recorded.applied:
                    metrics.dead.labels(reason).inc()
                log.error("delivery.attempted", dead=reason)
            case _:
                assert_never(outcome.decision)


def _facts(attempt: Attempt) -> dict[str, object]:
    return {
        "outcome": attempt.label,
        "http_status": attempt.http_status,
        "error": attempt.error,
        "duration_ms": attempt.duration // MILLISECOND,
    }
