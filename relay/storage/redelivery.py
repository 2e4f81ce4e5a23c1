"""A new round for what is delivered or dead: the same event over the full schedule, due at once."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, bindparam, delete, select, update

from relay.domain.ids import RegistrationId
from relay.domain.instants import Instant
from relay.domain.registrations import RegistrationChange, RegistrationState, after_change
from relay.storage.many import Many
from relay.storage.tables import attempts, deliveries, registrations

MOST_ATTEMPTS_KEPT: Final = 100
"""Of the rounds before, once a new one begins: sent again without end, a delivery is logged with an end."""

_REOPEN: Final = Many(
    update(registrations)
    .where(registrations.c.id == bindparam("b_id"))
    .values(state=bindparam("b_state"), closed_at=None)
)
_AGAIN: Final = Many(
    update(deliveries)
    .where(deliveries.c.registration == bindparam("b_id"))
    .values(
        next_at=bindparam("b_now"),
        leased_until=None,
        round=deliveries.c.round + 1,
        round_at=bindparam("b_now"),
        failures=0,
        ended_at=None,
        delivered_at=None,
        dead_reason=None,
    )
)
_OLDEST_KEPT: Final = (
    select(attempts.c.fence)
    .where(attempts.c.registration == bindparam("b_id"))
    .order_by(attempts.c.fence.desc())
    .limit(1)
    .offset(MOST_ATTEMPTS_KEPT - 1)
    .scalar_subquery()
)
_FORGET: Final = Many(
    delete(attempts).where(attempts.c.registration == bindparam("b_id"), attempts.c.fence < _OLDEST_KEPT)
)


def begin_round(
    connection: Connection, states: Mapping[RegistrationId, RegistrationState], now: Instant
) -> None:
    """For registrations in these states, which the caller has locked after their tasks.

    Raises BrokenRule where a state does not allow it.
    """
    ids = sorted(states)
    reopened = [
        {"b_id": id_, "b_state": after_change(states[id_], RegistrationChange.REDELIVERED)} for id_ in ids
    ]
    _REOPEN.run(connection, reopened)
    _AGAIN.run(connection, [{"b_id": id_, "b_now": now} for id_ in ids])
    _FORGET.run(connection, [{"b_id": id_} for id_ in ids])
