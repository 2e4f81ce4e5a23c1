"""One protocol for both queues: find the lanes with due work, then claim some of each; a claim is a lease."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Column, Connection, Table, bindparam, func, select, text, update

from relay.domain.instants import MINUTE, Instant
from relay.domain.lanes import LaneName, client_of
from relay.storage import lanes, tables
from relay.storage.queue_statements import claim_statements, find_statements, skip_scan
from relay.storage.tables import AnyRow

T = TypeVar("T")

LOOK_BACK: Final = MINUTE
"""How far below the oldest due row of the last look the next one begins: far enough for every other replica's clock."""
_FOR_EVER: Final = Instant(2**62)


@dataclass(frozen=True, slots=True, kw_only=True)
class DueLane:
    """A lane with work that is due since `oldest`."""

    lane: LaneName
    oldest: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """Claim at most `count` rows of the lane."""

    lane: LaneName
    oldest: Instant
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A claimed row: `fence` is the claim's number, without which nothing but a 2xx may be recorded."""

    key: str
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Generic[T]):
    """What was claimed, whether more is due than could be taken, and the lane that was served last.

    `unseen` is whether lanes are left that have not been looked at in this round.
    """

    rows: Sequence[T] = ()
    more: bool = False
    unseen: bool = False
    last: LaneName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The first `most` lanes between two names."""

    after: LaneName
    beyond: LaneName
    most: int


EVERY_LANE: Final = Window(after=LaneName(""), beyond=LaneName("{"), most=2**31 - 1)
"""Lanes begin with their client's name, and so with a letter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is due in a window; `last` is its last lane where it holds as many as it may, and there may be more."""

    due: Sequence[DueLane]
    last: LaneName | None = None


class Queue:
    """A queue table's statements, made once.

    `lane` names the column whose rows wait together, `key` the row's own; `told` are the columns that a claim answers with.
    """

    def __init__(
        self, table: Table, *, lane: Column[Any], key: Column[Any], told: Sequence[Column[Any]]
    ) -> None:
        self._find = {dialect: text(sql) for dialect, sql in find_statements(table, lane).items()}
        every = f"{skip_scan(table, lane)} SELECT lane FROM lanes WHERE lane IS NOT NULL"  # noqa: S608 - its names come from tables.py
        self._lanes = text(every).bindparams(**asdict(EVERY_LANE))
        self._claim = {
            dialect: text(sql) for dialect, sql in claim_statements(table, lane, key, told).items()
        }
        self._release = (
            update(table)
            .where(key == bindparam("b_key"), table.c.fence == bindparam("b_fence"))
            .where(table.c.leased_until.is_not(None))
            .values(next_at=bindparam("b_now"), leased_until=None)
        )
        self._release_all = (
            update(table)
            .where(table.c.next_at.is_not(None), table.c.leased_until.is_not(None))
            .values(next_at=bindparam("b_now"), leased_until=None)
        )
        self._pull_in = (
            update(table).where(table.c.next_at > bindparam("b_latest")).values(next_at=bindparam("b_now"))
        )
        self._count = (
            select(func.count())
            .select_from(table)
            .where(lane == bindparam("b_lane"), table.c.next_at <= bindparam("b_now"))
        )

    def find(
        self,
        connection: Connection,
        now: Instant,
        floors: Mapping[LaneName, Instant],
        window: Window = EVERY_LANE,
    ) -> Found:
        """Lanes with due rows, by skip scan: the work grows with the lanes, not with the rows.

        On PostgreSQL `floors` keeps each lane's look from walking over the dead entries that claims leave behind.
        """
        values: dict[str, Any] = {
            "now": now,
            "after": window.after,
            "beyond": window.beyond,
            "most": window.most,
        }
        dialect = connection.dialect.name
        if dialect == "postgresql":
            values |= {"lanes": list(floors), "floors": [floor - LOOK_BACK for floor in floors.values()]}
        rows = connection.execute(self._find[dialect], values).all()
        due = [
            DueLane(lane=LaneName(lane), oldest=Instant(oldest))
            for lane, _, oldest in rows
            if oldest is not None
        ]
        full = bool(rows) and rows[-1].number == window.most
        return Found(due=due, last=LaneName(rows[-1].lane) if full else None)

    def claim(
        self, connection: Connection, takes: Sequence[Take], now: Instant, leased_until: Instant
    ) -> Sequence[AnyRow]:
        """Rows of the key, the fence and the columns told."""
        if not takes:
            return []
        if connection.dialect.name == "postgresql":
            return connection.execute(
                self._claim["postgresql"],
                {
                    "now": now,
                    "until": leased_until,
                    "lanes": [take.lane for take in takes],
                    "floors": [take.oldest - LOOK_BACK for take in takes],
                    "counts": [take.count for take in takes],
                },
            ).all()
        return [
            row
            for take in takes
            for row in connection.execute(
                self._claim["sqlite"],
                {"now": now, "until": leased_until, "lane": take.lane, "count": take.count},
            ).all()
        ]

    def release(self, connection: Connection, held: Sequence[Held], now: Instant) -> None:
        """Give back what was never dialled: it is due again at once, unless somebody else has claimed it since."""
        rows = [
            {"b_key": row.key, "b_fence": row.fence, "b_now": now}
            for row in sorted(held, key=lambda row: row.key)
        ]
        connection.execute(self._release, rows)

    def release_all(self, connection: Connection, now: Instant) -> None:
        """For the only process of a database that has just started: whoever held a lease is gone."""
        connection.execute(self._release_all, {"b_now": now})

    def pull_in(self, connection: Connection, now: Instant, longest: int) -> None:
        connection.execute(self._pull_in, {"b_latest": now + longest, "b_now": now})

    def count_held(self, connection: Connection, clients: Container[str]) -> int:
        """Rows that wait for clients which are not among these."""
        lanes = [LaneName(lane) for lane in connection.scalars(self._lanes)]
        held = [DueLane(lane=lane, oldest=Instant(0)) for lane in lanes if client_of(lane) not in clients]
        return self.count_due(connection, held, _FOR_EVER)

    def count_due(self, connection: Connection, lanes: Sequence[DueLane], now: Instant) -> int:
        return sum(
            connection.execute(self._count, {"b_lane": lane.lane, "b_now": now}).scalar_one()
            for lane in lanes
        )


_TASKS, _DELIVERIES = tables.tasks.c, tables.deliveries.c

TASKS: Final = Queue(
    tables.tasks,
    lane=_TASKS.client,
    key=_TASKS.ref,
    told=(_TASKS.client, _TASKS.kind, _TASKS.task_id, _TASKS.paced_from),
)
DELIVERIES: Final = Queue(
    tables.deliveries,
    lane=_DELIVERIES.lane,
    key=_DELIVERIES.registration,
    told=(_DELIVERIES.lane, _DELIVERIES.round, _DELIVERIES.attempts, _DELIVERIES.failures),
)


def more_is_due(due: Iterable[LaneName], takes: Iterable[Take], taken: Mapping[LaneName, int]) -> bool:
    """Whether any due lane was left out, or gave all that was asked of it."""
    asked = {take.lane: take.count for take in takes}
    return any(taken.get(lane, 0) >= asked.get(lane, 0) for lane in due)


def begin(
    connection: Connection,
    now: Instant,
    longest: Mapping[Queue, int],
    last_seen: Instant | None,
    *,
    alone: bool,
) -> None:
    """What a process does before its first claim; `alone` where no other process can work on this database.

    What waits for more than the longest of its waits was written by a clock that ran ahead. While no worker was alive, from
    `last_seen` until now, no origin has failed anybody.
    """
    if last_seen is not None:
        lanes.forgive(connection, now - last_seen, now)
    for queue, wait in longest.items():
        if alone:
            queue.release_all(connection, now)
        queue.pull_in(connection, now, wait)
    lanes.pull_in(connection, now, max(longest.values()))
