"""The row that a registration stands as: its own, or that of the same one that was there before it."""

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Final

from sqlalchemy import Connection, bindparam, select, text

from relay.domain.ids import Identity, TaskRef
from relay.domain.registrations import Registration
from relay.domain.watching import Task
from relay.storage.many import Many
from relay.storage.tables import AnyRow, registrations

_R: Final = registrations.c
_ADD: Final = Many(
    text(
        "INSERT INTO registrations (id, task, client, callback_url, origin, format, metadata, expires_in,"
        " created_at, expires_at, verdict_at, not_found_before, state, identity, traceparent, tracestate)"
        " VALUES (:id, :task, :client, :callback_url, :origin, :format, :metadata, :expires_in,"
        " :created_at, :expires_at, :expires_at, :not_found_before, 'watching', :identity, :traceparent, :tracestate)"
        " ON CONFLICT DO NOTHING"
    )
)
_COMPARED: Final = select(_R.id, _R.identity, _R.state, _R.metadata, _R.expires_in, _R.format)
_STANDING: Final = _COMPARED.where(_R.identity.in_(bindparam("identities", expanding=True)))
_OWN: Final = _COMPARED.where(_R.id.in_(bindparam("ids", expanding=True)))


def stand(
    connection: Connection, wanted: Iterable[Registration], found: Mapping[TaskRef, Task]
) -> dict[Identity, AnyRow]:
    """The row each registration stands as: its own, however it has fared since, or the same one that was there before it.

    A delivery dies without its task's lock: whoever stood in the way may be gone a moment later, and then it is tried again.
    """
    standing: dict[Identity, AnyRow] = {}
    while missing := {item.identity: item for item in wanted if item.identity not in standing}:
        rows = [_row(item, found[item.task]) for item in missing.values()]
        _ADD.run(connection, sorted(rows, key=itemgetter("id")))
        there = {row.identity: row for row in connection.execute(_STANDING, {"identities": sorted(missing)})}
        not_ours = {
            item.id: identity
            for identity, item in missing.items()
            if identity not in there or there[identity].id != item.id
        }
        if not_ours:
            own = connection.execute(_OWN, {"ids": sorted(not_ours)})
            there |= {not_ours[row.id]: row for row in own}
        standing |= there
    return standing


def _row(registration: Registration, task: Task) -> dict[str, object]:
    trace = registration.trace
    return {
        "id": registration.id,
        "task": registration.task,
        "client": registration.client,
        "callback_url": registration.callback_url or "",
        "origin": registration.origin or "",
        "format": registration.format,
        "metadata": registration.metadata,
        "expires_in": registration.expires_in,
        "created_at": registration.created_at,
        "expires_at": registration.expires_at,
        "not_found_before": task.not_found,
        "identity": registration.identity,
        "traceparent": None if trace is None else trace.traceparent,
        "tracestate": None if trace is None else trace.tracestate,
    }
