"""Positions: the order of a client's events is the order of their commits."""

import asyncio
from functools import partial

from sqlalchemy import Connection

from relay.domain.registrations import EventType, Registration
from relay.storage import polls, registrations
from relay.storage.events import announce
from relay.storage.polls import ClaimedPoll, KeyRoom
from tests.storage.interleaving import overlapping
from tests.storage.store import BASE_URLS, LANE, LOST, SUCCESS, Store


async def positions(store: Store, client: str = "shop") -> list[tuple[object, ...]]:
    return await store.rows(
        "SELECT r.task, e.position FROM events e JOIN registrations r ON r.id = e.registration"
        " WHERE e.client = :client ORDER BY e.position",
        client=client,
    )


async def claimed(store: Store, *wanted: Registration) -> dict[str, ClaimedPoll]:
    await store.register(*wanted)
    return {row.task_id: row for row in (await store.claim_polls()).rows}


async def test_a_clients_events_are_numbered_from_one_without_gaps(store: Store) -> None:
    rows = await claimed(store, *(store.wanted(f"t-{number}") for number in range(5)))

    for row in rows.values():
        await store.record_polls(store.polled(row, SUCCESS))

    assert [position for _, position in await positions(store)] == [1, 2, 3, 4, 5]


async def test_every_client_counts_for_itself(store: Store) -> None:
    await store.register(store.wanted(), store.wanted(client="bank"), store.wanted("t-2", client="bank"))

    await store.end_all()

    assert [position for _, position in await positions(store, "shop")] == [1]
    assert [position for _, position in await positions(store, "bank")] == [1, 2]


async def test_who_commits_first_comes_first_and_the_other_waits_for_it(store: Store) -> None:
    rows = await claimed(store, store.wanted("t-1"), store.wanted("t-2"))

    await overlapping(
        store,
        partial(polls.record, outcomes=[store.polled(rows["t-2"], SUCCESS)], lost=LOST),
        partial(polls.record, outcomes=[store.polled(rows["t-1"], SUCCESS)], lost=LOST),
    )

    assert await positions(store) == [(rows["t-2"].ref, 1), (rows["t-1"].ref, 2)]


async def test_a_late_registration_and_an_end_of_another_task_are_in_the_order_of_their_commits(
    store: Store,
) -> None:
    await store.delivering(store.wanted("over"))
    rows = await claimed(store, store.wanted("t-2"))
    late = store.wanted("over", hook="/late")

    await overlapping(
        store,
        partial(registrations.register, wanted=[late], base_urls=BASE_URLS),
        partial(polls.record, outcomes=[store.polled(rows["t-2"], SUCCESS)], lost=LOST),
    )

    assert await positions(store) == [(late.task, 1), (late.task, 2), (rows["t-2"].ref, 3)]


async def test_a_transaction_that_is_rolled_back_leaves_no_gap(store: Store) -> None:
    rows = await claimed(store, store.wanted("t-1"), store.wanted("t-2"))

    def rolled_back(connection: Connection) -> None:
        polls.record(connection, [store.polled(rows["t-1"], SUCCESS)], LOST)
        connection.rollback()

    await store.write(rolled_back)
    await store.record_polls(store.polled(rows["t-2"], SUCCESS))

    assert await positions(store) == [(rows["t-2"].ref, 1)]


async def test_many_writers_at_once_leave_neither_gaps_nor_doubles(store: Store) -> None:
    for client in ("shop", "bank"):
        await store.register(*(store.wanted(f"t-{number}", client=client) for number in range(40)))
    keys = {name: KeyRoom(lane=LANE, slots=100) for name in ("shop", "bank")}
    claim = await store.claim_polls(store.poll_claim(keys=keys))

    await asyncio.gather(
        *(
            store.record_polls(*(store.polled(row, SUCCESS) for row in claim.rows[start::10]))
            for start in range(10)
        )
    )

    for client in ("shop", "bank"):
        assert [position for _, position in await positions(store, client)] == list(range(1, 41))


async def test_nobody_is_told_anything_where_there_is_nothing_to_tell(store: Store) -> None:
    await store.write(announce, [])

    assert await store.value("SELECT count(*) FROM clients") == 0


async def test_an_event_is_its_registrations_only_one(store: Store) -> None:
    registration = await store.delivering()

    view = await store.view(registration)

    assert view.event is not None
    assert view.event.id.removeprefix("evt_") == registration.id.removeprefix("reg_")
    assert view.event.type is EventType.TASK_SUCCEEDED
