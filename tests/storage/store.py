"""One migrated database of either kind, with the relay's own verbs on it in the fewest words."""

import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Concatenate, Literal, ParamSpec, TypeVar

from sqlalchemy import Connection, text

from relay.domain.deliveries import Accepted, Attempt, Dead, Decision, Delivered, Outcome, Retry, RetryPolicy
from relay.domain.ids import RegistrationId, registration_id
from relay.domain.instants import DAY, MILLISECOND, MINUTE, SECOND, Instant, Span
from relay.domain.lanes import Budget, LaneName, SlotPolicy, key_lane
from relay.domain.registrations import Format, Registration
from relay.domain.tasks import Poll, PollAnswer, PollResult, TaskReport, UpstreamError, parse_report
from relay.domain.watching import LostRule
from relay.storage import attempts, deliveries, expiry, polls, registrations, views
from relay.storage.attempts import AttemptOutcome, RecordedAttempt
from relay.storage.deliveries import ClaimedDelivery, DeliveryClaim
from relay.storage.engine import Database, open_database
from relay.storage.look import Look
from relay.storage.polls import ClaimedPoll, KeyRoom, PollClaim, PollOutcome, RecordedPoll
from relay.storage.queue import Claim
from relay.storage.registrations import Created, Refused, Registered
from relay.storage.views import RegistrationView
from tests.storage.hand_time import HandTime

P = ParamSpec("P")
T = TypeVar("T")
Backend = Literal["sqlite", "postgres"]

BASE_URL = "https://camb.example/apis"
BASE_URLS = dict.fromkeys(("shop", "bank", "gone"), BASE_URL)
HOOK = "https://hooks.example"
LANE = key_lane(BASE_URL, "key")
LEASE = Span(25 * SECOND)
DEADLINE = Span(10 * SECOND)
PLENTY = Budget(rate=1_000, burst=1_000)
RETRY_POLICY = RetryPolicy(
    schedule=(Span(MINUTE),),
    jitter=0,
    retry_after_ceiling=Span(7 * DAY),
    pause_without_retry_after=Span(5 * SECOND),
)
SLOTS = SlotPolicy(most=8, first_pause=Span(5 * SECOND), longest_pause=Span(5 * MINUTE), patience=Span(DAY))
LOST = LostRule(answers=3, grace=Span(10 * MINUTE))

NOT_FOUND = UpstreamError(result=PollResult.NOT_FOUND, http_status=404)
SERVER_ERROR = UpstreamError(result=PollResult.SERVER_ERROR, http_status=500)
UNREACHABLE = UpstreamError(result=PollResult.UNREACHABLE)


def report(body: bytes) -> TaskReport:
    found = parse_report(body)
    assert found is not None
    return found


PENDING = report(b'{"status":"PENDING"}')
SUCCESS = report(b'{"status":"SUCCESS","run_id":7}')
ERROR = report(b'{"status":"ERROR","exception_reason":"no voice"}')


@dataclass(slots=True)
class Store:
    database: Database
    time: HandTime
    backend: Backend
    url: str
    look: Look = field(default_factory=Look)
    """The poller's; another process has another one."""
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def now(self) -> Instant:
        return self.time.now

    @asynccontextmanager
    async def another_process(self) -> AsyncIterator["Store"]:
        """The same database through connections of its own."""
        other = Store(
            open_database(self.url, self.time.clock, pool_size=4), self.time, self.backend, self.url
        )
        try:
            yield other
        finally:
            await other.database.close()

    async def write(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self.database.write(work, *args, **kwargs)

    async def run(self, sql: str, **values: object) -> None:
        await self.database.write(lambda connection: connection.execute(text(sql), values))

    async def rows(self, sql: str, **values: object) -> list[tuple[object, ...]]:
        return await self.database.read(
            lambda connection: list(map(tuple, connection.execute(text(sql), values)))
        )

    async def value(self, sql: str, **values: object) -> object:
        ((value,),) = await self.rows(sql, **values)
        return value

    # Registrations

    def wanted(
        self,
        task_id: str = "t-1",
        *,
        client: str = "shop",
        kind: str = "tts",
        hook: str = "/a",
        origin: str = HOOK,
        metadata: bytes = b"{}",
        expires_in: int | None = None,
        format_: Format = Format.STANDARD,
        lasts: int = DAY,
    ) -> Registration:
        now = self.now
        return Registration(
            id=registration_id(now, next(self.numbers)),
            client=client,
            kind=kind,
            task_id=task_id,
            callback_url=origin + hook,
            origin=origin,
            format=format_,
            metadata=metadata,
            expires_in=expires_in,
            created_at=now,
            expires_at=Instant(now + (lasts if expires_in is None else expires_in * SECOND)),
        )

    def pulled(self, task_id: str = "t-1", *, client: str = "shop", lasts: int = DAY) -> Registration:
        """Wanted, without a callback."""
        return replace(self.wanted(task_id, client=client, lasts=lasts), callback_url=None, origin=None)

    async def register(self, *wanted: Registration) -> list[Registered]:
        return await self.write(registrations.register, wanted, BASE_URLS)

    async def accept(self, wanted: Registration) -> Registration:
        """Register what nothing stands in the way of."""
        (registered,) = await self.register(wanted)
        assert isinstance(registered, Created)
        return registered.registration

    async def cancel(self, id_: RegistrationId, client: str = "shop") -> Refused | None:
        return await self.write(registrations.cancel, client, id_, self.now)

    async def redeliver(self, id_: RegistrationId, client: str = "shop") -> Refused | None:
        return await self.write(registrations.redeliver, client, id_, self.now)

    async def expire(self, *clients: str) -> tuple[int, int]:
        """How many were taken up, and how many of them expired."""
        taken, expired = await self.write(expiry.expire, clients or ("shop",), self.now, 500)
        return taken, len(expired)

    async def view(self, registration: Registration) -> RegistrationView:
        return await self.database.read(views.get, registration.client, registration.id)

    # Polls

    def poll_claim(
        self,
        *,
        keys: Mapping[str, KeyRoom] | None = None,
        budget: Budget = PLENTY,
        free: int = 100,
        quantum: int = 50,
        last: LaneName | None = None,
    ) -> PollClaim:
        return PollClaim(
            now=self.now,
            answer_by=Instant(self.now + DEADLINE),
            leased_until=Instant(self.now + LEASE),
            keys={"shop": KeyRoom(lane=LANE, slots=100)} if keys is None else keys,
            budget=budget,
            free=free,
            quantum=quantum,
            last=last,
        )

    async def claim_polls(self, wanted: PollClaim | None = None) -> Claim[ClaimedPoll]:
        return await self.write(polls.claim, wanted or self.poll_claim(), self.look)

    async def claimed_poll(self) -> ClaimedPoll:
        (row,) = (await self.claim_polls()).rows
        return row

    def polled(
        self,
        claimed: ClaimedPoll,
        answer: PollAnswer,
        *,
        begun_at: Instant | None = None,
        ended_at: Instant | None = None,
        again_in: int = 10 * SECOND,
    ) -> PollOutcome:
        ended = self.now if ended_at is None else ended_at
        return PollOutcome(
            claimed=claimed,
            poll=Poll(begun_at=ended if begun_at is None else begun_at, ended_at=ended, answer=answer),
            next_at=Instant(ended + again_in),
            base_url=BASE_URL,
        )

    async def record_polls(self, *outcomes: PollOutcome, lost: LostRule = LOST) -> list[RecordedPoll]:
        return await self.write(polls.record, outcomes, lost)

    async def answered(self, answer: PollAnswer, *, begun_at: Instant | None = None) -> RecordedPoll:
        """Claim the one task that is due and record `answer`."""
        claimed = await self.claimed_poll()
        (recorded,) = await self.record_polls(self.polled(claimed, answer, begun_at=begun_at))
        return recorded

    async def end_all(self, answer: PollAnswer = SUCCESS) -> None:
        """Record `answer` for every task that is due, whoever's it is."""
        keys = {name: KeyRoom(lane=LANE, slots=1_000) for name in BASE_URLS}
        claim = await self.claim_polls(self.poll_claim(keys=keys, free=1_000, quantum=100))
        await self.record_polls(*(self.polled(row, answer) for row in claim.rows))

    # Deliveries

    def delivery_claim(
        self,
        *,
        clients: Sequence[str] = ("shop",),
        busy: Mapping[LaneName, int] | None = None,
        slots_per_lane: int = 8,
        free: int = 100,
        quantum: int = 50,
        last: LaneName | None = None,
    ) -> DeliveryClaim:
        return DeliveryClaim(
            now=self.now,
            answer_by=Instant(self.now + DEADLINE),
            leased_until=Instant(self.now + LEASE),
            clients=clients,
            busy=busy or {},
            slots_per_lane=slots_per_lane,
            free=free,
            quantum=quantum,
            last=last,
        )

    async def claim_deliveries(self, wanted: DeliveryClaim | None = None) -> Claim[ClaimedDelivery]:
        return await self.write(deliveries.claim, wanted or self.delivery_claim(), Look())

    async def claimed_delivery(self) -> ClaimedDelivery:
        (row,) = (await self.claim_deliveries()).rows
        return row

    def tried(
        self,
        claimed: ClaimedDelivery,
        outcome: Outcome,
        decision: Decision | None = None,
        *,
        answer: bytes = b"",
        began_ago: int = 3 * MILLISECOND,
    ) -> AttemptOutcome:
        """An attempt that has just ended; a failed one is due again after a minute unless `decision` says more."""
        took = Span(began_ago)
        attempt = Attempt(started_at=Instant(self.now - took), duration=took, outcome=outcome, answer=answer)
        if decision is None:
            decision = Delivered() if isinstance(outcome, Accepted) else Retry(at=Instant(self.now + MINUTE))
        return AttemptOutcome(
            claimed=claimed, attempt=attempt, decision=decision, word=RETRY_POLICY.word(attempt)
        )

    async def record_attempts(self, *outcomes: AttemptOutcome) -> list[RecordedAttempt]:
        return await self.write(attempts.record, outcomes, SLOTS)

    async def attempted(self, outcome: Outcome, decision: Decision | None = None) -> RecordedAttempt:
        """Claim the one delivery that is due and record what became of it."""
        claimed = await self.claimed_delivery()
        (recorded,) = await self.record_attempts(self.tried(claimed, outcome, decision))
        return recorded

    async def delivering(self, wanted: Registration | None = None) -> Registration:
        """A registration whose task has succeeded and whose delivery is due."""
        registration = await self.accept(wanted or self.wanted())
        await self.answered(SUCCESS)
        return registration

    async def delivered(self, wanted: Registration | None = None) -> Registration:
        registration = await self.delivering(wanted)
        await self.attempted(Accepted(http_status=200))
        return registration

    async def dead(self, reason: Dead, outcome: Outcome, wanted: Registration | None = None) -> Registration:
        registration = await self.delivering(wanted)
        await self.attempted(outcome, reason)
        return registration
