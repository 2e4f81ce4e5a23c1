from dataclasses import replace
from functools import partial

import pytest

from relay.domain.deliveries import (
    Accepted,
    Blocked,
    Dead,
    DeadReason,
    Decision,
    Failure,
    Outcome,
    Rejected,
    Retry,
    Unreachable,
)
from relay.domain.ids import event_id_of
from relay.domain.instants import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Instant, Span
from relay.domain.lanes import LaneName, origin_lane
from relay.domain.registrations import EventType, Registration, RegistrationState
from relay.storage import attempts, deliveries, lanes, registrations
from relay.storage.attempts import RecordedAttempt
from tests.storage.interleaving import overlapping
from tests.storage.store import HOOK, LEASE, SLOTS, Store

OK = Accepted(http_status=200)
BAD = Rejected(http_status=500)
GONE = Rejected(http_status=410)
DEAD = Dead(reason=DeadReason.GONE)
APPLIED = RecordedAttempt(applied=True, logged=True)
DISCARDED = RecordedAttempt(applied=False, logged=True)
OTHER_HOOK = "https://other.example"


async def state(store: Store, registration: Registration) -> RegistrationState:
    return (await store.view(registration)).state


async def many(store: Store, count: int, *, origin: str = HOOK, client: str = "shop") -> list[Registration]:
    """Registrations of one task that has ended, each with a callback of its own at the origin."""
    wanted = [
        store.wanted(f"{client} {origin}", client=client, origin=origin, hook=f"/{number}")
        for number in range(count)
    ]
    await store.register(*wanted)
    await store.end_all()
    return wanted


async def test_a_claimed_delivery_says_all_that_its_attempt_needs(store: Store) -> None:
    registration = await store.delivering()
    view = await store.view(registration)

    claimed = await store.claimed_delivery()

    assert view.event is not None
    assert claimed.registration == registration.id
    assert claimed.event == view.event.id == event_id_of(registration.id)
    assert (claimed.number, claimed.failures, claimed.round, claimed.fence) == (1, 0, 1, 1)
    assert (claimed.client, claimed.kind, claimed.task_id) == ("shop", "tts", "t-1")
    assert claimed.callback_url == registration.callback_url
    assert (claimed.type, claimed.announced_at) == (EventType.TASK_SUCCEEDED, store.now)
    assert claimed.body == view.event.body
    assert claimed.leased_until == store.now + LEASE


async def test_an_accepted_delivery_is_over(store: Store) -> None:
    registration = await store.delivering()

    recorded = await store.attempted(OK)
    view = await store.view(registration)
    store.time.advance(DAY)

    assert recorded == APPLIED
    assert view.state is RegistrationState.DELIVERED
    assert view.delivery is not None
    assert (view.delivery.attempts, view.delivery.last_http_status) == (1, 200)
    assert (view.delivery.delivered_at, view.delivery.next_at) == (store.now - DAY, None)
    assert not (await store.claim_deliveries()).rows


async def test_a_failed_delivery_is_due_again_when_it_was_told_to_be(store: Store) -> None:
    registration = await store.delivering()

    recorded = await store.attempted(BAD, Retry(at=Instant(store.now + MINUTE)))
    view = await store.view(registration)
    store.time.advance(MINUTE - 1)
    early = (await store.claim_deliveries()).rows
    store.time.advance(1)
    again = await store.claimed_delivery()

    assert recorded == APPLIED
    assert view.state is RegistrationState.DELIVERING
    assert view.delivery is not None
    assert (view.delivery.attempts, view.delivery.last_http_status) == (1, 500)
    assert view.delivery.next_at == store.now
    assert not early
    assert (again.number, again.failures) == (2, 1)


@pytest.mark.parametrize("reason", DeadReason)
async def test_a_delivery_that_is_given_up_is_dead_and_says_why(store: Store, reason: DeadReason) -> None:
    registration = await store.dead(Dead(reason=reason), BAD)

    view = await store.view(registration)
    store.time.advance(DAY)

    assert view.state is RegistrationState.DEAD
    assert view.delivery is not None
    assert (view.delivery.dead_reason, view.delivery.next_at) == (reason, None)
    assert not (await store.claim_deliveries()).rows


async def test_only_recorded_outcomes_walk_the_schedule(store: Store) -> None:
    await store.delivering()
    for _ in range(4):
        await store.claimed_delivery()
        store.time.advance(LEASE)

    claimed = await store.claimed_delivery()

    assert (claimed.number, claimed.failures, claimed.fence) == (1, 0, 5)


async def test_a_stalled_workers_failure_is_discarded_once_its_successor_has_claimed(store: Store) -> None:
    registration = await store.delivering()
    stalled = await store.claimed_delivery()
    store.time.advance(LEASE)
    successor = await store.claimed_delivery()

    late = await store.record_attempts(store.tried(stalled, GONE, DEAD))
    after = await state(store, registration)
    own = await store.record_attempts(store.tried(successor, OK))

    assert late == [DISCARDED]
    assert after is RegistrationState.DELIVERING
    assert own == [APPLIED]


async def test_a_stalled_workers_failure_after_its_successors_failure_moves_no_schedule(store: Store) -> None:
    await store.delivering()
    stalled = await store.claimed_delivery()
    store.time.advance(LEASE)
    await store.attempted(BAD, Retry(at=Instant(store.now + HOUR)))

    late = await store.record_attempts(store.tried(stalled, BAD, Retry(at=store.now)))

    assert late == [DISCARDED]
    assert not (await store.claim_deliveries()).rows


async def test_a_failure_after_a_success_changes_nothing(store: Store) -> None:
    registration = await store.delivering()
    stalled = await store.claimed_delivery()
    store.time.advance(LEASE)
    await store.attempted(OK)
    before = await store.rows("SELECT * FROM deliveries")

    late = await store.record_attempts(store.tried(stalled, GONE, DEAD))

    assert late == [DISCARDED]
    assert await state(store, registration) is RegistrationState.DELIVERED
    assert await store.rows("SELECT * FROM deliveries") == before


async def test_a_stalled_workers_success_counts_although_its_successor_has_claimed(store: Store) -> None:
    registration = await store.delivering()
    stalled = await store.claimed_delivery()
    store.time.advance(LEASE)
    successor = await store.claimed_delivery()

    late = await store.record_attempts(store.tried(stalled, OK))
    failure = await store.record_attempts(store.tried(successor, GONE, DEAD))
    store.time.advance(LEASE)

    assert late == [APPLIED]
    assert failure == [DISCARDED]
    assert await state(store, registration) is RegistrationState.DELIVERED
    assert not (await store.claim_deliveries()).rows


async def test_a_success_after_the_relay_gave_up_makes_it_delivered(store: Store) -> None:
    registration = await store.delivering()
    stalled = await store.claimed_delivery()
    store.time.advance(LEASE)
    await store.attempted(GONE, DEAD)

    late = await store.record_attempts(store.tried(stalled, OK))
    view = await store.view(registration)

    assert late == [APPLIED]
    assert view.state is RegistrationState.DELIVERED
    assert view.delivery is not None
    assert (view.delivery.dead_reason, view.delivery.delivered_at) == (None, store.now)


async def test_a_second_success_is_only_logged(store: Store) -> None:
    registration = await store.delivering()
    stalled = await store.claimed_delivery()
    store.time.advance(LEASE)
    await store.attempted(OK)
    before = await store.rows("SELECT * FROM deliveries")

    late = await store.record_attempts(store.tried(stalled, OK))

    assert late == [DISCARDED]
    assert await store.rows("SELECT * FROM deliveries") == before
    assert await store.value("SELECT count(*) FROM attempts") == 2
    assert await state(store, registration) is RegistrationState.DELIVERED


@pytest.mark.parametrize(("outcome", "decision"), [(OK, None), (BAD, None), (GONE, DEAD)])
async def test_whatever_became_of_an_attempt_a_cancelled_registration_stays_cancelled(
    store: Store, outcome: Outcome, decision: Decision | None
) -> None:
    registration = await store.delivering()
    claimed = await store.claimed_delivery()
    await store.cancel(registration.id)

    late = await store.record_attempts(store.tried(claimed, outcome, decision))
    store.time.advance(DAY)

    assert late == [DISCARDED]
    assert await state(store, registration) is RegistrationState.CANCELLED
    assert await store.value("SELECT count(*) FROM attempts") == 1
    assert not (await store.claim_deliveries()).rows


@pytest.mark.parametrize(("outcome", "decision"), [(OK, None), (BAD, None), (GONE, DEAD)])
async def test_what_became_of_an_older_round_is_not_applied_to_this_one(
    store: Store, outcome: Outcome, decision: Decision | None
) -> None:
    registration = await store.delivering()
    stalled = await store.claimed_delivery()
    store.time.advance(LEASE)
    await store.attempted(GONE, DEAD)
    await store.redeliver(registration.id)
    before = await store.rows("SELECT * FROM deliveries")

    late = await store.record_attempts(store.tried(stalled, outcome, decision))

    assert late == [DISCARDED]
    assert await store.rows("SELECT * FROM deliveries") == before
    assert await state(store, registration) is RegistrationState.DELIVERING


async def test_the_outcome_of_the_claim_before_a_redelivery_is_not_the_new_rounds(store: Store) -> None:
    registration = await store.delivering()
    claimed = await store.claimed_delivery()
    await store.record_attempts(store.tried(claimed, GONE, DEAD))
    await store.redeliver(registration.id)

    repeated = await store.record_attempts(store.tried(claimed, GONE, DEAD))

    assert repeated == [DISCARDED]
    assert await state(store, registration) is RegistrationState.DELIVERING


async def test_an_outcome_of_what_was_pruned_meanwhile_is_dropped(store: Store) -> None:
    await store.delivering()
    claimed = await store.claimed_delivery()
    for table in ("deliveries", "events", "registrations"):
        await store.run(f"DELETE FROM {table}")  # noqa: S608 - the names stand in this test

    assert await store.record_attempts(store.tried(claimed, OK)) == [DISCARDED]
    assert await store.value("SELECT count(*) FROM attempts") == 0


@pytest.mark.parametrize(("outcome", "decision"), [(OK, None), (BAD, None), (GONE, DEAD)])
async def test_a_batch_repeated_after_a_commit_of_unknown_fate_changes_nothing(
    store: Store, outcome: Outcome, decision: Decision | None
) -> None:
    await store.delivering()
    tried = store.tried(await store.claimed_delivery(), outcome, decision)
    tables = ("registrations", "deliveries", "attempts", "lanes")
    await store.record_attempts(tried)
    before = [await store.rows(f"SELECT * FROM {table}") for table in tables]  # noqa: S608 - the names stand in this test

    await store.record_attempts(tried)

    assert [await store.rows(f"SELECT * FROM {table}") for table in tables] == before  # noqa: S608 - the names stand in `tables`


async def test_outcomes_of_one_delivery_in_one_batch_apply_as_if_one_after_the_other(store: Store) -> None:
    registration = await store.delivering()
    stalled = await store.claimed_delivery()
    store.time.advance(LEASE)
    successor = await store.claimed_delivery()

    recorded = await store.record_attempts(
        store.tried(successor, GONE, DEAD), store.tried(stalled, OK), store.tried(stalled, OK)
    )

    assert recorded == [APPLIED, APPLIED, DISCARDED]
    assert await state(store, registration) is RegistrationState.DELIVERED


async def test_a_success_in_one_batch_with_a_later_failure_stands(store: Store) -> None:
    registration = await store.delivering()
    stalled = await store.claimed_delivery()
    store.time.advance(LEASE)
    successor = await store.claimed_delivery()

    recorded = await store.record_attempts(store.tried(stalled, OK), store.tried(successor, GONE, DEAD))

    assert recorded == [APPLIED, DISCARDED]
    assert await state(store, registration) is RegistrationState.DELIVERED


@pytest.mark.parametrize("cancelled_first", [True, False], ids=["cancel first", "outcome first"])
async def test_a_cancel_that_meets_an_outcome_leaves_one_of_them_standing(
    store: Store, *, cancelled_first: bool
) -> None:
    registration = await store.delivering()
    tried = store.tried(await store.claimed_delivery(), OK)
    cancel = partial(registrations.cancel, client="shop", wanted=registration.id, now=store.now)
    record = partial(attempts.record, outcomes=[tried], slots=SLOTS)

    if cancelled_first:
        refused, recorded = await overlapping(store, cancel, record)
    else:
        recorded, refused = await overlapping(store, record, cancel)

    assert recorded == [DISCARDED if cancelled_first else APPLIED]
    assert (refused is None) is cancelled_first
    expected = RegistrationState.CANCELLED if cancelled_first else RegistrationState.DELIVERED
    assert await state(store, registration) is expected


async def test_batches_of_outcomes_in_opposite_orders_wait_for_each_other(store: Store) -> None:
    await many(store, 20)
    stalled = (await store.claim_deliveries(store.delivery_claim(slots_per_lane=50))).rows
    store.time.advance(LEASE)
    successors = (await store.claim_deliveries(store.delivery_claim(slots_per_lane=50))).rows

    one, two = await overlapping(
        store,
        partial(attempts.record, outcomes=[store.tried(row, BAD) for row in stalled], slots=SLOTS),
        partial(
            attempts.record, outcomes=[store.tried(row, OK) for row in reversed(successors)], slots=SLOTS
        ),
    )

    assert set(one) == {DISCARDED}
    assert set(two) == {APPLIED}


async def test_every_attempt_is_logged_under_its_claim(store: Store) -> None:
    registration = await store.delivering()
    stalled = await store.claimed_delivery()
    store.time.advance(LEASE)
    successor = await store.claimed_delivery()
    unreachable = Unreachable(failure=Failure.DNS, detail="no such name")

    await store.record_attempts(
        store.tried(stalled, unreachable), store.tried(successor, BAD, answer=b"busy\0now")
    )

    assert await store.rows(
        "SELECT registration, fence, number, started_at, duration, outcome, http_status, error, answer"
        " FROM attempts ORDER BY fence"
    ) == [
        (
            registration.id,
            1,
            1,
            store.now - 3 * MILLISECOND,
            3 * MILLISECOND,
            "dns",
            None,
            "dns: no such name",
            b"",
        ),
        (
            registration.id,
            2,
            1,
            store.now - 3 * MILLISECOND,
            3 * MILLISECOND,
            "rejected",
            500,
            "the callback answered 500",
            b"busy\0now",
        ),
    ]


async def test_nothing_recorded_changes_nothing(store: Store) -> None:
    assert await store.record_attempts() == []


async def counts(store: Store, wanted: deliveries.DeliveryClaim) -> dict[str, int]:
    lanes_of_rows = [row.lane for row in (await store.claim_deliveries(wanted)).rows]
    return {lane: lanes_of_rows.count(lane) for lane in lanes_of_rows}


async def test_a_claim_takes_no_more_of_an_origin_than_it_has_slots_here(store: Store) -> None:
    await many(store, 12)
    await many(store, 12, origin=OTHER_HOOK)
    busy = {origin_lane("shop", HOOK): 6}

    assert await counts(store, store.delivery_claim(busy=busy, slots_per_lane=8)) == {
        f"shop {HOOK}": 2,
        f"shop {OTHER_HOOK}": 8,
    }


async def test_a_claim_takes_no_more_of_an_origin_than_the_quantum(store: Store) -> None:
    await many(store, 12)

    claims = [await store.claim_deliveries(store.delivery_claim(quantum=5)) for _ in range(4)]

    assert [len(claim.rows) for claim in claims] == [5, 5, 2, 0]
    assert [claim.more for claim in claims] == [True, True, False, False]


async def test_origins_take_turns_so_that_no_dead_one_fills_every_claim(store: Store) -> None:
    await many(store, 30)
    await many(store, 3, origin=OTHER_HOOK)
    last: LaneName | None = None
    served: list[str] = []
    for _ in range(4):
        claim = await store.claim_deliveries(store.delivery_claim(free=2, quantum=2, last=last))
        last = claim.last
        served += sorted({row.lane for row in claim.rows})

    assert served == [f"shop {HOOK}", f"shop {OTHER_HOOK}"] * 2


async def test_two_clients_that_call_one_origin_do_not_hold_each_other_up(store: Store) -> None:
    await store.register(store.wanted(), store.wanted(client="bank"))
    await store.end_all()
    await store.write(
        lanes.change,
        {origin_lane("shop", HOOK): lambda lane: replace(lane, paused_until=Instant(store.now + HOUR))},
    )

    assert await counts(store, store.delivery_claim(clients=("shop", "bank"))) == {f"bank {HOOK}": 1}


@pytest.mark.parametrize("decision", [None, Dead(reason=DeadReason.EXHAUSTED)], ids=["retried", "given up"])
async def test_an_origin_that_asked_for_a_pause_is_left_alone_until_it_is_over(
    store: Store, decision: Decision | None
) -> None:
    await many(store, 3)
    await many(store, 1, origin=OTHER_HOOK)
    rows = (await store.claim_deliveries(store.delivery_claim(quantum=1))).rows
    row = next(row for row in rows if row.lane == f"shop {HOOK}")
    asked = Rejected(http_status=429, retry_after=Span(MINUTE))

    await store.record_attempts(store.tried(row, asked, decision))
    during = await counts(store, store.delivery_claim())
    store.time.advance(MINUTE)

    assert during == {}
    assert f"shop {HOOK}" in await counts(store, store.delivery_claim())


async def test_a_shorter_pause_does_not_end_a_longer_one(store: Store) -> None:
    await many(store, 3)
    one, two, three = (await store.claim_deliveries()).rows
    lane = one.lane

    await store.record_attempts(
        store.tried(one, Rejected(http_status=503, retry_after=Span(HOUR))),
        store.tried(two, Rejected(http_status=503, retry_after=Span(MINUTE))),
    )
    await store.record_attempts(store.tried(three, Rejected(http_status=429, retry_after=Span(SECOND))))

    assert await store.database.read(lanes.paused, store.now) == {lane: store.now + HOUR}


@pytest.mark.parametrize(
    "outcome",
    [BAD, Unreachable(failure=Failure.TIMEOUT, detail="15 s"), Blocked(rule="loopback", final=False)],
    ids=["500", "timeout", "blocked"],
)
async def test_a_failure_walks_its_own_schedule_and_stops_no_other_delivery(
    store: Store, outcome: Outcome
) -> None:
    await many(store, 2)
    first = (await store.claim_deliveries(store.delivery_claim(quantum=1))).rows[0]

    await store.record_attempts(store.tried(first, outcome))

    assert await counts(store, store.delivery_claim()) == {f"shop {HOOK}": 1}
    assert await store.database.read(lanes.paused, store.now) == {}


async def test_deliveries_of_a_client_that_is_not_configured_are_held_and_kept(store: Store) -> None:
    await store.delivering()

    held = await store.claim_deliveries(store.delivery_claim(clients=("bank",)))
    store.time.advance(DAY)

    assert not held.rows
    assert len((await store.claim_deliveries()).rows) == 1


async def test_a_claim_where_nothing_is_due_keeps_its_turn(store: Store) -> None:
    last = LaneName("shop x")

    claim = await store.claim_deliveries(store.delivery_claim(last=last))

    assert (claim.rows, claim.more, claim.last) == ((), False, last)


async def test_a_redelivery_sends_the_same_event_through_the_full_schedule(store: Store) -> None:
    registration = await store.delivering()
    first = await store.claimed_delivery()
    await store.record_attempts(store.tried(first, GONE, DEAD))
    store.time.advance(DAY)

    refused = await store.redeliver(registration.id)
    again = await store.claimed_delivery()

    assert refused is None
    assert (again.event, again.body, again.announced_at) == (first.event, first.body, first.announced_at)
    assert (again.number, again.failures, again.round) == (2, 0, 2)
