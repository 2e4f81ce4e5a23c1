from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from sqlalchemy import Connection

from relay.domain.deliveries import Accepted, Dead, DeadReason, Rejected, Retry
from relay.domain.errors import NotFound
from relay.domain.instants import DAY, HOUR, MINUTE, Instant, Span
from relay.domain.registrations import Registration, RegistrationState
from relay.storage import attempts, lanes, registrations, retention
from relay.storage.registrations import Created
from tests.storage.interleaving import between, overlapping
from tests.storage.store import BASE_URLS, LANE, PENDING, SERVER_ERROR, SLOTS, Store

DELIVERED, DEAD = RegistrationState.DELIVERED, RegistrationState.DEAD
GONE = Dead(reason=DeadReason.GONE)
TABLES = ("tasks", "reports", "registrations", "events", "deliveries", "attempts")


async def prune(
    store: Store, state: RegistrationState = DELIVERED, *, before: Instant | None = None, most: int = 500
) -> int:
    return await store.write(retention.prune, state, before or store.now, most)


async def sizes(store: Store) -> dict[str, object]:
    return {table: await store.value(f"SELECT count(*) FROM {table}") for table in TABLES}  # noqa: S608 - TABLES names them


async def test_what_is_over_for_long_enough_goes_with_all_that_belongs_to_it(store: Store) -> None:
    await store.delivered()
    store.time.advance(1)

    assert await prune(store) == 1
    assert await sizes(store) == dict.fromkeys(TABLES, 0)


async def test_what_is_not_over_for_long_enough_stays(store: Store) -> None:
    await store.delivered()
    before = await sizes(store)

    assert await prune(store, before=store.now) == 0
    assert await sizes(store) == before


async def test_a_task_stays_while_any_registration_names_it(store: Store) -> None:
    gone, stays = store.wanted(hook="/gone"), store.wanted(hook="/stays")
    await store.register(gone, stays)
    await store.cancel(gone.id)
    store.time.advance(1)

    assert await prune(store, RegistrationState.CANCELLED) == 1
    assert (await store.view(stays)).task.next_at is not None
    with pytest.raises(NotFound):
        await store.view(gone)


async def watching(store: Store) -> Registration:
    return await store.accept(store.wanted())


async def delivering(store: Store) -> Registration:
    registration = await store.delivering()
    await store.attempted(Rejected(http_status=500), Retry(at=Instant(store.now + MINUTE)))
    return registration


async def redelivered(store: Store) -> Registration:
    registration = await store.delivered()
    await store.redeliver(registration.id)
    return registration


@pytest.mark.parametrize("make", [watching, delivering, redelivered])
async def test_what_is_not_delivered_is_never_pruned(
    store: Store, make: Callable[[Store], Awaitable[Registration]]
) -> None:
    registration = await make(store)
    store.time.advance(1_000 * DAY)

    for state in RegistrationState:
        await prune(store, state)

    assert (await store.view(registration)).registration == registration


async def test_each_state_has_a_time_of_its_own(store: Store) -> None:
    dead = await store.dead(GONE, Rejected(http_status=410))
    store.time.advance(DAY)

    assert [await prune(store, DELIVERED), await prune(store, RegistrationState.CANCELLED)] == [0, 0]
    assert (await store.view(dead)).state is DEAD
    assert await prune(store, DEAD) == 1


async def test_a_prune_drops_no_more_than_it_is_asked_to_and_the_oldest_first(store: Store) -> None:
    wanted = []
    for number in range(3):
        wanted.append(await store.accept(store.wanted(f"t-{number}")))
        await store.cancel(wanted[-1].id)
        store.time.advance(HOUR)

    assert await prune(store, RegistrationState.CANCELLED, most=2) == 2
    assert (await store.view(wanted[2])).state is RegistrationState.CANCELLED
    assert await store.value("SELECT count(*) FROM tasks") == 1


async def test_where_nothing_is_over_nothing_is_pruned(store: Store) -> None:
    assert await prune(store) == 0


@pytest.mark.parametrize("pruned_first", [True, False], ids=["prune first", "registration first"])
async def test_a_registration_that_meets_the_pruning_of_its_task_stands_and_is_told(
    store: Store, *, pruned_first: bool
) -> None:
    await store.delivered()
    store.time.advance(1)
    wanted = store.wanted(hook="/meets")
    register = partial(registrations.register, wanted=[wanted], base_urls=BASE_URLS)
    pruning = partial(retention.prune, state=DELIVERED, before=store.now, most=500)

    if pruned_first:
        count, created = await overlapping(store, pruning, register)
    else:
        created, count = await overlapping(store, register, pruning)
    view = await store.view(wanted)

    assert isinstance(created[0], Created)
    if pruned_first:
        assert count == 1
        assert (view.state, view.task.next_at) == (RegistrationState.WATCHING, store.now)
    else:
        # On PostgreSQL a task that somebody is registering on is left for the next time.
        assert count == (1 if store.backend == "sqlite" else 0)
        assert view.state is RegistrationState.DELIVERING
    assert await store.value("SELECT count(*) FROM tasks") == 1


@pytest.mark.parametrize("pruned_first", [True, False], ids=["prune first", "redelivery first"])
async def test_a_redelivery_that_meets_the_pruner_is_refused_or_safe(
    store: Store, *, pruned_first: bool
) -> None:
    registration = await store.delivered()
    store.time.advance(1)
    pruning = partial(retention.prune, state=DELIVERED, before=store.now, most=500)

    def redeliver(connection: Connection) -> bool:
        try:
            return registrations.redeliver(connection, "shop", registration.id, store.now) is None
        except NotFound:
            return False

    if pruned_first:
        count, sent = await overlapping(store, pruning, redeliver)
    else:
        sent, count = await overlapping(store, redeliver, pruning)

    assert (count, sent) == ((1, False) if pruned_first else (0, True))
    assert await store.value("SELECT count(*) FROM deliveries WHERE next_at IS NOT NULL") == int(sent)


async def test_what_was_sent_again_after_the_pruner_saw_it_is_looked_at_once_more_and_stays(
    store: Store,
) -> None:
    registration = await store.delivered()
    store.time.advance(1)

    count, _ = await between(
        store,
        "FROM tasks",
        partial(retention.prune, state=DELIVERED, before=store.now, most=500),
        lambda: store.redeliver(registration.id),
    )

    assert count == 0
    assert (await store.claimed_delivery()).registration == registration.id


async def test_a_late_success_that_meets_the_pruning_of_what_is_dead_saves_it(store: Store) -> None:
    registration = await store.delivering()
    stalled = await store.claimed_delivery()
    store.time.advance(HOUR)
    await store.attempted(Rejected(http_status=410), GONE)
    store.time.advance(1)

    await overlapping(
        store,
        partial(attempts.record, outcomes=[store.tried(stalled, Accepted(http_status=200))], slots=SLOTS),
        partial(retention.prune, state=DEAD, before=store.now, most=500),
    )

    assert (await store.view(registration)).state is DELIVERED


async def test_two_pruners_at_once_do_not_stand_in_each_others_way(store: Store) -> None:
    for number in range(4):
        registration = await store.accept(store.wanted(f"t-{number}"))
        await store.cancel(registration.id)
    store.time.advance(1)
    work = partial(retention.prune, state=RegistrationState.CANCELLED, before=store.now, most=500)

    one, two = await overlapping(store, work, work)

    assert (one, two) == (4, 0)


async def heal(store: Store) -> int:
    return await store.write(retention.heal, BASE_URLS)


async def wound(store: Store, registration: Registration) -> None:
    """Make what must never be: a registration that still waits for a task that has ended."""
    await store.run("DELETE FROM deliveries")
    await store.run("DELETE FROM events")
    await store.run(
        "UPDATE registrations SET state = 'watching', verdict_at = expires_at WHERE id = :id",
        id=registration.id,
    )


async def test_nothing_is_to_be_healed_as_long_as_all_is_well(store: Store) -> None:
    await store.accept(store.wanted("watching"))
    await store.answered(PENDING)
    await store.delivered()

    assert await heal(store) == 0


async def test_who_still_waits_for_a_task_that_has_ended_is_counted_and_told(store: Store) -> None:
    registration = await store.delivering()
    await wound(store, registration)

    counts = await heal(store), await heal(store)
    view = await store.view(registration)

    assert counts == (1, 0)
    assert view.state is RegistrationState.DELIVERING
    assert view.event is not None
    assert (await store.claimed_delivery()).registration == registration.id


async def test_who_waits_in_vain_for_a_client_that_is_not_configured_is_left_for_later(store: Store) -> None:
    registration = await store.delivering()
    await wound(store, registration)

    assert await store.write(retention.heal, {"bank": BASE_URLS["bank"]}) == 0
    assert (await store.view(registration)).state is RegistrationState.WATCHING


async def test_a_pause_that_is_over_is_forgotten_once_no_open_delivery_names_its_lane(store: Store) -> None:
    registration = await store.delivering()
    await store.attempted(Rejected(http_status=429, retry_after=Span(MINUTE)))
    store.time.advance(MINUTE)
    named = await store.write(lanes.forget, store.now)
    await store.cancel(registration.id)

    assert named == 0
    assert await store.write(lanes.forget, Instant(store.now - 1)) == 0
    assert await store.write(lanes.forget, store.now) == 1
    assert await store.rows("SELECT name FROM lanes") == [(LANE,)]


async def test_the_budget_of_a_key_is_never_forgotten(store: Store) -> None:
    await store.accept(store.wanted())
    await store.answered(SERVER_ERROR)
    store.time.advance(DAY)

    assert await store.write(lanes.forget, store.now) == 0
    assert await store.rows("SELECT name FROM lanes") == [(LANE,)]


async def test_no_lane_is_locked_where_none_is_named(store: Store) -> None:
    assert await store.write(lanes.lock, []) == {}
    assert await store.rows("SELECT name FROM lanes") == []
