"""Rows of `lanes`: budgets of CAMB keys, pauses of keys and callback origins. The last rows that any transaction locks."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    Result,
    RowMapping,
    Select,
    bindparam,
    case,
    delete,
    exists,
    or_,
    select,
    text,
    update,
)

from relay.domain.instants import Instant
from relay.domain.lanes import Cause, Lane, LaneName
from relay.storage.many import Saving
from relay.storage.tables import deliveries, lanes

_MOST_NAMED: Final = 10_000
"""In one statement: PostgreSQL takes 32,767 parameters, and SQLite 32,766 unless it was built for more."""

_ALL: Final = tuple(lanes.c)
_MAKE: Final = text(
    "INSERT INTO lanes (name, spent_until, paused_until, paused_at, failures) VALUES (:name, 0, 0, 0, 0)"
    " ON CONFLICT (name) DO NOTHING"
)
_NAMED: Final = (
    select(*_ALL).where(lanes.c.name.in_(bindparam("names", expanding=True))).order_by(lanes.c.name)
)
_LOCK: Final = _NAMED.with_for_update(key_share=True)
_LOCK_FREE: Final = _NAMED.with_for_update(key_share=True, skip_locked=True)
_HELD_BACK: Final = select(*_ALL).where(
    or_(lanes.c.slots.is_not(None), lanes.c.paused_until > bindparam("b_now"))
)
_HELD_BACK_BETWEEN: Final = (
    _HELD_BACK.where(lanes.c.name > bindparam("after"), lanes.c.name < bindparam("beyond"))
    .order_by(lanes.c.name)
    .limit(bindparam("most"))
)
_SAVE: Final = Saving(
    lanes, key=lanes.c.name, values=(column for column in lanes.c if column is not lanes.c.name)
)
_PAUSED: Final = select(lanes.c.name, lanes.c.paused_until).where(lanes.c.paused_until > bindparam("b_now"))
_PULL_IN: Final = (
    update(lanes).where(lanes.c.paused_until > bindparam("b_latest")).values(paused_until=bindparam("b_now"))
)
_LATER: Final = lanes.c.failing_since + bindparam("b_absence", type_=BigInteger)
_FORGIVE: Final = (
    update(lanes)
    .where(lanes.c.failing_since.is_not(None))
    .values(
        failing_since=case((bindparam("b_now") > _LATER, _LATER), else_=bindparam("b_now", type_=BigInteger))
    )
)
_FORGET: Final = (
    delete(lanes)
    .where(lanes.c.paused_until <= bindparam("b_before"), lanes.c.paused_at <= bindparam("b_before"))
    .where(lanes.c.spent_until == 0)
    .where(~exists().where(deliveries.c.lane == lanes.c.name, deliveries.c.next_at.is_not(None)))
)


def lock(connection: Connection, names: Collection[LaneName]) -> dict[LaneName, Lane]:
    """Every named lane, made where it is missing, locked in the order of names until the transaction ends."""
    ordered = sorted(set(names))
    if not ordered:
        return {}
    found = _locked(connection, ordered)
    missing = [name for name in ordered if name not in found]
    if missing:
        connection.execute(_MAKE, [{"name": name} for name in missing])
        found = _locked(connection, ordered)
    return found


def save(connection: Connection, changed: Iterable[Lane]) -> None:
    _SAVE.run(connection, {lane.name: lane for lane in changed})


def change(connection: Connection, changes: Mapping[LaneName, Callable[[Lane], Lane]]) -> list[Lane]:
    """Apply each lane's change under its lock; answers with the lanes that came out different."""
    before = lock(connection, changes.keys())
    after = [changes[name](lane) for name, lane in before.items()]
    changed = [lane for lane in after if lane != before[lane.name]]
    save(connection, changed)
    return changed


def held_back(connection: Connection, now: Instant) -> dict[LaneName, Lane]:
    """Lanes that are paused or have fewer slots than are configured; the others are not looked at."""
    return _by_name(connection.execute(_HELD_BACK, {"b_now": now}))


def held_back_among(
    connection: Connection, names: Collection[LaneName], now: Instant
) -> dict[LaneName, Lane]:
    """Those of the named ones."""
    known = read(connection, names)
    return {name: lane for name, lane in known.items() if lane.held_back(now)}


def held_back_between(
    connection: Connection, after: LaneName, beyond: LaneName, now: Instant, most: int
) -> dict[LaneName, Lane]:
    """The first of those whose names lie between these two."""
    values = {"after": after, "beyond": beyond, "b_now": now, "most": most}
    return _by_name(connection.execute(_HELD_BACK_BETWEEN, values))


def read(connection: Connection, names: Collection[LaneName]) -> dict[LaneName, Lane]:
    """Those of the named lanes that have a row, without a lock."""
    return _in_slices(connection, _NAMED, names)


def lock_free(connection: Connection, names: Collection[LaneName]) -> dict[LaneName, Lane]:
    """Those of the lanes that nobody else has locked, locked until the transaction ends."""
    return _in_slices(connection, _LOCK_FREE, names)


def paused(connection: Connection, now: Instant) -> dict[LaneName, Instant]:
    """Lanes that nothing may be claimed from yet, and until when."""
    rows = connection.execute(_PAUSED, {"b_now": now})
    return {LaneName(name): Instant(until) for name, until in rows}


def pull_in(connection: Connection, now: Instant, longest: int) -> None:
    """End the pauses that last longer than any pause may."""
    connection.execute(_PULL_IN, {"b_latest": now + longest, "b_now": now})


def forgive(connection: Connection, absence: int, now: Instant) -> None:
    """Leave so long out of the time that origins have been failing for."""
    connection.execute(_FORGIVE, {"b_absence": absence, "b_now": now})


def forget(connection: Connection, before: Instant) -> int:
    """Drop origin lanes that nothing was taken from since `before` and that no open delivery names; budgets stay."""
    return connection.execute(_FORGET, {"b_before": before}).rowcount


def _locked(connection: Connection, names: list[LaneName]) -> dict[LaneName, Lane]:
    return _by_name(connection.execute(_LOCK, {"names": names}))


def _in_slices(
    connection: Connection, statement: Select[Any], names: Collection[LaneName]
) -> dict[LaneName, Lane]:
    ordered = sorted(names)
    found: dict[LaneName, Lane] = {}
    for begin in range(0, len(ordered), _MOST_NAMED):
        found |= _by_name(connection.execute(statement, {"names": ordered[begin : begin + _MOST_NAMED]}))
    return found


def _by_name(rows: Result[*tuple[Any, ...]]) -> dict[LaneName, Lane]:
    return {row["name"]: _lane(row) for row in rows.mappings()}


def _lane(row: RowMapping) -> Lane:
    return Lane(**{**row, "cause": None if row["cause"] is None else Cause(row["cause"])})
