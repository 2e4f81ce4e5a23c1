"""Announce: give registrations their event, its position in their client's order, and a delivery that is due at once.

Without a callback there is no delivery: then the event is there to be pulled, and the registration closed.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, text, update

from relay.domain.registrations import EventType, RegistrationChange, RegistrationState, after_change
from relay.domain.watching import Verdict
from relay.storage.many import Many
from relay.storage.tables import registrations

_RAISE_POSITION: Final = text(
    "INSERT INTO clients (name, last_position) VALUES (:name, :count)"
    " ON CONFLICT (name) DO UPDATE SET last_position = clients.last_position + :count RETURNING last_position"
)
_ADD_EVENT: Final = Many(
    text(
        "INSERT INTO events (registration, client, position, type, created_at, body)"
        " VALUES (:registration, :client, :position, :type, :now, :body)"
    )
)
_ADD_DELIVERY: Final = Many(
    text(
        "INSERT INTO deliveries (registration, lane, next_at, fence, round, attempts, failures)"
        " VALUES (:registration, :lane, :now, 0, 1, 0, 0)"
    )
)
_ANNOUNCE: Final = (
    update(registrations)
    .where(registrations.c.id == bindparam("b_id"), registrations.c.state == RegistrationState.WATCHING)
    .values(state=after_change(RegistrationState.WATCHING, RegistrationChange.ANNOUNCED), verdict_at=None)
)
_PUBLISH: Final = _ANNOUNCE.values(
    state=after_change(RegistrationState.WATCHING, RegistrationChange.PUBLISHED),
    closed_at=bindparam("b_now"),
)
# By whether there is a callback, and whether the verdict frees the identity.
_STATEMENTS: Final = {
    (True, False): Many(_ANNOUNCE),
    (True, True): Many(_ANNOUNCE.values(identity=None)),
    (False, False): Many(_PUBLISH),
    (False, True): Many(_PUBLISH.values(identity=None)),
}

_VERDICTS: Final = frozenset({EventType.REGISTRATION_EXPIRED, EventType.TASK_LOST})


def announce(connection: Connection, verdicts: Sequence[Verdict]) -> None:
    """Announce to watching registrations, whose rows the caller has locked.

    Client rows are raised just before the events go in and stay locked to the commit: commit order is position order.
    """
    if not verdicts:
        return
    ordered = sorted(verdicts, key=lambda item: item.registration.id)
    positions = _positions(connection, Counter(item.registration.client for item in ordered))
    rows = []
    for item in ordered:
        registration = item.registration
        positions[registration.client] += 1
        rows.append(
            {
                "registration": registration.id,
                "client": registration.client,
                "position": positions[registration.client],
                "type": item.type,
                "now": item.at,
                "body": item.body,
                "lane": registration.lane,
            }
        )
    for key, statement in _STATEMENTS.items():
        told = [{"b_id": item.registration.id, "b_now": item.at} for item in ordered if _sort(item) == key]
        statement.run(connection, told)
    _ADD_EVENT.run(connection, rows)
    _ADD_DELIVERY.run(connection, [row for row in rows if row["lane"] is not None])


def _sort(item: Verdict) -> tuple[bool, bool]:
    return item.registration.lane is not None, item.type in _VERDICTS


def _positions(connection: Connection, counts: Counter[str]) -> dict[str, int]:
    """The last position each client had before `counts` more were taken."""
    return {
        name: connection.execute(_RAISE_POSITION, {"name": name, "count": count}).scalar_one() - count
        for name, count in sorted(counts.items())
    }
