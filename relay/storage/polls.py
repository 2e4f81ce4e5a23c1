"""The poll's two transactions: claim what is due within the budgets, and record what the answers were."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from relay.domain.ids import TaskRef
from relay.domain.instants import DAY, Instant, Span
from relay.domain.lanes import Budget, Lane, LaneName
from relay.domain.registrations import EventType
from relay.domain.sharing import Rooms, share
from relay.domain.tasks import Poll, PollResult, TaskReport
from relay.domain.traces import TraceContext
from relay.domain.watching import Announced, LostRule, Task, Verdict, may_decide, verdict
from relay.storage import lanes, registrations, tasks, traces
from relay.storage.events import announce
from relay.storage.look import Look
from relay.storage.queue import TASKS, Claim, Held, Take, more_is_due

LONGEST_ASKED_PAUSE: Final = DAY
PAUSING: Final = frozenset(
    {
        PollResult.RATE_LIMITED,
        PollResult.SERVER_ERROR,
        PollResult.UNREACHABLE,
        PollResult.UNAUTHORIZED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRoom:
    """A client's CAMB key: the lane that holds its budget, and how many more requests this process may have open on it."""

    lane: LaneName
    slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PollClaim:
    """What one claim may take; `last` is the lane served last.

    A request that has no answer at `answer_by` gets none: until then, and no longer, a probe holds its key. The lease goes
    on beyond that, and whoever held it may be dead.
    """

    now: Instant
    answer_by: Instant
    leased_until: Instant
    keys: Mapping[str, KeyRoom]
    budget: Budget
    free: int
    quantum: int
    last: LaneName | None
    traces: int = 0
    """Of how many registrations of each task to tell the traces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedPoll:
    ref: TaskRef
    fence: int
    client: str
    kind: str
    task_id: str
    paced_from: Instant
    leased_until: Instant
    lane: LaneName
    probe: bool
    """The one request that a paused key is tried with."""
    traces: tuple[TraceContext, ...] = ()
    """Of those who wait for it and are traced, the oldest first; as many as the claim asked for."""

    @property
    def held(self) -> Held:
        return Held(key=self.ref, fence=self.fence)


@dataclass(frozen=True, slots=True, kw_only=True)
class PollOutcome:
    """A claimed poll that was made; the task is due again at `next_at` unless it ended."""

    claimed: ClaimedPoll
    poll: Poll
    next_at: Instant
    base_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPoll:
    """`task` is None where the claim had been lost, so that nothing was recorded."""

    task: Task | None
    announced: tuple[Announced, ...] = ()

    @property
    def types(self) -> tuple[EventType, ...]:
        return tuple(each.type for each in self.announced)


def claim(connection: Connection, wanted: PollClaim, look: Look) -> Claim[ClaimedPoll]:
    """Tokens are asked for before rows are taken, and spent in the same transaction: any number of processes share them."""
    found = TASKS.find(connection, wanted.now, look.floors(wanted.now)).due
    look.saw(found)
    due = {lane.lane: lane for lane in found if lane.lane in wanted.keys}
    if not due:
        return Claim(last=wanted.last)
    rooms = lanes.lock(connection, {wanted.keys[client].lane for client in due})
    slots = {wanted.keys[client].lane: wanted.keys[client].slots for client in due}
    shares = share(
        list(due),
        Rooms(
            by_group={
                name: min(lane.tokens(wanted.budget, wanted.now), slots[name]) for name, lane in rooms.items()
            },
            group_of=lambda client: wanted.keys[client].lane,
            free=wanted.free,
            quantum=wanted.quantum,
        ),
        last=wanted.last,
    )
    takes = [
        Take(lane=client, oldest=due[client].oldest, count=count) for client, count in shares.counts.items()
    ]
    rows = TASKS.claim(connection, takes, wanted.now, wanted.leased_until)
    traced = traces.watching(connection, {row.ref for row in rows}, wanted.traces)
    claimed = [
        ClaimedPoll(
            ref=row.ref,
            fence=row.fence,
            client=row.client,
            kind=row.kind,
            task_id=row.task_id,
            paced_from=row.paced_from,
            leased_until=wanted.leased_until,
            lane=wanted.keys[row.client].lane,
            probe=rooms[wanted.keys[row.client].lane].failures > 0,
            traces=traced.get(row.ref, ()),
        )
        for row in rows
    ]
    lanes.save(connection, _spent(rooms, claimed, wanted))
    taken = Counter(LaneName(poll.client) for poll in claimed)
    return Claim(rows=claimed, more=more_is_due(due, takes, taken), last=shares.last)


def record(connection: Connection, outcomes: Sequence[PollOutcome], lost: LostRule) -> list[RecordedPoll]:
    """Write down the answers of polls whose claim still stands, and announce what they decide."""
    before = tasks.lock(connection, {outcome.claimed.ref for outcome in outcomes})
    current: dict[TaskRef, tuple[Task, PollOutcome]] = {}
    deciding: set[TaskRef] = set()
    for outcome in outcomes:
        ref = outcome.claimed.ref
        task = before.get(ref)
        if task is None or task.fence != outcome.claimed.fence or task.leased_until is None or ref in current:
            continue
        current[ref] = (task.polled(outcome.poll, outcome.next_at), outcome)
        if may_decide(task, outcome.poll, lost):
            deciding.add(ref)
    known = tasks.payloads(connection, current.keys())
    verdicts, still_watched = _judge(connection, deciding, current, known, lost)
    after = {
        ref: task if ref in still_watched or ref not in deciding or task.next_at is None else task.left()
        for ref, (task, _) in current.items()
    }
    tasks.save(connection, after.values())
    tasks.keep_reports(
        connection,
        {
            ref: outcome.poll.answer
            for ref, (_, outcome) in current.items()
            if isinstance(outcome.poll.answer, TaskReport) and outcome.poll.answer.payload != known.get(ref)
        },
    )
    announce(connection, verdicts)
    _pause(connection, [outcome for _, outcome in current.values()])
    return _recorded(outcomes, after, current, verdicts)


def _spent(
    rooms: Mapping[LaneName, Lane], claimed: Sequence[ClaimedPoll], wanted: PollClaim
) -> Iterable[Lane]:
    counts: dict[LaneName, int] = defaultdict(int)
    for poll in claimed:
        counts[poll.lane] += 1
    hold = Span(wanted.answer_by - wanted.now)
    return [
        rooms[name].spend(count, wanted.budget, wanted.now, hold) for name, count in sorted(counts.items())
    ]


def _judge(
    connection: Connection,
    deciding: set[TaskRef],
    current: Mapping[TaskRef, tuple[Task, PollOutcome]],
    known: Mapping[TaskRef, bytes],
    lost: LostRule,
) -> tuple[list[Verdict], set[TaskRef]]:
    """The verdicts on those who watch the deciding tasks, and the tasks of those who go on watching."""
    verdicts: list[Verdict] = []
    still_watched: set[TaskRef] = set()
    for watcher in registrations.lock_watchers(connection, deciding):
        task, outcome = current[watcher.registration.task]
        reached = verdict(
            task,
            outcome.poll,
            watcher,
            lost=lost,
            base_url=outcome.base_url,
            last_payload=known.get(task.ref),
        )
        if reached is None:
            still_watched.add(task.ref)
        else:
            verdicts.append(reached)
    return verdicts, still_watched


def _pause(connection: Connection, outcomes: Iterable[PollOutcome]) -> None:
    """A key pauses for trouble with the key or the server; the answer to a probe ends the pause."""
    by_lane: dict[LaneName, list[PollOutcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.claimed.probe or outcome.poll.answer.result in PAUSING:
            by_lane[outcome.claimed.lane].append(outcome)

    def changed(lane: Lane) -> Lane:
        for outcome in sorted(by_lane[lane.name], key=lambda item: item.poll.ended_at):
            lane = _after(lane, outcome.poll)
        return lane

    lanes.change(connection, dict.fromkeys(by_lane, changed))


def _after(lane: Lane, poll: Poll) -> Lane:
    answer = poll.answer
    if answer.result in PAUSING:
        asked = None if isinstance(answer, TaskReport) else answer.retry_after
        longest = None if asked is None else min(asked, LONGEST_ASKED_PAUSE)
        if answer.result is PollResult.UNAUTHORIZED:
            return lane.after_refusal(poll.begun_at, poll.ended_at, longest)
        return lane.after_failure(poll.begun_at, poll.ended_at, longest)
    return lane if answer.result is PollResult.TIMEOUT else lane.after_answer(poll.begun_at)


def _recorded(
    outcomes: Sequence[PollOutcome],
    after: Mapping[TaskRef, Task],
    current: Mapping[TaskRef, tuple[Task, PollOutcome]],
    verdicts: Iterable[Verdict],
) -> list[RecordedPoll]:
    announced: dict[TaskRef, list[Announced]] = defaultdict(list)
    for reached in verdicts:
        announced[reached.registration.task].append(reached.announced)
    results = []
    for outcome in outcomes:
        ref = outcome.claimed.ref
        stands = ref in current and current[ref][1] is outcome
        results.append(
            RecordedPoll(task=after[ref], announced=tuple(announced[ref]))
            if stands
            else RecordedPoll(task=None)
        )
    return results
