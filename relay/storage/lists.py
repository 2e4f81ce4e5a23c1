"""Lists of registrations: whatever they are narrowed by, an index leads to the page, newest first.

Of what kind a registration is no index knows: it is asked of each along the way, of so many to a page.
"""

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
MOST_LOOKED_AT: Final = 10_000
"""Rows to a page of a kind, which may be rare among them: some 30 ms of whoever else wants to read on SQLite."""
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
    reach: int = MOST_LOOKED_AT
    """How many are looked at for a page of a kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """`older` is what the next page lies beyond, None after the last: before that a page may be short, and even empty."""

    found: Sequence[RegistrationView]
    older: RegistrationId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    """Rows along an index, newest first; those of this kind are wanted, None for all."""

    rows: Select[Any]
    kind: str | None
    reach: int

    @property
    def ids(self) -> Select[tuple[RegistrationId]]:
        return self.rows.with_only_columns(self.rows.selected_columns.id)

    @property
    def end(self) -> Select[Any]:
        """The last row that a page looks at, if there are so many."""
        return self.ids.offset(self.reach - 1).limit(1)

    def page(self, limit: int) -> Select[tuple[RegistrationId]]:
        if self.kind is None:
            return self.ids.limit(limit)
        rows = self.rows.limit(self.reach).subquery()
        # Looked up for each row: joined, PostgreSQL would rather read every task there is.
        kind = select(tasks.c.kind).where(tasks.c.ref == rows.c.task).scalar_subquery()
        return select(rows.c.id).where(kind == self.kind).order_by(rows.c.id.desc()).limit(limit)


def find_page(connection: Connection, wanted: Filter) -> Listed:
    """Newest first, without their events' bodies."""
    walks = _walks(wanted)
    found = get_page(connection, _page_of(walks, wanted.limit + 1))
    reached: RegistrationId | None = None
    if len(walks) > 1 or len(found) <= wanted.limit:
        ends = [connection.scalar(walk.end) for walk in walks if walk.kind is not None]
        reached = max((end for end in ends if end is not None), default=None)
        # What lies beyond was looked at in part: it belongs to the pages that come.
        found = [view for view in found if reached is None or view.registration.id >= reached]
    shown = found[: wanted.limit]
    return Listed(found=shown, older=shown[-1].registration.id if len(found) > wanted.limit else reached)


def find(connection: Connection, wanted: Filter) -> list[RegistrationView]:
    """A page without what lies beyond it."""
    return get_page(connection, page_of(wanted))


def page_of(wanted: Filter) -> Select[tuple[RegistrationId]]:
    """Selects the ids."""
    return _page_of(_walks(wanted), wanted.limit)


def count_dead(connection: Connection, reason: DeadReason, most: int) -> int:
    """How many registrations are dead for that reason; counting ends at `most`."""
    some = select(_D.registration).where(_D.dead_reason == reason).limit(most).subquery()
    return connection.execute(select(func.count()).select_from(some)).scalar_one()


def _page_of(walks: Sequence[_Walk], limit: int) -> Select[tuple[RegistrationId]]:
    pages = [walk.page(limit) for walk in walks]
    if len(pages) == 1:
        return pages[0]
    found = union_all(*(select(page.subquery().c.id) for page in pages)).subquery()
    return select(found.c.id).order_by(found.c.id.desc()).limit(limit)


def _walks(wanted: Filter) -> list[_Walk]:
    if wanted.task_id is not None:
        return [_of_task(wanted, wanted.task_id)]
    if wanted.origin is not None:
        return _of_origin(wanted, wanted.origin)
    if wanted.dead_reason is not None:
        # By the delivery's own key: the index on the reason gives the order.
        states = {RegistrationState.DEAD, wanted.state or RegistrationState.DEAD}
        rows = _rows(
            wanted,
            [],
            _D.registration,
            _R.client == wanted.client,
            *(_R.state == state for state in sorted(states)),
        )
        return [_Walk(rows=rows, kind=wanted.kind, reach=wanted.reach)]
    path = [(_R.client, wanted.client)]
    rows = _rows(wanted, path if wanted.state is None else [*path, (_R.state, wanted.state)], _R.id)
    return [_Walk(rows=rows, kind=wanted.kind, reach=wanted.reach)]


def _rows(
    wanted: Filter,
    path: Sequence[tuple[ColumnElement[Any], str]],
    key: ColumnElement[Any],
    *conditions: ColumnElement[bool],
) -> Select[Any]:
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
    rows = select(key.label("id"), _R.task).select_from(registrations)
    if wanted.dead_reason is not None:
        dead = _D.dead_reason == wanted.dead_reason
        rows = rows.join(deliveries, _D.registration == _R.id).where(dead)
    return (
        rows.where(
            place >= tuple_(*values, literal(first, _R.id.type)),
            place < tuple_(*values, literal(beyond, _R.id.type)),
        )
        .where(*conditions)
        .order_by(*(column.desc() for column in columns), key.desc())
    )


def _of_task(wanted: Filter, task_id: str) -> _Walk:
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
    rows = _rows(wanted, [], _R.id.concat(""), *conditions)
    return _Walk(rows=rows, kind=None, reach=wanted.reach)


def _of_origin(wanted: Filter, origin: str) -> list[_Walk]:
    """State by state, of those that have ended by the index on the origin, too; what is open is never very much."""
    possible = RegistrationState if wanted.dead_reason is None else (RegistrationState.DEAD,)
    walks = []
    for state in possible if wanted.state is None else (wanted.state,):
        path = [(_R.client, wanted.client), (_R.state, state)]
        if state in _OPEN:
            rows = _rows(wanted, path, _R.id, _R.origin == origin)
        else:
            rows = _rows(wanted, [*path, (_R.origin, origin)], _R.id, _R.closed_at.is_not(None))
        walks.append(_Walk(rows=rows, kind=wanted.kind, reach=wanted.reach))
    return walks
