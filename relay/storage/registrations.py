"""Rows of `registrations`: register, cancel, redeliver. Each locks the task row first."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, select, update

from relay.domain.allowances import MOST_OF_A_TASK
from relay.domain.errors import NotFound
from relay.domain.ids import Identity, RegistrationId, TaskRef
from relay.domain.instants import Instant
from relay.domain.registrations import (
    Format,
    Registration,
    RegistrationChange,
    RegistrationState,
    allows,
)
from relay.domain.tasks import TERMINAL_STATES, TaskState, parse_report
from relay.domain.traces import TraceContext
from relay.domain.watching import Task, Watcher, ended
from relay.storage import bounds, tasks
from relay.storage.events import announce
from relay.storage.redelivery import begin_round
from relay.storage.standing import stand
from relay.storage.tables import AnyRow, deliveries, registrations
from relay.storage.tables import tasks as tasks_table

_R: Final = registrations.c
FACTS: Final = (
    _R.id,
    _R.client,
    tasks_table.c.kind,
    tasks_table.c.task_id,
    _R.callback_url,
    _R.origin,
    _R.format,
    _R.metadata,
    _R.expires_in,
    _R.created_at,
    _R.expires_at,
    _R.traceparent,
    _R.tracestate,
)
"""The columns of a Registration, in the order `registration_of` reads them."""

_FACT_NAMES: Final = tuple(column.name for column in FACTS)
_OPTIONS: Final = ("metadata", "expires_in", "format")
_WATCHERS: Final = (
    select(*FACTS, _R.not_found_before)
    .join_from(registrations, tasks_table, _R.task == tasks_table.c.ref)
    .where(_R.task.in_(bindparam("refs", expanding=True)), _R.state == RegistrationState.WATCHING)
    .order_by(_R.id)
    .with_for_update(key_share=True, of=registrations)
)
_TASK_OF: Final = select(_R.task).where(_R.id == bindparam("id"), _R.client == bindparam("client"))
_LOCK_STATE: Final = select(_R.state).where(_R.id == bindparam("id")).with_for_update(key_share=True)
_WATCHED: Final = (
    select(_R.id).where(_R.task == bindparam("ref"), _R.state == RegistrationState.WATCHING).limit(1)
)
_CANCEL: Final = (
    update(registrations)
    .where(_R.id == bindparam("b_id"))
    .values(
        state=RegistrationState.CANCELLED,
        identity=None,
        verdict_at=None,
        closed_at=bindparam("b_now"),
    )
)
_STOP: Final = (
    update(deliveries)
    .where(deliveries.c.registration == bindparam("b_id"), deliveries.c.ended_at.is_(None))
    .values(next_at=None, leased_until=None, ended_at=bindparam("b_now"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """`task` is as the registration found it, or made it."""

    registration: Registration
    task: Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The same registration stands already; `differing` names the options that are not the same."""

    id: RegistrationId
    differing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowded:
    """The task has as many registrations as it may have: nothing was stored."""


Registered = Created | Standing | Crowded


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The registration's state does not allow the change."""

    state: RegistrationState


def register(
    connection: Connection, wanted: Sequence[Registration], base_urls: Mapping[str, str]
) -> list[Registered]:
    """Store what is new; equal ones behave as if sent one after the other, in the order given.

    May be repeated as a whole: what bears our own id is ours.
    """
    found = tasks.watch(connection, [_wanted_task(registration) for registration in wanted])
    first: dict[Identity, Registration] = {}
    for registration in wanted:
        first.setdefault(registration.identity, registration)
    standing = stand(connection, first.values(), found)
    refused = _crowd_out(connection, first.values(), found, standing)
    late = [
        item
        for identity, item in first.items()
        if identity not in refused
        and standing[identity].id == item.id
        and standing[identity].state == RegistrationState.WATCHING
        and found[item.task].state in TERMINAL_STATES
    ]
    announce_late(connection, late, found, base_urls)
    return [
        Crowded()
        if item.identity in refused
        else _registered(item, found[item.task], standing[item.identity])
        for item in wanted
    ]


def lock_watchers(connection: Connection, refs: Collection[TaskRef]) -> list[Watcher]:
    """Those who watch the tasks, which the caller has locked, in the order of their ids."""
    if not refs:
        return []
    rows = connection.execute(_WATCHERS, {"refs": sorted(refs)})
    return [Watcher(registration=registration_of(row), not_found_before=row.not_found_before) for row in rows]


def cancel(connection: Connection, client: str, wanted: RegistrationId, now: Instant) -> Refused | None:
    """Nothing of it is claimed after this commits. Raises NotFound."""
    task, state = _lock(connection, client, wanted)
    if not allows(state, RegistrationChange.CANCELLED):
        return Refused(state=state)
    if state is RegistrationState.CANCELLED:
        return None
    connection.execute(_CANCEL, {"b_id": wanted, "b_now": now})
    connection.execute(_STOP, {"b_id": wanted, "b_now": now})
    leave_unwatched(connection, [task])
    return None


def redeliver(connection: Connection, client: str, wanted: RegistrationId, now: Instant) -> Refused | None:
    """Begin a new round of the full schedule with the same event. Raises NotFound."""
    _, state = _lock(connection, client, wanted)
    if not allows(state, RegistrationChange.REDELIVERED):
        return Refused(state=state)
    begin_round(connection, {wanted: state}, now)
    return None


def announce_late(
    connection: Connection,
    late: Sequence[Registration],
    found: Mapping[TaskRef, Task],
    base_urls: Mapping[str, str],
) -> None:
    """Tell those who came after the end what the stored report says."""
    payloads = tasks.payloads(connection, {registration.task for registration in late})
    reports = {ref: parse_report(payload) for ref, payload in payloads.items()}
    announce(
        connection,
        [
            ended(
                found[registration.task],
                registration,
                report,
                at=registration.created_at,
                base_url=base_urls[registration.client],
            )
            for registration in late
            if (report := reports[registration.task]) is not None
        ],
    )


def leave_unwatched(connection: Connection, locked: Sequence[Task]) -> None:
    """Set to idle those of the locked tasks that go on although nobody watches them any more."""
    tasks.save(
        connection,
        [
            task.left()
            for task in locked
            if task.state is TaskState.WATCHING and connection.scalar(_WATCHED, {"ref": task.ref}) is None
        ],
    )


def registration_of(row: AnyRow) -> Registration:
    """A Registration from a row that begins with the columns of FACTS."""
    values = dict(zip(_FACT_NAMES, row, strict=False))
    trace = trace_of(values.pop("traceparent"), values.pop("tracestate"))
    read = {
        "format": Format(values["format"]),
        "callback_url": values["callback_url"] or None,
        "origin": values["origin"] or None,
    }
    return Registration(**values | read, trace=trace)


def trace_of(traceparent: str | None, tracestate: str | None) -> TraceContext | None:
    """What the two columns hold."""
    return None if traceparent is None else TraceContext(traceparent=traceparent, tracestate=tracestate)


def _lock(connection: Connection, client: str, wanted: RegistrationId) -> tuple[Task, RegistrationState]:
    refs = [TaskRef(ref) for ref in connection.scalars(_TASK_OF, {"id": wanted, "client": client})]
    locked = list(tasks.lock(connection, refs).values())
    state = connection.scalar(_LOCK_STATE, {"id": wanted}) if locked else None
    if state is None:  # never there, another client's, or pruned a moment ago
        raise NotFound("there is no such registration")
    return locked[0], RegistrationState(state)


def _crowd_out(
    connection: Connection,
    wanted: Iterable[Registration],
    found: Mapping[TaskRef, Task],
    standing: Mapping[Identity, AnyRow],
) -> set[Identity]:
    """Take back the last of what was just made where that is more than a task may have. No other transaction saw it."""
    beyond = bounds.crowded(connection, found.keys(), MOST_OF_A_TASK)
    if not beyond:
        return set()
    made: dict[TaskRef, list[Registration]] = {ref: [] for ref in beyond}
    for item in wanted:
        if item.task in beyond and standing[item.identity].id == item.id:
            made[item.task].append(item)
    refused = [item for ref, items in made.items() for item in items[-beyond[ref] :]]
    bounds.take_back(connection, [item.id for item in refused])
    leave_unwatched(connection, [found[ref] for ref in beyond])
    return {item.identity for item in refused}


def _wanted_task(registration: Registration) -> Task:
    return Task(
        ref=registration.task,
        client=registration.client,
        kind=registration.kind,
        task_id=registration.task_id,
        state=TaskState.WATCHING,
        next_at=registration.created_at,
        leased_until=None,
        fence=0,
        paced_from=registration.created_at,
    )


def _registered(wanted: Registration, task: Task, standing: AnyRow) -> Registered:
    if standing.id == wanted.id:
        return Created(registration=wanted, task=task)
    differing = [name for name in _OPTIONS if getattr(wanted, name) != getattr(standing, name)]
    return Standing(id=standing.id, differing=tuple(differing))
