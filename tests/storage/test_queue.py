import asyncio
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from relay.domain.deliveries import Rejected, Retry
from relay.domain.instants import DAY, HOUR, SECOND, Instant, Span
from relay.domain.lanes import LaneName
from relay.storage import polls, queue
from relay.storage.look import FULL_LOOK_EVERY, Look
from relay.storage.polls import ClaimedPoll
from relay.storage.queue import (
    DELIVERIES,
    LOOK_BACK,
    TASKS,
    DueLane,
    Queue,
    Take,
    more_is_due,
)
from tests.storage.interleaving import Gate, held_at_commit, overlapping
from tests.storage.store import LEASE, PENDING, Store

SHOP, BANK = LaneName("shop"), LaneName("bank")
LANES = 5
LATER = 20_000
"""And as many rows are due by then."""


async def tasks(store: Store, count: int, *, client: str = "shop") -> None:
    await store.register(*(store.wanted(f"t-{number}", client=client) for number in range(count)))


async def due(store: Store, which: Queue = TASKS) -> list[DueLane]:
    return list((await store.database.read(which.find, store.now, {})).due)


async def claimed_refs(store: Store, count: int, lane: LaneName = SHOP) -> list[str]:
    take = Take(lane=lane, oldest=Instant(0), count=count)
    rows = await store.write(TASKS.claim, [take], store.now, Instant(store.now + LEASE))
    return [row.ref for row in rows]


async def test_a_claim_leases_what_it_took_and_nobody_takes_it_again(store: Store) -> None:
    await tasks(store, 3)

    first = (await store.claim_polls()).rows
    second = (await store.claim_polls()).rows

    assert len(first) == 3
    assert not second
    assert {(row.fence, row.leased_until) for row in first} == {(1, store.now + LEASE)}
    assert await store.value("SELECT min(leased_until) FROM tasks") == store.now + LEASE


async def test_a_lease_that_ran_out_is_due_by_itself_under_a_new_fence(store: Store) -> None:
    await tasks(store, 1)
    first = await store.claimed_poll()
    store.time.advance(LEASE - 1)
    early = (await store.claim_polls()).rows
    store.time.advance(1)

    second = await store.claimed_poll()

    assert not early
    assert second.ref == first.ref
    assert second.fence == first.fence + 1


async def test_a_claim_takes_no_more_than_its_limit_and_the_oldest_first(store: Store) -> None:
    for number in range(6):
        await store.accept(store.wanted(f"t-{number}"))
        store.time.advance(SECOND)

    taken = (await store.claim_polls(store.poll_claim(free=4))).rows

    assert sorted(row.task_id for row in taken) == ["t-0", "t-1", "t-2", "t-3"]


async def test_nothing_is_claimed_where_nothing_is_asked_for(store: Store) -> None:
    await tasks(store, 1)

    assert await store.write(TASKS.claim, [], store.now, store.now) == []


@pytest.mark.parametrize(("limit", "counts"), [(10, (10, 10)), (15, (15, 5)), (40, (20, 0))])
async def test_two_claimers_at_once_never_overlap_and_never_exceed_their_limits(
    store: Store, limit: int, counts: tuple[int, int]
) -> None:
    await tasks(store, 20)
    takes = [Take(lane=SHOP, oldest=store.now, count=limit)]

    def claim(connection: Connection) -> list[str]:
        return [row.ref for row in TASKS.claim(connection, takes, store.now, Instant(store.now + LEASE))]

    one, two = await overlapping(store, claim, claim)

    assert (len(one), len(two)) == counts
    assert not set(one) & set(two)


async def test_what_was_never_dialled_is_given_back_and_due_at_once(store: Store) -> None:
    await tasks(store, 1)
    claimed = await store.claimed_poll()
    store.time.advance(SECOND)

    await store.write(TASKS.release, [claimed.held], store.now)
    again = await store.claimed_poll()

    assert again.ref == claimed.ref


async def test_a_stalled_worker_gives_back_nothing_that_its_successor_holds(store: Store) -> None:
    await tasks(store, 1)
    stalled = await store.claimed_poll()
    store.time.advance(LEASE)
    await store.claimed_poll()

    await store.write(TASKS.release, [stalled.held], store.now)

    assert not (await store.claim_polls()).rows


async def test_what_was_recorded_is_not_given_back(store: Store) -> None:
    await tasks(store, 1)
    claimed = await store.claimed_poll()
    await store.record_polls(store.polled(claimed, PENDING))

    await store.write(TASKS.release, [claimed.held], store.now)

    assert not (await store.claim_polls()).rows


WAITS = {TASKS: DAY, DELIVERIES: DAY}


async def test_a_process_that_starts_alone_takes_over_every_lease(store: Store) -> None:
    await store.delivering()
    await store.accept(store.wanted("t-2"))
    await store.claimed_poll()
    await store.claimed_delivery()

    await store.write(queue.begin, store.now, WAITS, None, alone=True)

    assert len((await store.claim_polls()).rows) == 1
    assert len((await store.claim_deliveries()).rows) == 1


async def test_a_process_that_starts_beside_others_leaves_them_their_leases(store: Store) -> None:
    await tasks(store, 1)
    await store.claimed_poll()

    await store.write(queue.begin, store.now, WAITS, None, alone=False)

    assert not (await store.claim_polls()).rows


@pytest.mark.parametrize("alone", [True, False])
async def test_what_is_due_beyond_the_longest_wait_becomes_due_at_the_start(
    store: Store, *, alone: bool
) -> None:
    await store.register(store.wanted("ahead"), store.wanted("planned"))
    rows = {row.task_id: row for row in (await store.claim_polls()).rows}
    await store.record_polls(
        store.polled(rows["ahead"], PENDING, again_in=DAY + 1),
        store.polled(rows["planned"], PENDING, again_in=DAY),
    )

    await store.write(queue.begin, store.now, WAITS, None, alone=alone)

    assert [row.task_id for row in (await store.claim_polls()).rows] == ["ahead"]


async def test_a_pause_longer_than_any_may_be_ends_at_the_start(store: Store) -> None:
    await store.delivering()
    far = Rejected(http_status=429, retry_after=Span(2 * DAY))
    await store.attempted(far, Retry(at=store.now))

    await store.write(queue.begin, store.now, WAITS, None, alone=False)

    assert len((await store.claim_deliveries()).rows) == 1


async def test_what_waits_for_others_than_the_clients_named_is_counted_due_or_not(store: Store) -> None:
    await store.accept(store.wanted("mine"))
    await store.answered(PENDING)
    await store.accept(store.wanted("also mine"))

    assert await store.database.read(TASKS.count_held, {"shop"}) == 0
    assert await store.database.read(TASKS.count_held, set()) == 2


async def test_lanes_are_found_that_have_something_due_with_their_oldest_row(store: Store) -> None:
    await store.accept(store.wanted("now"))
    later = store.time.advance(SECOND)
    await store.accept(store.wanted("later"))
    await store.accept(store.wanted("later", client="bank"))
    idle = await store.accept(store.wanted("idle", client="gone"))
    await store.cancel(idle.id, "gone")

    found = await due(store)
    earlier = (await store.database.read(TASKS.find, Instant(later - 1), {})).due

    assert sorted(found, key=lambda lane: lane.lane) == [
        DueLane(lane=BANK, oldest=later),
        DueLane(lane=SHOP, oldest=Instant(later - SECOND)),
    ]
    assert earlier == [DueLane(lane=SHOP, oldest=Instant(later - SECOND))]


async def test_due_rows_are_counted_over_the_lanes_asked_for(store: Store) -> None:
    await tasks(store, 3)
    await tasks(store, 2, client="bank")
    both = await due(store)

    counted = [
        await store.database.read(TASKS.count_due, lanes, store.now)
        for lanes in (both, [lane for lane in both if lane.lane == BANK], [])
    ]

    assert counted == [5, 2, 0]


def look_of(connection: Connection, which: Queue) -> tuple[str, Any]:
    """The statement that `which` looks with, and its values, as the driver gets them."""
    seen: list[tuple[str, Any]] = []

    def before(conn: object, cursor: object, sql: str, values: object, *_: object) -> None:
        seen.append((sql, values))

    event.listen(connection, "before_cursor_execute", before)
    which.find(connection, Instant(LATER), {})
    event.remove(connection, "before_cursor_execute", before)
    (look,) = seen
    return look


NUMBERS = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :rows)"
MANY_TASKS = """
    INSERT INTO tasks (ref, client, kind, task_id, state, next_at, fence, paced_from, polls, not_found, not_found_before)
    SELECT 't-' || n, 'client-' || (n % :lanes), 'tts', n, 'watching', n, 0, 0, 0, 0, 0 FROM numbers"""
MANY_DELIVERIES = """
    INSERT INTO deliveries (registration, lane, next_at, fence, round, attempts, failures)
    SELECT 'r-' || n, 'client ' || (n % :lanes), n, 0, 1, 0, 0 FROM numbers"""


def many(connection: Connection, rows: str) -> None:
    sqlite = connection.dialect.name == "sqlite"
    connection.execute(
        text("PRAGMA defer_foreign_keys=ON" if sqlite else "SET session_replication_role = replica")
    )
    head, _, tail = rows.partition("SELECT")
    filling = f"{NUMBERS} {head} SELECT {tail}" if sqlite else f"{head} {NUMBERS} SELECT {tail}"
    connection.execute(text(filling), {"rows": LATER, "lanes": LANES})
    connection.execute(text("ANALYZE tasks"))
    connection.execute(text("ANALYZE deliveries"))


QUEUES = pytest.mark.parametrize(
    ("which", "rows"), [(TASKS, MANY_TASKS), (DELIVERIES, MANY_DELIVERIES)], ids=["tasks", "deliveries"]
)


@QUEUES
async def test_on_sqlite_lanes_are_found_by_skipping_through_the_index(
    sqlite: Store, which: Queue, rows: str
) -> None:
    def planned(connection: Connection) -> list[str]:
        many(connection, rows)
        sql, values = look_of(connection, which)
        plan = [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)]
        connection.rollback()
        return plan

    plan = await sqlite.write(planned)

    table = "tasks" if which is TASKS else "deliveries"
    reads = [line for line in plan if table in line]
    assert len(reads) >= 3
    assert all(line.startswith(f"SEARCH {table} USING COVERING INDEX ix_{table}_due") for line in reads)


@QUEUES
async def test_on_postgres_lanes_are_found_by_reading_a_handful_of_pages(
    postgres: Store, which: Queue, rows: str
) -> None:
    def planned(connection: Connection) -> tuple[int, int]:
        # Rows that earlier tests deleted are still in the index, and would be read.
        connection.exec_driver_sql("TRUNCATE tasks CASCADE")
        many(connection, rows)
        sql, values = look_of(connection, which)
        plan = connection.exec_driver_sql(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", values
        ).scalar_one()
        index = "ix_tasks_due" if which is TASKS else "ix_deliveries_due"
        size = connection.scalar(text("SELECT relpages FROM pg_class WHERE relname = :name"), {"name": index})
        connection.rollback()
        top = plan[0]["Plan"]
        return top["Shared Hit Blocks"] + top["Shared Read Blocks"], size or 0

    pages, index_pages = await postgres.write(planned)

    assert pages <= 8 * LANES
    assert index_pages > 2 * pages


async def test_on_postgres_a_look_begins_a_minute_below_the_oldest_row_seen_and_once_a_minute_at_the_bottom(
    postgres: Store,
) -> None:
    look, seen_at = Look(), postgres.now
    look.floors(seen_at)
    look.saw([DueLane(lane=SHOP, oldest=seen_at)])
    await tasks(postgres, 2)
    await postgres.run("UPDATE tasks SET next_at = :at WHERE task_id = 't-0'", at=seen_at - LOOK_BACK)
    await postgres.run("UPDATE tasks SET next_at = :at WHERE task_id = 't-1'", at=seen_at - LOOK_BACK - 1)

    async def oldest() -> Instant:
        found = await postgres.database.read(TASKS.find, postgres.now, look.floors(postgres.now))
        (lane,) = found.due
        return lane.oldest

    bounded = await oldest()
    postgres.time.advance(FULL_LOOK_EVERY - 1)
    still = await oldest()
    postgres.time.advance(1)

    assert bounded == still == seen_at - LOOK_BACK
    assert await oldest() == seen_at - LOOK_BACK - 1


async def test_on_postgres_a_claim_takes_nothing_from_below_its_floor(postgres: Store) -> None:
    await tasks(postgres, 2)
    floor = postgres.now
    await postgres.run("UPDATE tasks SET next_at = :at WHERE task_id = 't-0'", at=floor - LOOK_BACK)
    await postgres.run("UPDATE tasks SET next_at = :at WHERE task_id = 't-1'", at=floor - LOOK_BACK - 1)
    take = Take(lane=SHOP, oldest=floor, count=10)

    rows = await postgres.write(TASKS.claim, [take], floor, Instant(floor + LEASE))

    assert [row.task_id for row in rows] == ["t-0"]


def test_a_lane_seen_again_is_looked_at_from_its_new_oldest_row() -> None:
    look = Look()
    empty = dict(look.floors(Instant(HOUR)))

    look.saw([DueLane(lane=SHOP, oldest=Instant(1)), DueLane(lane=BANK, oldest=Instant(2))])
    look.saw([DueLane(lane=SHOP, oldest=Instant(3))])

    assert empty == {}
    assert look.floors(Instant(HOUR + 1)) == {SHOP: 3, BANK: 2}
    assert look.floors(Instant(HOUR + FULL_LOOK_EVERY)) == {}


@pytest.mark.parametrize(
    ("due_lanes", "asked", "taken", "more"),
    [
        ([], {}, {}, False),
        ([SHOP], {SHOP: 5}, {SHOP: 3}, False),
        ([SHOP], {SHOP: 5}, {}, False),
        ([SHOP], {SHOP: 5}, {SHOP: 5}, True),
        ([SHOP, BANK], {SHOP: 5}, {SHOP: 3}, True),
        ([SHOP, BANK], {SHOP: 5, BANK: 1}, {SHOP: 3}, False),
    ],
)
def test_more_is_due_where_a_lane_gave_all_it_was_asked_for_or_was_left_out(
    due_lanes: list[LaneName], asked: dict[LaneName, int], taken: dict[LaneName, int], *, more: bool
) -> None:
    takes = [Take(lane=lane, oldest=Instant(0), count=count) for lane, count in asked.items()]

    assert more_is_due(due_lanes, takes, taken) is more


async def test_two_pollers_at_once_share_out_the_tasks(store: Store) -> None:
    await tasks(store, 30)

    def claim(connection: Connection) -> list[str]:
        rows: list[ClaimedPoll] = list(polls.claim(connection, store.poll_claim(free=20), Look()).rows)
        return [row.ref for row in rows]

    one, two = await overlapping(store, claim, partial(claim))

    assert sorted((len(one), len(two))) == [10, 20]
    assert not set(one) & set(two)


async def test_on_postgres_a_claimer_waits_for_no_other_one(postgres: Store) -> None:
    await tasks(postgres, 10)
    take = [Take(lane=SHOP, oldest=postgres.now, count=6)]

    def claim(connection: Connection) -> list[str]:
        return [row.ref for row in TASKS.claim(connection, take, postgres.now, Instant(postgres.now + LEASE))]

    gate = Gate()
    first = asyncio.create_task(postgres.write(held_at_commit(gate, claim)))
    await gate.reached()
    meanwhile = await asyncio.wait_for(postgres.write(claim), 10)
    gate.open()

    assert (len(await first), len(meanwhile)) == (6, 4)
