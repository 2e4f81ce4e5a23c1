"""Lock order everywhere: replay, task, registration, client, event, delivery, attempt, lane, a replay's parts, each by key."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from sqlalchemy import Connection, event, text

from relay.domain.deliveries import Accepted, Dead, DeadReason, Rejected
from relay.domain.instants import DAY, HOUR, MINUTE, Instant
from relay.domain.lanes import LaneName
from relay.domain.registrations import RegistrationState
from relay.storage import attempts, expiry, polls, registrations, replaying, retention
from tests.storage import replaying as replay_seeds
from tests.storage.store import BASE_URLS, LOST, NOT_FOUND, SERVER_ERROR, SLOTS, SUCCESS, Store

ORDER: Final = (
    "replays",
    "tasks",
    "registrations",
    "clients",
    "events",
    "deliveries",
    "attempts",
    "lanes",
    "replay_parts",
)
_WRITES: Final = re.compile(r"\s*(?:INSERT INTO|UPDATE|DELETE FROM) (\w+)")
_LOCKS: Final = re.compile(
    r"FROM (\w+).*?(?:ORDER BY (\S+) )?FOR (?:NO KEY )?UPDATE(?: OF (\w+))?", re.DOTALL
)

Work = Callable[[Connection], object]
GONE = Dead(reason=DeadReason.GONE)


@dataclass(slots=True)
class Locks:
    """The tables in the order of their first lock, and the statements that lock several rows in no order of keys."""

    tables: list[str] = field(default_factory=list)
    unordered: list[str] = field(default_factory=list)

    def see(self, sql: str, values: Any) -> None:  # noqa: ANN401 - as the driver gets them
        if found := _WRITES.match(sql):
            self._touch(found[1])
            if isinstance(values, list) and "lanes" not in sql:
                self._check_rows(sql, values)
        elif found := _LOCKS.search(sql):
            self._touch(found[3] or found[1])
            if found[2] is None and " IN (" in sql:
                self.unordered.append(sql)

    def _touch(self, table: str) -> None:
        if table in ORDER and table not in self.tables:
            self.tables.append(table)

    def _check_rows(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """One of the columns is the key: the rows follow it."""
        columns = list(zip(*rows, strict=True))
        keys = [column for column in columns if len(set(column)) == len(rows) and isinstance(column[0], str)]
        if not any(list(column) == sorted(column) for column in keys):
            self.unordered.append(sql)


async def locks_of(store: Store, work: Work) -> Locks:
    locks = Locks()

    def watched(connection: Connection) -> None:
        def before(conn: object, cursor: object, sql: str, values: object, *_: object) -> None:
            locks.see(sql, values)

        event.listen(connection, "before_cursor_execute", before)
        work(connection)

    await store.write(watched)
    return locks


async def new_registrations(store: Store) -> Work:
    wanted = [store.wanted(f"t-{number}") for number in range(1, 10)][::-1]
    return lambda connection: registrations.register(connection, wanted, BASE_URLS)


async def late_registrations(store: Store) -> Work:
    await several_tasks(store)
    await store.end_all()
    wanted = [
        store.wanted(f"t-{number}", client=name, hook="/late")
        for number in range(9, 0, -1)
        for name in BASE_URLS
    ]
    return lambda connection: registrations.register(connection, wanted, BASE_URLS)


async def several_tasks(store: Store, lasts: int = DAY) -> None:
    await store.register(
        *(
            store.wanted(f"t-{number}", client=name, lasts=lasts)
            for number in range(1, 10)
            for name in BASE_URLS
        )
    )


async def a_cancel(store: Store) -> Work:
    wanted = await store.delivering()
    return lambda connection: registrations.cancel(connection, "shop", wanted.id, store.now)


async def a_redelivery(store: Store) -> Work:
    wanted = await store.delivered()
    return lambda connection: registrations.redeliver(connection, "shop", wanted.id, store.now)


async def expiries(store: Store) -> Work:
    await several_tasks(store, lasts=MINUTE)
    store.time.advance(HOUR)
    return lambda connection: expiry.expire(connection, BASE_URLS.keys(), store.now, 500)


async def answers(store: Store) -> Work:
    await several_tasks(store)
    keys = {name: polls.KeyRoom(lane=LaneName(f"key {name}"), slots=50) for name in BASE_URLS}
    rows = (await store.claim_polls(store.poll_claim(keys=keys))).rows
    kinds = (SUCCESS, SERVER_ERROR, NOT_FOUND)
    outcomes = [store.polled(row, kinds[place % 3]) for place, row in enumerate(reversed(rows))]
    return lambda connection: polls.record(connection, outcomes, LOST)


async def outcomes(store: Store) -> Work:
    await several_tasks(store)
    await store.end_all()
    claim = await store.claim_deliveries(store.delivery_claim(clients=list(BASE_URLS), slots_per_lane=50))
    ways = (
        (Accepted(http_status=200), None),
        (Rejected(http_status=410), GONE),
        (Rejected(http_status=429), None),
    )
    tried = [store.tried(row, *ways[place % 3]) for place, row in enumerate(reversed(claim.rows))]
    return lambda connection: attempts.record(connection, tried, SLOTS)


async def a_step_of_a_replay(store: Store) -> Work:
    for number in range(9, 0, -1):
        await replay_seeds.dead(store, f"t-{number}", origin=f"https://{number % 3}.example")
    replay = await replay_seeds.counted(store)
    return lambda connection: replaying.step(connection, replay.id, store.now)


async def a_pruning(store: Store) -> Work:
    for number in range(4):
        await store.delivered(store.wanted(f"t-{number}"))
    store.time.advance(1)
    return lambda connection: retention.prune(connection, RegistrationState.DELIVERED, store.now, 500)


async def a_healing(store: Store) -> Work:
    await store.delivering()
    await store.run("DELETE FROM deliveries")
    await store.run("DELETE FROM events")
    await store.run("UPDATE registrations SET state = 'watching', verdict_at = expires_at")
    return lambda connection: retention.heal(connection, BASE_URLS)


@pytest.mark.parametrize(
    ("make", "tables"),
    [
        (new_registrations, ["tasks", "registrations"]),
        (late_registrations, ["tasks", "registrations", "clients", "events", "deliveries"]),
        (a_cancel, ["tasks", "registrations", "deliveries"]),
        (a_redelivery, ["tasks", "registrations", "deliveries", "attempts"]),
        (expiries, ["tasks", "registrations", "clients", "events", "deliveries"]),
        (answers, ["tasks", "registrations", "clients", "events", "deliveries", "lanes"]),
        (outcomes, ["registrations", "deliveries", "attempts", "lanes"]),
        (a_step_of_a_replay, ["replays", "tasks", "registrations", "deliveries", "attempts", "replay_parts"]),
        (a_pruning, ["tasks", "registrations", "clients", "events", "deliveries", "attempts"]),
        (a_healing, ["tasks", "registrations", "clients", "events", "deliveries"]),
    ],
)
async def test_every_transaction_takes_its_locks_in_the_one_order(
    postgres: Store, make: Callable[[Store], Awaitable[Work]], tables: list[str]
) -> None:
    locks = await locks_of(postgres, await make(postgres))

    assert locks.tables == tables
    assert sorted(tables, key=ORDER.index) == tables
    assert locks.unordered == []


async def test_clients_are_raised_in_the_order_of_their_names(postgres: Store) -> None:
    await several_tasks(postgres)
    raised: list[str] = []

    def watched(connection: Connection) -> None:
        def before(conn: object, cursor: object, sql: str, values: Any, *_: object) -> None:  # noqa: ANN401 - whatever a driver takes for values
            if "INSERT INTO clients" in sql:
                raised.extend(value for value in values if isinstance(value, str))

        event.listen(connection, "before_cursor_execute", before)
        expiry.expire(connection, BASE_URLS.keys(), Instant(postgres.now + 2 * DAY), 500)

    await postgres.write(watched)

    assert raised == sorted(BASE_URLS)


async def test_batches_in_opposite_orders_never_run_into_a_deadlock(postgres: Store) -> None:
    names = [f"t-{number}" for number in range(300)]
    for round_ in range(5):
        forth = [postgres.wanted(name, hook=f"/forth/{round_}") for name in names]
        back = [postgres.wanted(name, hook=f"/back/{round_}") for name in reversed(names)]
        await asyncio.gather(postgres.register(*forth), postgres.register(*back))

    # A connection reports what it counted when it ends.
    await postgres.database.close()
    deadlocks = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    async with postgres.another_process() as other:
        counted = await other.database.read(lambda connection: connection.scalar(deadlocks))

    assert counted == 0
