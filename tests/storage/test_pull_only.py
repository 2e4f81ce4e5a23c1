"""Registrations without a callback: their events are made like all others, and nothing is delivered."""

from dataclasses import replace
from pathlib import Path

import pytest

from relay.domain.history import Event
from relay.domain.instants import DAY, MINUTE, SECOND, Span
from relay.domain.registrations import EventType, Registration, RegistrationState
from relay.domain.replays import Place, ReplayFilter
from relay.domain.watching import LostRule
from relay.storage import backup, histories, lists, origins, replay_walk, retention, schema
from relay.storage.lists import Filter
from relay.storage.registrations import Refused, Standing
from tests.storage.store import BASE_URLS, LANE, NOT_FOUND, PENDING, SUCCESS, Store

AVAILABLE = RegistrationState.AVAILABLE


async def published(store: Store, task_id: str = "t-1") -> Registration:
    registration = await store.accept(store.pulled(task_id))
    await store.answered(SUCCESS)
    return registration


async def horizon(store: Store) -> object:
    return await store.value("SELECT pruned_to FROM clients WHERE name = 'shop'")


async def test_its_event_is_made_and_nothing_is_delivered(store: Store) -> None:
    registration = await published(store)

    view = await store.view(registration)
    assert (view.registration, view.state, view.delivery) == (registration, AVAILABLE, None)
    assert view.event is not None
    assert view.event.type is EventType.TASK_SUCCEEDED
    assert await store.value("SELECT count(*) FROM deliveries") == 0
    assert await store.rows("SELECT closed_at, verdict_at FROM registrations") == [(store.now, None)]


async def test_push_and_pull_of_one_task_are_told_side_by_side(store: Store) -> None:
    pulled, pushed = store.pulled(), store.wanted()
    await store.register(pulled, pushed)
    await store.answered(SUCCESS)

    states = [(await store.view(each)).state for each in (pulled, pushed)]

    assert states == [AVAILABLE, RegistrationState.DELIVERING]
    assert (await store.claimed_delivery()).registration == pushed.id
    assert await store.value("SELECT count(*) FROM events") == 2


async def test_registered_after_the_end_it_is_available_at_once(store: Store) -> None:
    await store.delivering()
    registration = await store.accept(store.pulled())

    assert (await store.view(registration)).state is AVAILABLE


async def test_it_stands_beside_the_same_with_a_callback_and_once(store: Store) -> None:
    registration = await store.accept(store.pulled())
    await store.accept(store.wanted())

    (again,) = await store.register(store.pulled())
    (other,) = await store.register(replace(store.pulled(), metadata=b'{"a":1}'))

    assert again == Standing(id=registration.id, differing=())
    assert other == Standing(id=registration.id, differing=("metadata",))


async def test_while_its_event_stands_it_is_the_same_registration(store: Store) -> None:
    registration = await published(store)

    (again,) = await store.register(store.pulled())

    assert again == Standing(id=registration.id, differing=())


async def test_a_verdict_of_the_relays_own_makes_it_available_and_frees_its_identity(store: Store) -> None:
    lost = LostRule(answers=1, grace=Span(0))
    first = await store.accept(store.pulled("lost"))
    await store.record_polls(store.polled(await store.claimed_poll(), NOT_FOUND), lost=lost)
    second = await store.accept(store.pulled("expired", lasts=MINUTE))
    await store.answered(PENDING)
    store.time.advance(DAY)
    await store.expire()

    told = [(await store.view(each)).event for each in (first, second)]
    states = [(await store.view(each)).state for each in (first, second)]

    assert [each and each.type for each in told] == [EventType.TASK_LOST, EventType.REGISTRATION_EXPIRED]
    assert states == [AVAILABLE, AVAILABLE]
    assert await store.rows("SELECT DISTINCT identity FROM registrations") == [(None,)]
    await store.accept(store.pulled("lost"))


async def test_whoever_still_waits_for_a_task_that_has_ended_is_healed(store: Store) -> None:
    registration = await published(store)
    await store.run("DELETE FROM events")
    await store.run("UPDATE registrations SET state = 'watching', verdict_at = expires_at, closed_at = NULL")

    assert await store.write(retention.heal, BASE_URLS) == 1
    assert (await store.view(registration)).state is AVAILABLE


async def test_it_is_cancelled_while_it_watches_and_not_afterwards(store: Store) -> None:
    cancelled = await store.accept(store.pulled("cancelled"))
    await store.cancel(cancelled.id)
    registration = await published(store)

    refused = [await store.cancel(registration.id), await store.redeliver(registration.id)]

    assert (await store.view(cancelled)).state is RegistrationState.CANCELLED
    assert refused == [Refused(state=AVAILABLE)] * 2


async def test_its_history_ends_with_the_event(store: Store) -> None:
    registration = await published(store)

    found = await store.database.read(histories.read, "shop", registration.id, LANE, 50)

    assert found.event == Event(type=EventType.TASK_SUCCEEDED, created_at=store.now, position=1)
    assert (found.notification, found.closed_at) == (None, store.now)


async def test_lists_know_its_state_and_replays_and_origins_nothing_of_it(store: Store) -> None:
    registration = await published(store)
    narrowed = [
        await store.database.read(lists.find, Filter(client="shop", limit=9, **more))
        for more in ({"state": AVAILABLE}, {"origin": "https://hooks.example"}, {"task_id": "t-1"})
    ]
    counted = [
        await store.database.read(replay_walk.count, "shop", ReplayFilter(state=state), store.now, Place())
        for state in (RegistrationState.DEAD, RegistrationState.DELIVERED)
    ]

    assert [[view.registration for view in found] for found in narrowed] == [
        [registration],
        [],
        [registration],
    ]
    assert [found.matching for found in counted] == [0, 0]
    assert await store.database.read(origins.find, "shop", "", store.now, 9) == []


async def test_what_is_dropped_raises_the_horizon_of_its_client(store: Store) -> None:
    await published(store)
    await store.delivered(store.wanted("t-2"))
    await store.accept(store.wanted("t-3"))
    store.time.advance(SECOND)
    before = await horizon(store)

    pruned = [
        await store.write(retention.prune, state, store.now, 500)
        for state in (RegistrationState.DELIVERED, AVAILABLE, RegistrationState.CANCELLED)
    ]

    assert before == 0
    assert pruned == [1, 1, 0]
    assert await horizon(store) == 2, "the highest position, whatever goes in which order"


async def test_what_had_no_event_leaves_the_horizon_where_it_is(store: Store) -> None:
    await published(store)
    await store.cancel((await store.accept(store.pulled("t-2"))).id)
    store.time.advance(SECOND)

    assert await store.write(retention.prune, RegistrationState.CANCELLED, store.now, 500) == 1
    assert await horizon(store) == 0


async def stray(store: Store) -> Registration:
    """As a worker of the release before leaves it."""
    registration = await published(store)
    await store.run(
        "INSERT INTO deliveries (registration, lane, next_at, fence, round, attempts, failures)"
        " VALUES (:id, 'shop ', :now, 0, 1, 0, 0)",
        id=registration.id,
        now=store.now,
    )
    await store.run("UPDATE registrations SET state = 'delivering', closed_at = NULL")
    return registration


async def test_a_delivery_without_a_callback_is_never_claimed_and_put_right(store: Store) -> None:
    registration = await stray(store)
    claimed = list((await store.claim_deliveries()).rows)
    store.time.advance(SECOND)

    healed = [
        await store.write(retention.publish_strays, names, store.now, 500)
        for names in (("bank",), ("shop", "bank"), ("shop", "bank"))
    ]

    assert (claimed, healed) == ([], [0, 1, 0])
    assert (await store.view(registration)).state is AVAILABLE
    assert await store.rows("SELECT closed_at FROM registrations") == [(store.now,)]
    assert await store.value("SELECT count(*) FROM deliveries") == 0


async def test_what_deliveries_that_are_due_have_an_origin_is_left_alone(store: Store) -> None:
    await store.delivering()

    assert await store.write(retention.publish_strays, ("shop",), store.now, 500) == 0
    assert (await store.claim_deliveries()).rows


async def test_a_store_has_one_name_and_what_is_restored_from_it_another(
    store: Store, empty_url: str, tmp_path: Path
) -> None:
    await published(store)
    await store.write(schema.name_store, 7)
    await store.write(schema.name_store, 8)
    file = tmp_path / "backup"
    file.touch()
    await backup.take(store.database, file, lambda *_: None)
    named = await store.value("SELECT value FROM facts WHERE name = 'store'")

    async with replace(store, url=empty_url).another_process() as another:
        await backup.restore(another.database, file, store.now, lambda *_: None)
        after = await another.rows("SELECT value FROM facts WHERE name = 'store'")

    assert (named, after) == (7, [])


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ((1, 2, 3, 4), 0),
        ((3, 4), 2),
        ((1, 4), 3),
        ((2, 4), 3),
        ((1, 3, 4), 2),
        ((1, 2), 4),
        ((), 4),
    ],
)
async def test_a_database_from_before_knows_from_the_gaps_what_is_gone(
    store: Store, empty_url: str, kept: tuple[int, ...], expected: int
) -> None:
    async with replace(store, url=empty_url).another_process() as old:
        await old.write(schema.make, "0005")
        await old.run("INSERT INTO clients (name, last_position) VALUES ('shop', 4), ('bank', 9)")
        for position in kept:
            registration = old.wanted(f"t-{position}")
            values = {"id": registration.id, "task": registration.task, "position": position}
            await old.run(
                "INSERT INTO tasks (ref, client, kind, task_id, state, fence, paced_from, polls, not_found, not_found_before)"
                " VALUES (:task, 'shop', 'tts', :id, 'succeeded', 0, 0, 0, 0, 0)",
                **values,
            )
            await old.run(
                "INSERT INTO registrations (id, task, client, callback_url, origin, format, metadata, created_at, expires_at,"
                " not_found_before, state) VALUES (:id, :task, 'shop', 'u', 'o', 'raw', :body, 0, 0, 0, 'dead')",
                body=b"{}",
                **values,
            )
            await old.run(
                "INSERT INTO events (registration, client, position, type, created_at, body)"
                " VALUES (:id, 'shop', :position, 'task.lost', 0, :body)",
                body=b"{}",
                **values,
            )
        await old.write(schema.migrate)

        assert await old.rows("SELECT name, pruned_to FROM clients ORDER BY name") == [
            ("bank", 9),
            ("shop", expected),
        ]
