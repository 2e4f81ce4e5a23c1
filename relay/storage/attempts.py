"""Rows of `attempts`, and what they do to deliveries and to the lanes of origins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Final, assert_never

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from relay.domain.deliveries import Accepted, Attempt, Dead, Decision, Delivered, Retry
from relay.domain.instants import Instant
from relay.domain.lanes import Lane, LaneName, Signal, SlotPolicy, Word
from relay.domain.registrations import RegistrationChange, RegistrationState, after_change, allows
from relay.storage import lanes, progress
from relay.storage.deliveries import ClaimedDelivery
from relay.storage.many import Many
from relay.storage.progress import Progress

_STEPPING_DOWN: Final = frozenset({Signal.FAILED, Signal.ASKED})

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


def record(
    connection: Connection, outcomes: Sequence[AttemptOutcome], slots: SlotPolicy
) -> list[RecordedAttempt]:
    """Apply each outcome whose claim stands, and every 2xx of the delivery's current round whatever its claim."""
    before = progress.lock(connection, sorted({outcome.claimed.registration for outcome in outcomes}))
    current = dict(before)
    applied = []
    for outcome in outcomes:
        standing = current.get(outcome.claimed.registration)
        after = None if standing is None else _after(standing, outcome)
        applied.append(after is not None)
        if after is not None:
            current[outcome.claimed.registration] = after
    changed = {id_: row for id_, row in sorted(current.items()) if row is not before[id_]}
    progress.save(connection, before, changed)
    logged = _log(connection, [outcome for outcome in outcomes if outcome.claimed.registration in before])
    held = _tell_lanes(connection, outcomes, slots)
    return [
        RecordedAttempt(applied=done, logged=logged, held_until=_held_until(outcome, held))
        for done, outcome in zip(applied, outcomes, strict=True)
    ]


def _after(standing: Progress, outcome: AttemptOutcome) -> Progress | None:
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
            return replace(tried, failures=claimed.failures + 1).given_up(reason, attempt.ended_at)
        case _:
            assert_never(outcome.decision)


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
