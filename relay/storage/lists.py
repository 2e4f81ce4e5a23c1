"""Lists of registrations: whatever they are narrowed by, an index leads to the page, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, func, literal, select, tuple_, union_all

from relay.domain.deliveries import DeadReason
from relay.domain.ids import RegistrationId, first_registration_id, task_ref
from relay.domain.instants import Instant
from relay.domain.kinds import KINDS
from relay.domain.registrations import RegistrationState
from relay.storage.tables import deliveries, registrations, tasks
from relay.storage.views import RegistrationView, get_page

_R, _D = registrations.c, deliveries.c
EARLIEST: Final = RegistrationId("reg_")
LATEST: Final = RegistrationId("reg_g")
"""Beyond every id, whose digits end at f."""
_OPEN: Final = frozenset({RegistrationState.WATCHING, RegistrationState.DELIVERING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a list shows: what was registered from `since` on and before `until`.

    `before` is the id of the last registration of the page before.
    """

    client: str
    state: RegistrationState | None = None
    kind: str | None = None
    task_id: str | None = None
    origin: str | None = None
    dead_reason: DeadReason | None = None
    since: Instant | None = None
    until: Instant | None = None
    before: RegistrationId | None = None
    limit: int


def find(connection: Connection, wanted: Filter) -> list[RegistrationView]:
    """Newest first, without their events' bodies."""
    return get_page(connection, page_of(wanted))


def page_of(wanted: Filter) -> Select[tuple[RegistrationId]]:
    """Selects the ids."""
    if wanted.task_id is not None:
        return _of_task(wanted, wanted.task_id)
    if wanted.origin is not None:
        return _of_origin(wanted, wanted.origin)
    if wanted.dead_reason is not None:
        # By the delivery's own key: the index on the reason gives the order.
        states = {RegistrationState.DEAD, wanted.state or RegistrationState.DEAD}
        return _page(
            wanted,
            [],
            _D.registration,
            _R.client == wanted.client,
            *(_R.state == state for state in sorted(states)),
        )
    path = [(_R.client, wanted.client)]
    return _page(wanted, path if wanted.state is None else [*path, (_R.state, wanted.state)], _R.id)


def count_dead(connection: Connection, reason: DeadReason, most: int) -> int:
    """How many registrations are dead for that reason; counting ends at `most`."""
    some = select(_D.registration).where(_D.dead_reason == reason).limit(most).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def _page(
    wanted: Filter,
    path: Sequence[tuple[ColumnElement[Any], str]],
    key: ColumnElement[Any],
    *conditions: ColumnElement[bool],
) -> Select[tuple[RegistrationId]]:
    """Along an index whose columns are those of `path`, which are to have these values, and then `key`.

    The path is bounded and ordered by like the key, instead of being compared with: in the order of ids alone PostgreSQL may
    walk over every registration there is, in the hope of coming across a pageful early.
    """
    columns = [column for column, _ in path]
    values = [literal(value, column.type) for column, value in path]
    place = tuple_(*columns, key)
    first = EARLIEST if wanted.since is None else first_registration_id(wanted.since)
    beyond = min(
        LATEST if wanted.until is None else first_registration_id(wanted.until), wanted.before or LATEST
    )
    return (
        _narrowed(wanted, key)
        .where(
            place >= tuple_(*values, literal(first, _R.id.type)),
            place < tuple_(*values, literal(beyond, _R.id.type)),
        )
        .where(*conditions)
        .order_by(*(column.desc() for column in columns), key.desc())
        .limit(wanted.limit)
    )


def _narrowed(wanted: Filter, key: ColumnElement[Any]) -> Select[tuple[RegistrationId]]:
    """By what other tables know."""
    statement = select(key.label("id")).select_from(registrations)
    if wanted.dead_reason is not None:
        dead = _D.dead_reason == wanted.dead_reason
        statement = statement.join(deliveries, _D.registration == _R.id).where(dead)
    if wanted.kind is not None and wanted.task_id is None:
        statement = statement.join(tasks, tasks.c.ref == _R.task).where(tasks.c.kind == wanted.kind)
    return statement


def _of_task(wanted: Filter, task_id: str) -> Select[tuple[RegistrationId]]:
    """A task has only so many, which are sorted; its name is one client's.

    By an expression, for no index must seem to give the order: the walk over all ids is what SQLite would choose.
    """
    kinds = KINDS if wanted.kind is None else (wanted.kind,)
    conditions: list[ColumnElement[bool]] = [
        _R.task.in_([task_ref(wanted.client, kind, task_id) for kind in kinds])
    ]
    if wanted.origin is not None:
        conditions.append(_R.origin == wanted.origin)
    if wanted.state is not None:
        conditions.append(_R.state == wanted.state)
    return _page(wanted, [], _R.id.concat(""), *conditions)


def _of_origin(wanted: Filter, origin: str) -> Select[tuple[RegistrationId]]:
    """State by state, of those that have ended by the index on the origin, too; what is open is never very much."""
    possible = RegistrationState if wanted.dead_reason is None else (RegistrationState.DEAD,)
    branches = []
    for state in possible if wanted.state is None else (wanted.state,):
        path = [(_R.client, wanted.client), (_R.state, state)]
        if state in _OPEN:
            page = _page(wanted, path, _R.id, _R.origin == origin)
        else:
            page = _page(wanted, [*path, (_R.origin, origin)], _R.id, _R.closed_at.is_not(None))
        branches.append(select(page.subquery().c.id))
    found = union_all(*branches).subquery()
    return select(found.c.id).order_by(found.c.id.desc()).limit(wanted.limit)
