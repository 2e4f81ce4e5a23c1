"""A new round for what is delivered or dead: the same event over the full schedule, due at once."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, bindparam, update

from relay.domain.ids import RegistrationId
from relay.domain.instants import Instant
from relay.domain.registrations import RegistrationChange, RegistrationState, after_change
from relay.storage.many import Many
from relay.storage.tables import deliveries, registrations

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
