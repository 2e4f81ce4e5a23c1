"""Counts that any number of processes add to."""

import asyncio
import itertools
import random
from functools import partial
from typing import Final

import pytest
from sqlalchemy import Connection, text

from relay.domain.instants import HOUR, MINUTE, Instant
from relay.domain.rollups import EVERYBODY, ChartSpan, Slot, SlotCount
from relay.storage import rollups
from tests.storage.hand_time import START
from tests.storage.interleaving import overlapping
from tests.storage.plans import Read, reads_of
from tests.storage.store import Store

AT: Final = ChartSpan.HOUR.start_of(START)


def slot(
    client: str = "shop", *, at: int = AT, span: ChartSpan = ChartSpan.HOUR, bucket: str = "accepted"
) -> Slot:
    return Slot(client, span.slot // 1_000_000, Instant(at), "attempted", bucket)


async def counted(
    store: Store, *clients: str, span: ChartSpan = ChartSpan.HOUR, since: int = 0
) -> list[SlotCount]:
    return sorted(await store.database.read(rollups.read, clients or ("shop",), span, Instant(since)))


async def test_what_is_added_adds_up(store: Store) -> None:
    await store.write(rollups.add, {slot(): 2, slot(bucket="dns"): 1})
    await store.write(rollups.add, {slot(): 40, slot("bank"): 7})

    found = await counted(store)

    assert found == [SlotCount(AT, "attempted", "accepted", 42), SlotCount(AT, "attempted", "dns", 1)]
    assert type(found[0].number) is int


async def test_clients_are_summed_up_and_spans_and_older_slots_are_left_out(store: Store) -> None:
    await store.write(
        rollups.add,
        {
            slot(): 1,
            slot("bank"): 2,
            slot("else"): 4,
            slot(span=ChartSpan.DAY): 8,
            slot(at=AT - MINUTE): 16,
            slot(EVERYBODY): 32,
        },
    )

    assert [row.number for row in await counted(store, "shop", "bank", since=AT)] == [3]
    assert [row.number for row in await counted(store, EVERYBODY)] == [32]
    assert [row.number for row in await counted(store, span=ChartSpan.DAY)] == [8]
    assert await counted(store, "nobody") == []


async def test_nothing_is_lost_between_processes_that_add_at_once(store: Store) -> None:
    async with store.another_process() as other:
        await overlapping(
            store, partial(rollups.add, counts={slot(): 1}), partial(rollups.add, counts={slot(): 2})
        )
        await other.write(rollups.add, {slot(): 4})

    assert [row.number for row in await counted(store)] == [7]


async def test_processes_that_add_to_the_same_rows_in_any_order_never_run_into_a_deadlock(
    postgres: Store,
) -> None:
    slots = [
        slot(f"client {number}", bucket=bucket) for number in range(60) for bucket in ("a", "ä", "B", "_")
    ]
    for round_ in range(5):
        forth = dict.fromkeys(random.Random(round_).sample(slots, len(slots)), 1)
        back = dict.fromkeys(random.Random(-round_ - 1).sample(slots, len(slots)), 1)
        await asyncio.gather(
            postgres.write(rollups.add, forth),
            postgres.write(rollups.add, back),
            postgres.write(rollups.prune, ChartSpan.HOUR, Instant(AT - HOUR), 500),
        )

    await postgres.database.close()  # a connection reports what it counted when it ends
    async with postgres.another_process() as other:
        deadlocks = await other.value(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        total = await other.value("SELECT sum(count) FROM rollups")

    assert (deadlocks, total) == (0, 10 * len(slots))


async def test_no_more_is_pruned_at_once_than_asked_for_and_nothing_younger(store: Store) -> None:
    old = {slot(f"client {number}", at=AT - HOUR): 1 for number in range(5)}
    await store.write(rollups.add, {**old, slot(): 1, slot(at=AT - HOUR, span=ChartSpan.DAY): 1})

    gone = [await store.write(rollups.prune, ChartSpan.HOUR, Instant(AT), 3) for _ in range(3)]

    assert gone == [3, 2, 0]
    assert await store.value("SELECT count(*) FROM rollups") == 2


async def test_two_processes_that_prune_at_once_do_not_wait_for_each_other(store: Store) -> None:
    await store.write(rollups.add, {slot(f"client {number}", at=AT - HOUR): 1 for number in range(5)})
    prune = partial(rollups.prune, span=ChartSpan.HOUR, before=Instant(AT), most=500)

    found = await overlapping(store, prune, prune)

    assert found == (5, 0)


@pytest.mark.parametrize("clients", [["shop"], ["shop", "client 1", "client 2"]])
async def test_a_chart_and_a_pruning_read_what_they_want_by_an_index(
    store: Store, clients: list[str]
) -> None:
    def reads(connection: Connection) -> tuple[list[Read], list[Read]]:
        slots = itertools.product(range(100), range(120))
        rollups.add(connection, {slot(f"client {name}", at=AT - back * MINUTE): 1 for name, back in slots})
        connection.execute(text("ANALYZE rollups"))
        return (
            reads_of(
                connection, lambda conn: rollups.read(conn, clients, ChartSpan.HOUR, Instant(AT - HOUR))
            ),
            reads_of(
                connection,
                lambda conn: rollups.prune(conn, ChartSpan.HOUR, Instant(AT - HOUR - 58 * MINUTE), 50),
            ),
        )

    drawn, pruned = await store.write(reads)

    assert {read.index for read in drawn} <= {"rollups_pkey", "sqlite_autoindex_rollups_1"}
    assert {read.index for read in pruned} == {"ix_rollups_over"}
