"""Rows of `attempts`, and what they do to deliveries and to the lanes of origins."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Final, assert_never

from sqlalchemy import Connection, bindparam, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from relay.domain.deliveries import Accepted, Attempt, Dead, DeadReason, Decision, Delivered, Retry
from relay.domain.ids import RegistrationId
from relay.domain.instants import Instant
from relay.domain.lanes import Lane, LaneName, Signal, SlotPolicy, Word
from relay.domain.registrations import (
    RegistrationChange,
    RegistrationState,
    after_change,
    allows,
)
from relay.storage import lanes
from relay.storage.deliveries import ClaimedDelivery
from relay.storage.many import Many
from relay.storage.tables import deliveries, registrations
from relay.storage.tables import lanes as lanes_table

_D, _R = deliveries.c, registrations.c
_STEPPING_DOWN: Final = frozenset({Signal.FAILED, Signal.ASKED})

_LOCK_STATES: Final = (
    select(_R.id, _R.state)
    .where(_R.id.in_(bindparam("ids", expanding=True)))
    .order_by(_R.id)
    .with_for_update(key_share=True)
)
_LOCK: Final = (
    select(
        _D.registration,
        _D.next_at,
        _D.fence,
        _D.leased_until,
        _D.round,
        _D.attempts,
        _D.failures,
        _D.ended_at,
        _D.last_http_status,
    )
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
_FORLORN: Final = (
    select(_D.registration)
    .join_from(deliveries, lanes_table, _D.lane == lanes_table.c.name)
    .join(registrations, _R.id == _D.registration)
    .where(lanes_table.c.slots == 0, lanes_table.c.failing_since <= bindparam("before"))
    .where(_D.next_at <= bindparam("before"), _D.leased_until.is_(None), _D.failures > 0)
    .where(_R.client.in_(bindparam("clients", expanding=True)))
    .limit(bindparam("most"))
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
        " (registration, fence, number, started_at, duration, outcome, http_status, error, answer, round, pause)"
        " VALUES (:registration, :fence, :number, :started_at, :duration, :outcome, :http_status, :error, :answer,"
        " :round, :pause)"
        " ON CONFLICT DO NOTHING"
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOutcome:
    """`word` is what the attempt says about its origin, None where nothing was asked of that."""

    claimed: ClaimedDelivery
    attempt: Attempt
    decision: Decision
    word: Word | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAttempt:
    """`applied` is false where somebody else's word stood by then; `logged` where the attempt's row could be written.

    `held_until` is set where the attempt was one of those that paused its origin.
    """

    applied: bool
    logged: bool
    held_until: Instant | None = None


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
    next_at: Instant | None
    last_http_status: int | None
    delivered_at: Instant | None = None
    dead_reason: DeadReason | None = None


def record(
    connection: Connection, outcomes: Sequence[AttemptOutcome], slots: SlotPolicy
) -> list[RecordedAttempt]:
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
    held = _tell_lanes(connection, outcomes, slots)
    return [
        RecordedAttempt(applied=done, logged=logged, held_until=_held_until(outcome, held))
        for done, outcome in zip(applied, outcomes, strict=True)
    ]


def give_up(
    connection: Connection, clients: Collection[str], before: Instant, now: Instant, most: int
) -> list[RegistrationId]:
    """End up to `most` deliveries that were due by `before`, at paused origins that have failed since then without a break.

    Held by its origin a delivery spends no attempt, so that it would wait for ever for one that is gone. One that has not
    been tried at all in its round is waited for. Only those of `clients`: nobody probes the origins of the others, whose
    work is held until they are configured again.
    """
    wanted = {"clients": sorted(clients), "before": before, "most": most}
    ids = [RegistrationId(id_) for id_ in connection.scalars(_FORLORN, wanted)]
    locked = _locked(connection, sorted(ids)) if ids else {}
    forlorn = {
        id_: row
        for id_, row in locked.items()
        if row.failures and row.next_at is not None and row.next_at <= before and row.leased_until is None
    }
    given_up = {
        id_: replace(
            row,
            state=after_change(row.state, RegistrationChange.GIVEN_UP),
            next_at=None,
            ended_at=now,
            dead_reason=DeadReason.EXHAUSTED,
        )
        for id_, row in forlorn.items()
    }
    _save(connection, forlorn, given_up)
    return list(given_up)


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
            next_at=row.next_at,
            last_http_status=row.last_http_status,
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
            "round": outcome.claimed.round,
            "pause": outcome.word.pause if outcome.word and outcome.word.pause else None,
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


def _tell_lanes(
    connection: Connection, outcomes: Sequence[AttemptOutcome], slots: SlotPolicy
) -> dict[LaneName, Lane]:
    """Change the lanes that these attempts say something new about; answers with those that are paused after it.

    A success says nothing new about an origin that has all its slots: then no lane is read, let alone locked.
    """
    words: dict[LaneName, list[Word]] = {}
    for outcome in outcomes:
        word = outcome.word
        if word is not None and (outcome.claimed.held_back or word.signal in _STEPPING_DOWN):
            words.setdefault(outcome.claimed.lane, []).append(word)

    def told(lane: Lane) -> Lane:
        for word in sorted(words[lane.name], key=lambda word: word.ended):
            lane = lane.after_word(word, slots)
        return lane

    changed = lanes.change(connection, dict.fromkeys(words, told))
    return {lane.name: lane for lane in changed if lane.to_be_probed}


def _held_until(outcome: AttemptOutcome, held: Mapping[LaneName, Lane]) -> Instant | None:
    lane = held.get(outcome.claimed.lane)
    if lane is None or outcome.word is None or outcome.word.signal not in _STEPPING_DOWN:
        return None
    return lane.paused_until
