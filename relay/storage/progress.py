"""Where deliveries stand: read under a lock, changed, and saved with the states of their registrations."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from relay.domain.deliveries import DeadReason
from relay.domain.ids import RegistrationId
from relay.domain.instants import Instant
from relay.domain.registrations import RegistrationChange, RegistrationState, after_change
from relay.storage.many import Many, Saving
from relay.storage.tables import deliveries, registrations

_D, _R = deliveries.c, registrations.c

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
_SAVE: Final = Saving(
    deliveries,
    key=_D.registration,
    values=(
        _D.next_at,
        _D.leased_until,
        _D.attempts,
        _D.failures,
        _D.ended_at,
        _D.delivered_at,
        _D.dead_reason,
        _D.last_http_status,
    ),
)
_CLOSED: Final = (
    update(registrations)
    .where(_R.id == bindparam("b_id"))
    .values(state=bindparam("b_state"), closed_at=bindparam("b_now"))
)
_CLOSE: Final = Many(_CLOSED)
_CLOSE_AND_FREE: Final = Many(_CLOSED.values(identity=None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a delivery stands, and with it its registration."""

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

    def given_up(self, reason: DeadReason, at: Instant) -> "Progress":
        return replace(
            self,
            state=after_change(self.state, RegistrationChange.GIVEN_UP),
            next_at=None,
            ended_at=at,
            dead_reason=reason,
        )


def lock(connection: Connection, ids: list[RegistrationId]) -> dict[RegistrationId, Progress]:
    """Those of the registrations that have a delivery, locked in the order of ids until the transaction ends."""
    states = {row.id: row.state for row in connection.execute(_LOCK_STATES, {"ids": ids})}
    return {
        row.registration: Progress(
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


def save(
    connection: Connection,
    before: Mapping[RegistrationId, Progress],
    changed: Mapping[RegistrationId, Progress],
) -> None:
    """What has changed since it was locked; a registration that died frees its identity."""
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
    _SAVE.run(connection, changed)
