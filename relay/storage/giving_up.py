"""Deliveries that nobody will take: ended without an attempt, so that they wait no longer."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, bindparam, select

from relay.domain.deliveries import DeadReason
from relay.domain.ids import RegistrationId
from relay.domain.instants import Instant
from relay.storage import progress
from relay.storage.tables import deliveries, lanes, registrations

_D, _L, _R = deliveries.c, lanes.c, registrations.c

_FORLORN: Final = (
    select(_D.registration)
    .join_from(deliveries, lanes, _D.lane == _L.name)
    .join(registrations, _R.id == _D.registration)
    .where(_L.slots == 0, _L.failing_since <= bindparam("before"))
    .where(_D.next_at <= bindparam("before"), _D.leased_until.is_(None), _D.failures > 0)
    .where(_R.client.in_(bindparam("clients", expanding=True)))
    .limit(bindparam("most"))
)


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
    locked = progress.lock(connection, sorted(ids)) if ids else {}
    forlorn = {
        id_: row
        for id_, row in locked.items()
        if row.failures and row.next_at is not None and row.next_at <= before and row.leased_until is None
    }
    given_up = {id_: row.given_up(DeadReason.EXHAUSTED, now) for id_, row in forlorn.items()}
    progress.save(connection, forlorn, given_up)
    return list(given_up)
