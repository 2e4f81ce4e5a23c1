"""Rows of `deliveries` and `attempts`: claim what is due, and record what became of each try."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Final, assert_never

from sqlalchemy import Connection, bindparam, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from relay.domain.deliveries import Accepted, Attempt, Dead, DeadReason, Decision, Delivered, Retry
from relay.domain.ids import EventId, RegistrationId, event_id_of
from relay.domain.instants import Instant
from relay.domain.lanes import Lane, LaneName, client_of, share
from relay.domain.registrations import (
    EventType,
    RegistrationChange,
    RegistrationState,
    after_change,
    allows,
)
from relay.storage import lanes
from relay.storage.many import Many
from relay.storage.queue import DELIVERIES, Claim, Held, Look, Take, more_is_due
from relay.storage.tables import AnyRow, deliveries, events, registrations, tasks

_D, _R = deliveries.c, registrations.c

_CONTENTS: Final = (
    select(
        _R.id,
        _R.client,
        _R.callback_url,
        tasks.c.kind,
        tasks.c.task_id,
        events.c.type,
        events.c.created_at,
        events.c.body,
    )
    .join_from(registrations, tasks, _R.task == tasks.c.ref)
    .join(events, events.c.registration == _R.id)
    .where(_R.id.in_(bindparam("ids", expanding=True)))
)
_LOCK_STATES: Final = (
    select(_R.id, _R.state)
    .where(_R.id.in_(bindparam("ids", expanding=True)))
    .order_by(_R.id)
    .with_for_update(key_share=True)
)
_LOCK: Final = (
    select(_D.registration, _D.fence, _D.leased_until, _D.round, _D.attempts, _D.failures, _D.ended_at)
    .where(_D.registration.in_(bindparam("ids", expanding=True)))
    .order_by(_D.registration)
    .with_for_update(key_share=True)
)
_SAVE: Final = Many(
    update(deliveries)
    .where(_D.registration == bindparam("b_id"))
    .values(
        next_at=bindparam("b_next_at"),
        leased_until=bindparam("b_leased_until"),
        attempts=bindparam("b_attempts"),
        failures=bindparam("b_failures"),
        ended_at=bindparam("b_ended_at"),
        delivered_at=bindparam("b_delivered_at"),
        dead_reason=bindparam("b_dead_reason"),
        last_http_status=bindparam("b_last_http_status"),
    )
)
_CLOSED: Final = (
    update(registrations)
    .where(_R.id == bindparam("b_id"))
    .values(state=bindparam("b_state"), closed_at=bindparam("b_now"))
)
_CLOSE: Final = Many(_CLOSED)
_CLOSE_AND_FREE: Final = Many(_CLOSED.values(identity=None))
_LOG: Final = Many(
    text(
        "INSERT INTO attempts"
        " (registration, fence, number, started_at, duration, outcome, http_status, error, answer)"
        " VALUES (:registration, :fence, :number, :started_at, :duration, :outcome, :http_status, :error, :answer)"
        " ON CONFLICT DO NOTHING"
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryClaim:
    """What one claim may take: `slots` are what busy lanes of this process have left of `slots_per_lane`."""

    now: Instant
    leased_until: Instant
    clients: Collection[str]
    slots: Mapping[LaneName, int]
    slots_per_lane: int
    free: int
    quantum: int
    last: LaneName | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedDelivery:
    registration: RegistrationId
    fence: int
    round: int
    number: int
    """Which attempt this is, over all rounds, from 1."""
    failures: int
    lane: LaneName
    leased_until: Instant
    client: str
    kind: str
    task_id: str
    callback_url: str
    type: EventType
    announced_at: Instant
    body: bytes

    @property
    def event(self) -> EventId:
        return event_id_of(self.registration)

    @property
    def held(self) -> Held:
        return Held(key=self.registration, fence=self.fence)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOutcome:
    claimed: ClaimedDelivery
    attempt: Attempt
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAttempt:
    """`applied` is false where somebody else's word stood by then; `logged` where the attempt's row could be written."""

    applied: bool
    logged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """A delivery under lock, as the outcomes of this batch have left it so far."""

    state: RegistrationState
    fence: int
    leased_until: Instant | None
    round: int
    attempts: int
    failures: int
    ended_at: Instant | None
    next_at: Instant | None = None
    delivered_at: Instant | None = None
    dead_reason: DeadReason | None = None
    last_http_status: int | None = None


def claim(connection: Connection, wanted: DeliveryClaim, look: Look) -> Claim[ClaimedDelivery]:
    found = DELIVERIES.find(connection, wanted.now, look.floors(wanted.now))
    look.saw(found)
    if not found:
        return Claim(last=wanted.last)
    paused = lanes.paused(connection, wanted.now)
    due = {
        lane.lane: lane
        for lane in found
        if lane.lane not in paused and client_of(lane.lane) in wanted.clients
    }
    shares = share(
        list(due),
        {lane: wanted.slots.get(lane, wanted.slots_per_lane) for lane in due},
        group_of=lambda lane: lane,
        free=wanted.free,
        quantum=wanted.quantum,
        last=wanted.last,
    )
    takes = [Take(lane=lane, oldest=due[lane].oldest, count=count) for lane, count in shares.counts.items()]
    rows = DELIVERIES.claim(connection, takes, wanted.now, wanted.leased_until)
    contents = (
        {row.id: row for row in connection.execute(_CONTENTS, {"ids": [row.registration for row in rows]})}
        if rows
        else {}
    )
    claimed = [_claimed(row, contents[row.registration], wanted.leased_until) for row in rows]
    taken = Counter(item.lane for item in claimed)
    return Claim(rows=claimed, more=more_is_due(due, takes, taken), last=shares.last)


def record(connection: Connection, outcomes: Sequence[AttemptOutcome]) -> list[RecordedAttempt]:
    """Apply each outcome whose claim stands, and every 2xx of the delivery's current round whatever its claim."""
    before = _locked(connection, sorted({outcome.claimed.registration for outcome in outcomes}))
    current = dict(before)
    applied = []
    for outcome in outcomes:
        standing = current.get(outcome.claimed.registration)
        after = None if standing is None else _after(standing, outcome)
        applied.append(after is not None)
        if after is not None:
            current[outcome.claimed.registration] = after
    changed = {id_: row for id_, row in sorted(current.items()) if row is not before[id_]}
    _save(connection, before, changed)
    logged = _log(connection, [outcome for outcome in outcomes if outcome.claimed.registration in before])
    _pause(connection, outcomes)
    return [RecordedAttempt(applied=done, logged=logged) for done in applied]


def _claimed(row: AnyRow, content: AnyRow, leased_until: Instant) -> ClaimedDelivery:
    return ClaimedDelivery(
        registration=row.registration,
        fence=row.fence,
        round=row.round,
        number=row.attempts + 1,
        failures=row.failures,
        lane=row.lane,
        leased_until=leased_until,
        client=content.client,
        kind=content.kind,
        task_id=content.task_id,
        callback_url=content.callback_url,
        type=EventType(content.type),
        announced_at=content.created_at,
        body=content.body,
    )


def _locked(connection: Connection, ids: list[RegistrationId]) -> dict[RegistrationId, _Standing]:
    states = {row.id: row.state for row in connection.execute(_LOCK_STATES, {"ids": ids})}
    return {
        row.registration: _Standing(
            state=RegistrationState(states[row.registration]),
            fence=row.fence,
            leased_until=row.leased_until,
            round=row.round,
            attempts=row.attempts,
            failures=row.failures,
            ended_at=row.ended_at,
        )
        for row in connection.execute(_LOCK, {"ids": ids}).all()
    }


def _after(standing: _Standing, outcome: AttemptOutcome) -> _Standing | None:
    """The delivery after the outcome; None where the outcome may not be recorded."""
    claimed, attempt = outcome.claimed, outcome.attempt
    mine = standing.fence == claimed.fence and standing.leased_until is not None and standing.ended_at is None
    late = isinstance(attempt.outcome, Accepted) and standing.round == claimed.round
    if not (mine or late) or not allows(standing.state, RegistrationChange.ACCEPTED):
        return None
    if standing.state is RegistrationState.DELIVERED:
        return None
    tried = replace(
        standing,
        leased_until=None,
        attempts=max(standing.attempts, claimed.number),
        last_http_status=attempt.http_status,
    )
    match outcome.decision:
        case Delivered():
            state = after_change(standing.state, RegistrationChange.ACCEPTED)
            at = attempt.ended_at
            return replace(tried, state=state, next_at=None, ended_at=at, delivered_at=at, dead_reason=None)
        case Retry(at=at):
            return replace(tried, next_at=at, failures=claimed.failures + 1)
        case Dead(reason=reason):
            state = after_change(standing.state, RegistrationChange.GIVEN_UP)
            return replace(
                tried,
                state=state,
                next_at=None,
                ended_at=attempt.ended_at,
                failures=claimed.failures + 1,
                dead_reason=reason,
            )
        case _:
            assert_never(outcome.decision)


def _save(
    connection: Connection,
    before: Mapping[RegistrationId, _Standing],
    changed: Mapping[RegistrationId, _Standing],
) -> None:
    if not changed:
        return
    closed = {id_: row for id_, row in changed.items() if row.state is not before[id_].state}
    for statement, dead in ((_CLOSE, False), (_CLOSE_AND_FREE, True)):
        rows = [
            {"b_id": id_, "b_state": row.state, "b_now": row.ended_at}
            for id_, row in closed.items()
            if (row.state is RegistrationState.DEAD) is dead
        ]
        statement.run(connection, rows)
    _SAVE.run(
        connection,
        [
            {
                "b_id": id_,
                "b_next_at": row.next_at,
                "b_leased_until": row.leased_until,
                "b_attempts": row.attempts,
                "b_failures": row.failures,
                "b_ended_at": row.ended_at,
                "b_delivered_at": row.delivered_at,
                "b_dead_reason": row.dead_reason,
                "b_last_http_status": row.last_http_status,
            }
            for id_, row in changed.items()
        ],
    )


def _log(connection: Connection, outcomes: Sequence[AttemptOutcome]) -> bool:
    """Write the attempts down; where that fails, what became of the deliveries is recorded all the same."""
    rows = [
        {
            "registration": outcome.claimed.registration,
            "fence": outcome.claimed.fence,
            "number": outcome.claimed.number,
            "started_at": outcome.attempt.started_at,
            "duration": outcome.attempt.duration,
            "outcome": outcome.attempt.label,
            "http_status": outcome.attempt.http_status,
            "error": outcome.attempt.error,
            "answer": outcome.attempt.answer,
        }
        for outcome in outcomes
    ]
    if not rows:
        return True
    try:
        with connection.begin_nested():
            _LOG.run(connection, sorted(rows, key=itemgetter("registration", "fence")))
    except SQLAlchemyError:
        if not _transaction_stands(connection):
            raise
        return False
    return True


def _transaction_stands(connection: Connection) -> bool:
    """A savepoint saves nothing where the connection is lost, nor on SQLite, which may roll everything back on a full disk."""
    if connection.invalidated:
        return False
    return connection.dialect.name != "sqlite" or bool(
        getattr(connection.connection, "in_transaction", False)
    )


def _pause(connection: Connection, outcomes: Sequence[AttemptOutcome]) -> None:
    until: dict[LaneName, Instant] = {}
    for outcome in outcomes:
        match outcome.decision:
            case Retry(lane_until=asked) | Dead(lane_until=asked) if asked is not None:
                until[outcome.claimed.lane] = max(until.get(outcome.claimed.lane, asked), asked)
            case Retry() | Dead() | Delivered():
                pass
            case _:
                assert_never(outcome.decision)

    def later(lane: Lane) -> Lane:
        return replace(lane, paused_until=max(lane.paused_until, until[lane.name]))

    lanes.change(connection, dict.fromkeys(until, later))
