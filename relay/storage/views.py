"""What people read: registrations with their task, event and delivery, in one statement and without locks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, case, literal, select

from relay.domain.deliveries import DeadReason
from relay.domain.errors import NotFound
from relay.domain.ids import EventId, RegistrationId, event_id_of
from relay.domain.instants import Instant
from relay.domain.registrations import EventType, Registration, RegistrationState
from relay.domain.tasks import PollResult, TaskState
from relay.domain.watching import Task
from relay.storage.registrations import FACTS, registration_of
from relay.storage.tables import AnyRow, attempts, deliveries, events, lanes, registrations, reports, tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    state: TaskState
    status: str | None = None
    run_id: int | None = None
    polls: int
    last_poll_at: Instant | None
    last_poll_result: PollResult | None
    last_poll_http_status: int | None
    next_at: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """`body` is None where only a list was asked for."""

    id: EventId
    type: EventType
    created_at: Instant
    body: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryView:
    attempts: int
    last_http_status: int | None
    last_error: str | None
    next_at: Instant | None
    delivered_at: Instant | None
    dead_reason: DeadReason | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationView:
    registration: Registration
    state: RegistrationState
    task: TaskView
    event: EventView | None = None
    delivery: DeliveryView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptView:
    """`fence` is its claim's number: later attempts have higher ones."""

    fence: int
    number: int
    started_at: Instant
    duration: int
    outcome: str
    http_status: int | None
    error: str | None
    answer: bytes


_COLUMNS: Final = (
    *FACTS,
    registrations.c.state.label("registration_state"),
    tasks.c.state.label("task_state"),
    reports.c.status,
    reports.c.run_id,
    tasks.c.polls,
    tasks.c.last_poll_at,
    tasks.c.last_poll_result,
    tasks.c.last_poll_http_status,
    case((tasks.c.leased_until.is_(None), tasks.c.next_at)).label("next_poll_at"),
    events.c.type,
    events.c.created_at.label("announced_at"),
    deliveries.c.attempts,
    deliveries.c.last_http_status,
    case(
        (deliveries.c.leased_until.is_not(None), None),
        (lanes.c.paused_until > deliveries.c.next_at, lanes.c.paused_until),
        else_=deliveries.c.next_at,
    ).label("next_attempt_at"),
    deliveries.c.delivered_at,
    deliveries.c.dead_reason,
    # Of the newest attempt, and looked up only for the rows that are shown.
    select(attempts.c.error)
    .where(attempts.c.registration == deliveries.c.registration)
    .order_by(attempts.c.fence.desc())
    .limit(1)
    .scalar_subquery()
    .label("last_error"),
)
_ATTEMPTS: Final = (
    attempts.c.fence,
    attempts.c.number,
    attempts.c.started_at,
    attempts.c.duration,
    attempts.c.outcome,
    attempts.c.http_status,
    attempts.c.error,
    attempts.c.answer,
)


def get(connection: Connection, client: str, wanted: RegistrationId) -> RegistrationView:
    """Raises NotFound."""
    statement = _joined(events.c.body).where(registrations.c.id == wanted, registrations.c.client == client)
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise NotFound("there is no such registration")
    return _view(row)


def get_many(
    connection: Connection, wanted: Sequence[RegistrationId]
) -> dict[RegistrationId, RegistrationView]:
    """Without their events' bodies; the caller knows that it may see them."""
    statement = _joined(literal(None).label("body")).where(registrations.c.id.in_(wanted))
    return {view.registration.id: view for view in map(_view, connection.execute(statement))}


def get_page(connection: Connection, page: Select[tuple[RegistrationId]]) -> list[RegistrationView]:
    """Those that `page` selects the ids of, newest first, without their events' bodies."""
    statement = _joined(literal(None).label("body")).where(registrations.c.id.in_(page))
    return [_view(row) for row in connection.execute(statement.order_by(registrations.c.id.desc()))]


def attempts_of(
    connection: Connection, client: str, wanted: RegistrationId, after: int, limit: int
) -> list[AttemptView]:
    """The first attempts whose fences lie beyond `after`, in their order. Raises NotFound."""
    owned = select(registrations.c.id).where(registrations.c.id == wanted, registrations.c.client == client)
    if connection.scalar(owned) is None:
        raise NotFound("there is no such registration")
    statement = (
        select(*_ATTEMPTS)
        .where(attempts.c.registration == wanted, attempts.c.fence > after)
        .order_by(attempts.c.fence)
        .limit(limit)
    )
    return [AttemptView(**row) for row in connection.execute(statement).mappings()]


def created_view(registration: Registration, task: Task) -> RegistrationView:
    """What `get` would answer for a registration just made on a task that goes on, at no cost."""
    return RegistrationView(
        registration=registration,
        state=RegistrationState.WATCHING,
        task=TaskView(
            state=task.state,
            polls=task.polls,
            last_poll_at=task.last_poll_at,
            last_poll_result=task.last_poll_result,
            last_poll_http_status=task.last_poll_http_status,
            next_at=task.next_at if task.leased_until is None else None,
        ),
    )


def _joined(body: ColumnElement[Any]) -> Select[Any]:
    return (
        select(*_COLUMNS, body)
        .join_from(registrations, tasks, registrations.c.task == tasks.c.ref)
        .outerjoin(reports, reports.c.task == tasks.c.ref)
        .outerjoin(events, events.c.registration == registrations.c.id)
        .outerjoin(deliveries, deliveries.c.registration == registrations.c.id)
        .outerjoin(lanes, lanes.c.name == deliveries.c.lane)
    )


def _view(row: AnyRow) -> RegistrationView:
    return RegistrationView(
        registration=registration_of(row),
        state=RegistrationState(row.registration_state),
        task=TaskView(
            state=TaskState(row.task_state),
            status=None if row.status is None else row.status.decode(),
            run_id=row.run_id,
            polls=row.polls,
            last_poll_at=row.last_poll_at,
            last_poll_result=None if row.last_poll_result is None else PollResult(row.last_poll_result),
            last_poll_http_status=row.last_poll_http_status,
            next_at=row.next_poll_at,
        ),
        event=None if row.type is None else _event(row),
        delivery=None if row.attempts is None else _delivery(row),
    )


def _event(row: AnyRow) -> EventView:
    return EventView(
        id=event_id_of(row.id), type=EventType(row.type), created_at=row.announced_at, body=row.body
    )


def _delivery(row: AnyRow) -> DeliveryView:
    return DeliveryView(
        attempts=row.attempts,
        last_http_status=row.last_http_status,
        last_error=row.last_error,
        next_at=row.next_attempt_at,
        delivered_at=row.delivered_at,
        dead_reason=None if row.dead_reason is None else DeadReason(row.dead_reason),
    )
