"""What people read about how things stand: counts that end at a bound, however much there is, and what died by its kind."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import orjson
from sqlalchemy import Connection, TextClause, func, select, text

from relay.domain.deliveries import DeadReason
from relay.domain.instants import Instant, Span
from relay.domain.lanes import LaneName, client_of
from relay.domain.registrations import RegistrationState
from relay.domain.survey import Backlog, Count, DeadGroup, Survey, health_of
from relay.storage import lanes, lists
from relay.storage.lists import EARLIEST, LATEST, Filter
from relay.storage.queue import DELIVERIES, EVERY_LANE, TASKS, Found, Window
from relay.storage.tables import deliveries, registrations

MOST_COUNTED: Final = 10_000
"""Of each number; beyond that it is a lower bound."""
MOST_ORIGINS: Final = 1_000
"""Looked at for what is due; beyond that there may be more."""
MOST_GROUPS: Final = 200
"""The largest, which are shown."""

_R, _D = registrations.c, deliveries.c
_Held = Callable[[Sequence[LaneName]], Collection[LaneName]]


def _counting(table: str, key: str, *, sqlite: str, postgresql: str) -> dict[str, TextClause]:
    """Rows whose `key` is among the wanted: each of those is looked up in an index, and walked along it, up to the bound."""
    return {
        "sqlite": text(
            f"SELECT count(*) FROM (SELECT 1 FROM json_each(:wanted) AS wanted CROSS JOIN {table}"  # noqa: S608 - made of constants of this module
            f" WHERE {table}.{key} = wanted.value AND {sqlite} LIMIT :most)"
        ),
        # In the index's own order: else the whole table may seem to be the shorter way.
        "postgresql": text(
            "SELECT count(*) FROM (SELECT 1 FROM unnest(CAST(:wanted AS text[])) AS wanted (value)"  # noqa: S608 - made of constants of this module
            f" CROSS JOIN LATERAL (SELECT 1 FROM {table} WHERE {postgresql} LIMIT :most) AS found"
            " LIMIT :most) AS counted"
        ),
    }


def _counting_due(table: str, lane: str) -> dict[str, TextClause]:
    due = "next_at IS NOT NULL AND next_at <= :now"
    return _counting(
        table, lane, sqlite=due, postgresql=f"{lane} = wanted.value AND {due} ORDER BY {lane}, next_at"
    )


_IN_STATE: Final = _counting(
    "registrations",
    "client",
    sqlite="state = :state",
    postgresql=f"(client, state, id) >= (wanted.value, :state, '{EARLIEST}')"
    f" AND (client, state, id) < (wanted.value, :state, '{LATEST}') ORDER BY client, state, id",
)
_DUE_TASKS: Final = _counting_due("tasks", "client")
_DUE_DELIVERIES: Final = _counting_due("deliveries", "lane")
_REASON: Final = (
    # Asked for each row by itself: joined, PostgreSQL would rather read every delivery there is.
    select(_D.dead_reason).where(_D.registration == _R.id).scalar_subquery().label("reason")
)


def survey(connection: Connection, keys: Mapping[LaneName, tuple[str, ...]], now: Instant) -> Survey:
    """How things stand for the clients on these CAMB keys."""
    clients = {name for names in keys.values() for name in names}
    known = lanes.read(connection, keys.keys())
    resting = {name for key, lane in known.items() if now < lane.paused_until for name in keys[key]}

    def in_state(state: RegistrationState) -> Count:
        return _counted(connection, _IN_STATE, clients, {"state": state})

    def waiting_for_key(due: Sequence[LaneName]) -> Collection[LaneName]:
        return {lane for lane in due if lane in resting}

    def waiting_for_origin(due: Sequence[LaneName]) -> Collection[LaneName]:
        return {name for name, lane in lanes.read(connection, due).items() if now < lane.paused_until}

    first, last = min(clients, default=""), max(clients, default="")
    polls = Window(after=LaneName(first[:-1]), beyond=LaneName(f"{last} "), most=EVERY_LANE.most)
    origins = Window(after=LaneName(f"{first} "), beyond=LaneName(f"{last}!"), most=MOST_ORIGINS)
    return Survey(
        at=now,
        watching=in_state(RegistrationState.WATCHING),
        delivering=in_state(RegistrationState.DELIVERING),
        dead=in_state(RegistrationState.DEAD),
        tasks=_backlog(
            connection, TASKS.find(connection, now, {}, polls), clients, now, _DUE_TASKS, waiting_for_key
        ),
        deliveries=_backlog(
            connection,
            DELIVERIES.find(connection, now, {}, origins),
            clients,
            now,
            _DUE_DELIVERIES,
            waiting_for_origin,
        ),
        keys=health_of(keys, known, now),
    )


def dead_groups(connection: Connection, client: str, most: int) -> list[DeadGroup]:
    """The newest `most` by reason and origin, those first of which there are most."""
    newest = lists.page_of(Filter(client=client, state=RegistrationState.DEAD, limit=most))
    found = newest.add_columns(_R.origin, _R.closed_at, _REASON).subquery()
    count, newest_at = func.count().label("count"), func.max(found.c.closed_at).label("newest_at")
    statement = (
        select(found.c.reason, found.c.origin, count, newest_at, func.sum(func.count()).over().label("read"))
        .group_by(found.c.reason, found.c.origin)
        .order_by(count.desc(), newest_at.desc(), found.c.reason, found.c.origin)
        .limit(MOST_GROUPS)
    )
    return [
        DeadGroup(
            reason=DeadReason(row.reason),
            origin=row.origin,
            count=row[2],
            more=row.read >= most,
            newest_at=Instant(row.newest_at),
        )
        for row in connection.execute(statement)
    ]


def _backlog(
    connection: Connection,
    found: Found,
    clients: Collection[str],
    now: Instant,
    counting: Mapping[str, TextClause],
    held_of: _Held,
) -> Backlog:
    due = {lane.lane: lane.oldest for lane in found.due if client_of(lane.lane) in clients}
    held = held_of(list(due))
    free = due.keys() - held
    cut = found.last is not None
    return Backlog(
        due=_counted(connection, counting, free, {"now": now}, cut=cut),
        late=Span(max((now - due[lane] for lane in free), default=0)),
        held=_counted(connection, counting, held, {"now": now}, cut=cut),
    )


def _counted(
    connection: Connection,
    counting: Mapping[str, TextClause],
    wanted: Collection[str],
    values: Mapping[str, object],
    *,
    cut: bool = False,
) -> Count:
    """`cut` where there may be more than is wanted."""
    dialect, names = connection.dialect.name, sorted(wanted)
    listed = orjson.dumps(names).decode() if dialect == "sqlite" else names
    most = MOST_COUNTED + 1
    count = connection.execute(counting[dialect], {"wanted": listed, "most": most, **values}).scalar_one()
    return Count(value=min(count, MOST_COUNTED), more=cut or count > MOST_COUNTED)
