from functools import partial

import pytest

from relay.domain.deliveries import Accepted, Dead, DeadReason, Rejected
from relay.domain.errors import NotFound
from relay.domain.ids import RegistrationId
from relay.domain.instants import DAY, HOUR
from relay.domain.registrations import RegistrationState
from relay.domain.tasks import TaskState
from relay.storage import attempts, registrations
from relay.storage.queue import DELIVERIES
from relay.storage.registrations import Refused
from tests.storage.interleaving import between, overlapping
from tests.storage.store import LEASE, SLOTS, Store

GONE = Dead(reason=DeadReason.GONE)
NOBODY = RegistrationId("reg_" + "0" * 32)


async def test_a_cancelled_registration_is_closed_and_its_task_left(store: Store) -> None:
    registration = await store.accept(store.wanted())

    refused = await store.cancel(registration.id)
    view = await store.view(registration)

    assert refused is None
    assert (view.state, view.task.state) == (RegistrationState.CANCELLED, TaskState.IDLE)
    assert await store.value("SELECT closed_at FROM registrations") == store.now
    assert not (await store.claim_polls()).rows


async def test_a_cancel_leaves_the_task_to_the_others(store: Store) -> None:
    leaves, stays = store.wanted(hook="/leaves"), store.wanted(hook="/stays")
    await store.register(leaves, stays)

    await store.cancel(leaves.id)

    assert (await store.view(stays)).task.state is TaskState.WATCHING
    assert len((await store.claim_polls()).rows) == 1


async def test_a_cancelled_delivery_is_never_claimed(store: Store) -> None:
    registration = await store.delivering()

    await store.cancel(registration.id)
    view = await store.view(registration)
    store.time.advance(DAY)

    assert view.task.state is TaskState.SUCCEEDED
    assert view.delivery is not None
    assert view.delivery.next_at is None
    assert not (await store.claim_deliveries()).rows


async def test_a_cancelled_delivery_is_not_due_again_when_its_lease_runs_out(store: Store) -> None:
    registration = await store.delivering()
    claimed = await store.claimed_delivery()

    await store.cancel(registration.id)
    await store.write(DELIVERIES.release, [claimed.held], store.now)
    store.time.advance(LEASE)

    assert not (await store.claim_deliveries()).rows


async def test_a_cancel_may_be_repeated_and_changes_nothing_then(store: Store) -> None:
    registration = await store.accept(store.wanted())
    await store.cancel(registration.id)
    before = await store.rows("SELECT * FROM registrations")
    store.time.advance(HOUR)

    assert await store.cancel(registration.id) is None
    assert await store.rows("SELECT * FROM registrations") == before


async def test_a_cancelled_registration_does_not_expire(store: Store) -> None:
    registration = await store.accept(store.wanted(lasts=HOUR))
    await store.cancel(registration.id)
    store.time.advance(DAY)

    assert await store.expire() == (0, 0)


async def test_what_is_delivered_or_dead_cannot_be_cancelled(store: Store) -> None:
    delivered = await store.delivered()
    dead = await store.dead(GONE, Rejected(http_status=410), store.wanted("t-2"))

    refusals = await store.cancel(delivered.id), await store.cancel(dead.id)

    assert refusals == (Refused(state=RegistrationState.DELIVERED), Refused(state=RegistrationState.DEAD))


async def test_what_is_watched_delivered_to_or_cancelled_cannot_be_redelivered(store: Store) -> None:
    cancelled, watching = await store.accept(store.wanted("c")), store.wanted("w")
    await store.cancel(cancelled.id)
    delivering = await store.delivering()
    await store.accept(watching)

    refusals = [await store.redeliver(each.id) for each in (watching, delivering, cancelled)]

    assert refusals == [
        Refused(state=RegistrationState.WATCHING),
        Refused(state=RegistrationState.DELIVERING),
        Refused(state=RegistrationState.CANCELLED),
    ]


@pytest.mark.parametrize("client", ["shop", "bank"])
async def test_nobody_cancels_or_redelivers_what_is_not_theirs(store: Store, client: str) -> None:
    registration = await store.delivered()
    wanted = NOBODY if client == "shop" else registration.id

    for change in (store.cancel, store.redeliver):
        with pytest.raises(NotFound):
            await change(wanted, client)

    assert (await store.view(registration)).state is RegistrationState.DELIVERED


async def test_a_registration_that_is_pruned_while_it_is_looked_for_is_not_found(store: Store) -> None:
    registration = await store.delivered()

    async def pruned() -> None:
        for table in ("attempts", "deliveries", "events", "registrations"):
            await store.run(f"DELETE FROM {table}")  # noqa: S608 - the names stand in this test

    with pytest.raises(NotFound):
        await between(
            store,
            "SELECT registrations.state",
            partial(registrations.redeliver, client="shop", wanted=registration.id, now=store.now),
            pruned,
        )


async def test_a_redelivery_begins_a_new_round_of_the_full_schedule_at_once(store: Store) -> None:
    registration = await store.dead(GONE, Rejected(http_status=410))
    store.time.advance(DAY)

    assert await store.redeliver(registration.id) is None
    view = await store.view(registration)
    claimed = await store.claimed_delivery()

    assert view.state is RegistrationState.DELIVERING
    assert view.delivery is not None
    assert (view.delivery.next_at, view.delivery.dead_reason, view.delivery.delivered_at) == (
        store.now,
        None,
        None,
    )
    assert (claimed.round, claimed.failures, claimed.number) == (2, 0, 2)
    assert await store.rows("SELECT closed_at FROM registrations") == [(None,)]


async def test_a_redelivery_of_what_was_delivered_sends_it_again(store: Store) -> None:
    registration = await store.delivered()

    await store.redeliver(registration.id)
    recorded = await store.attempted(Accepted(http_status=204))
    view = await store.view(registration)

    assert recorded.applied
    assert view.state is RegistrationState.DELIVERED
    assert view.delivery is not None
    assert (view.delivery.attempts, view.delivery.last_http_status) == (2, 204)


async def test_two_redeliveries_at_once_are_one(store: Store) -> None:
    registration = await store.delivered()
    work = partial(registrations.redeliver, client="shop", wanted=registration.id, now=store.now)

    first, second = await overlapping(store, work, work)

    assert (first, second) == (None, Refused(state=RegistrationState.DELIVERING))
    assert await store.value("SELECT round FROM deliveries") == 2


async def test_a_redelivery_that_meets_a_late_success_is_a_round_of_its_own(store: Store) -> None:
    registration = await store.delivering()
    stalled = await store.claimed_delivery()
    store.time.advance(LEASE)
    await store.attempted(Rejected(http_status=410), GONE)

    await overlapping(
        store,
        partial(registrations.redeliver, client="shop", wanted=registration.id, now=store.now),
        partial(attempts.record, outcomes=[store.tried(stalled, Accepted(http_status=200))], slots=SLOTS),
    )

    assert (await store.view(registration)).state is RegistrationState.DELIVERING
    assert (await store.claimed_delivery()).round == 2
