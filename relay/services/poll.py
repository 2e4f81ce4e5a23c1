"""Ask CAMB about the tasks that are due."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from relay.camb import CambClient
from relay.clock import Clock
from relay.domain.clients import Client
from relay.domain.instants import Instant, Span, seconds
from relay.domain.kinds import KINDS
from relay.domain.lanes import Budget, LaneName
from relay.domain.pacing import Pace
from relay.domain.tasks import PollAnswer, PollResult, TaskReport
from relay.domain.watching import Announced, Task
from relay.services.announcing import Announcing
from relay.services.spans import MOST_LINKS, keep_poll
from relay.services.work import LEASE_MARGIN, Work
from relay.storage import polls
from relay.storage.committer import Committer
from relay.storage.engine import Database
from relay.storage.polls import ClaimedPoll, KeyRoom, PollClaim, PollOutcome, RecordedPoll
from relay.storage.queue import TASKS, Claim
from relay.telemetry import Metrics

MOST_WORDS: Final = 100
LONGEST_WORD: Final = 100

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class PollPolicy:
    """`paces` are by kind; `deadline` is one status request's; what may run at once is this process's."""

    paces: Mapping[str, Pace]
    budget: Budget
    deadline: Span
    concurrency: int
    concurrency_per_key: int
    quantum: int


class Polling(Work[ClaimedPoll]):
    def __init__(
        self,
        database: Database,
        camb: CambClient,
        committer: Committer[PollOutcome, RecordedPoll],
        *,
        clients: Mapping[str, Client],
        policy: PollPolicy,
        announcing: Announcing,
        clock: Clock,
        metrics: Metrics,
        rng: random.Random,
    ) -> None:
        super().__init__("tasks", clock=clock, metrics=metrics, concurrency=policy.concurrency)
        self._database = database
        self._camb = camb
        self._committer = committer
        self._clients = clients
        self._lanes = {name: client.key_lane for name, client in clients.items()}
        self._policy = policy
        self._announcing = announcing
        self._rng = rng
        self._tracer = announcing.tracer
        self._words: set[str] = set()
        for kind in KINDS:  # what begins with its first increase seems never to have increased
            metrics.polls.labels(kind, PollResult.UNAUTHORIZED)

    def _may_claim(self) -> bool:
        return not self._draining and not self._committer.stuck

    async def _claim(self, free: int) -> Claim[ClaimedPoll]:
        now = self._clock.now()
        wanted = PollClaim(
            now=now,
            answer_by=Instant(now + self._policy.deadline),
            leased_until=Instant(now + self._policy.deadline + LEASE_MARGIN),
            keys={name: KeyRoom(lane=lane, slots=self._slots(lane)) for name, lane in self._lanes.items()},
            budget=self._policy.budget,
            free=free,
            quantum=self._policy.quantum,
            last=self._last,
            traces=1 + MOST_LINKS if self._tracer.on else 0,
        )
        return await self._database.write(polls.claim, wanted, self._look)

    def _slots(self, lane: LaneName) -> int:
        return max(0, self._policy.concurrency_per_key - self._per_lane[lane])

    async def _work(self, row: ClaimedPoll) -> None:
        now = self._clock.now()
        if self._draining or now + self._policy.deadline > row.leased_until:
            await self._database.write(TASKS.release, [row.held], now)
            return
        client = self._clients[row.client]
        poll = await self._camb.status(
            client.camb_base_url, client.camb_api_key, KINDS[row.kind], row.task_id
        )
        place = keep_poll(self._tracer, row, poll, client.camb_base_url)
        delay = self._policy.paces[row.kind].delay(poll.ended_at - row.paced_from, self._rng.random())
        outcome = PollOutcome(
            claimed=row, poll=poll, next_at=Instant(poll.ended_at + delay), base_url=client.camb_base_url
        )
        (recorded,) = await self._committer.submit([outcome])
        self._tell(outcome, recorded)
        self._announcing.tell(recorded.announced, place)

    def _tell(self, outcome: PollOutcome, recorded: RecordedPoll) -> None:
        row, answer, metrics = outcome.claimed, outcome.poll.answer, self._metrics
        metrics.polls.labels(row.kind, answer.result).inc()
        if answer.result in polls.PAUSING:
            metrics.lane_pauses.labels("key").inc()
        match answer.result:
            case PollResult.UNAUTHORIZED:
                _log.warning("poll.unauthorized", client=row.client, http_status=answer.http_status)
            case PollResult.RATE_LIMITED | PollResult.SERVER_ERROR | PollResult.UNREACHABLE:
                _log.info(
                    "poll.failed", client=row.client, result=answer.result, http_status=answer.http_status
                )
            case PollResult.UNKNOWN_STATUS:
                self._tell_unknown(answer)
            case _:
                pass
        if recorded.task is not None and isinstance(answer, TaskReport) and answer.ending is not None:
            self._tell_ended(recorded.task, answer, outcome.poll.ended_at, recorded.announced)

    def _tell_ended(
        self, task: Task, report: TaskReport, seen_at: Instant, announced: Sequence[Announced]
    ) -> None:
        if task.last_pending_at is not None:
            self._metrics.detection_window.observe(seconds(seen_at - task.last_pending_at))
        self._metrics.polls_saved.inc(max(0, len(announced) - 1) * task.polls)
        trace = next((each.trace for each in announced if each.trace is not None), None)
        log = _log if trace is None else _log.bind(trace_id=trace.trace_id)
        log.info(
            "task.ended",
            client=task.client,
            kind=task.kind,
            task_id=task.task_id,
            state=task.state,
            status=report.status,
            polls=task.polls,
            registrations=len(announced),
        )

    def _tell_unknown(self, answer: PollAnswer) -> None:
        """Once per word, for as many words as are worth remembering."""
        status = answer.status if isinstance(answer, TaskReport) else None
        word = None if status is None else status[:LONGEST_WORD]
        if word is not None and word not in self._words and len(self._words) < MOST_WORDS:
            self._words.add(word)
            self._metrics.unknown_statuses.inc()
            _log.warning("poll.unknown_status", status=word)
