from functools import partial

import pytest

from relay.domain.instants import DAY, HOUR, MINUTE, SECOND, Instant
from relay.domain.registrations import EventType, RegistrationState
from relay.domain.tasks import PollAnswer, PollResult, TaskState, UpstreamError
from relay.storage import polls, registrations
from relay.storage.polls import RecordedPoll
from relay.storage.registrations import Created
from tests.storage.interleaving import between, overlapping
from tests.storage.store import BASE_URLS, ERROR, LEASE, LOST, NOT_FOUND, PENDING, SUCCESS, Store, report

DISCARDED = RecordedPoll(task=None)


async def test_an_answer_that_is_no_end_schedules_the_next_poll(store: Store) -> None:
    registration = await store.accept(store.wanted())
    claimed = await store.claimed_poll()

    (recorded,) = await store.record_polls(store.polled(claimed, PENDING, again_in=10 * SECOND))
    view = await store.view(registration)
    store.time.advance(10 * SECOND - 1)
    early = (await store.claim_polls()).rows
    store.time.advance(1)

    assert recorded.types == ()
    assert (view.task.polls, view.task.last_poll_result) == (1, PollResult.PENDING)
    assert (view.task.status, view.task.next_at) == ("PENDING", store.now)
    assert not early
    assert len((await store.claim_polls()).rows) == 1


@pytest.mark.parametrize(
    ("answer", "state", "type_"),
    [
        (SUCCESS, TaskState.SUCCEEDED, EventType.TASK_SUCCEEDED),
        (ERROR, TaskState.FAILED, EventType.TASK_FAILED),
    ],
    ids=["success", "error"],
)
async def test_the_end_of_a_task_is_told_to_everybody_who_watches_it(
    store: Store, answer: PollAnswer, state: TaskState, type_: EventType
) -> None:
    both = [store.wanted(hook="/a"), store.wanted(hook="/b")]
    await store.register(*both)

    recorded = await store.answered(answer)
    views = [await store.view(registration) for registration in both]

    assert recorded.types == (type_, type_)
    assert {view.state for view in views} == {RegistrationState.DELIVERING}
    assert {view.event.type for view in views if view.event is not None} == {type_}
    assert {view.task.state for view in views} == {state}
    assert len((await store.claim_deliveries()).rows) == 2


async def test_a_task_that_has_ended_is_polled_no_more(store: Store) -> None:
    await store.delivering()
    store.time.advance(DAY)

    assert not (await store.claim_polls()).rows


async def test_who_cancelled_is_told_nothing(store: Store) -> None:
    stays, leaves = store.wanted(hook="/stays"), store.wanted(hook="/leaves")
    await store.register(stays, leaves)
    await store.cancel(leaves.id)

    recorded = await store.answered(SUCCESS)

    assert recorded.types == (EventType.TASK_SUCCEEDED,)
    assert (await store.view(leaves)).event is None


async def test_the_last_valid_body_is_kept_through_answers_that_are_none(store: Store) -> None:
    registration = await store.accept(store.wanted())
    for answer in (PENDING, UpstreamError(result=PollResult.INVALID, http_status=200)):
        await store.answered(answer)
        store.time.advance(MINUTE)

    assert (await store.view(registration)).task.status == "PENDING"
    assert await store.value("SELECT payload FROM reports") == PENDING.payload


async def test_a_body_with_nul_bytes_is_stored_and_told_as_it_came(store: Store) -> None:
    body = b'{"status":"SUCCESS","message":"a\\u0000b","exception_reason":"\\u0000","run_id":1}'
    registration = await store.accept(store.wanted())

    await store.answered(report(body))
    event = (await store.view(registration)).event

    assert event is not None
    assert event.body is not None
    assert body in event.body
    assert await store.value("SELECT payload FROM reports") == body


async def test_a_status_word_with_a_nul_byte_is_stored(store: Store) -> None:
    registration = await store.accept(store.wanted())

    await store.answered(report(b'{"status":"QUEUED\\u0000"}'))

    assert (await store.view(registration)).task.status == "QUEUED\0"


async def test_the_largest_run_id_is_stored(store: Store) -> None:
    registration = await store.accept(store.wanted())

    await store.answered(report(b'{"status":"SUCCESS","run_id":9223372036854775807}'))

    assert (await store.view(registration)).task.run_id == 2**63 - 1


async def test_the_first_answer_after_the_lease_belongs_to_the_successor(store: Store) -> None:
    registration = await store.accept(store.wanted())
    stalled = await store.claimed_poll()
    store.time.advance(LEASE)
    successor = await store.claimed_poll()

    late = await store.record_polls(store.polled(stalled, SUCCESS))
    between_them = (await store.view(registration)).state
    own = await store.record_polls(store.polled(successor, PENDING))

    assert late == [DISCARDED]
    assert between_them is RegistrationState.WATCHING
    assert own[0].task is not None


async def test_an_answer_after_the_end_changes_nothing(store: Store) -> None:
    await store.accept(store.wanted())
    stalled = await store.claimed_poll()
    store.time.advance(LEASE)
    await store.answered(SUCCESS)
    before = await store.rows("SELECT * FROM tasks")

    late = await store.record_polls(store.polled(stalled, ERROR))

    assert late == [DISCARDED]
    assert await store.rows("SELECT * FROM tasks") == before
    assert await store.value("SELECT count(*) FROM events") == 1


async def test_a_late_answer_that_nobody_claimed_after_still_counts(store: Store) -> None:
    registration = await store.accept(store.wanted())
    stalled = await store.claimed_poll()
    store.time.advance(2 * LEASE)

    (recorded,) = await store.record_polls(store.polled(stalled, SUCCESS))

    assert recorded.types == (EventType.TASK_SUCCEEDED,)
    assert (await store.view(registration)).state is RegistrationState.DELIVERING


@pytest.mark.parametrize("answer", [PENDING, SUCCESS, NOT_FOUND])
async def test_a_batch_repeated_after_a_commit_of_unknown_fate_changes_nothing(
    store: Store, answer: PollAnswer
) -> None:
    await store.accept(store.wanted())
    outcome = store.polled(await store.claimed_poll(), answer)
    tables = ("tasks", "reports", "registrations", "events", "deliveries", "clients", "lanes")
    await store.record_polls(outcome)
    before = [await store.rows(f"SELECT * FROM {table}") for table in tables]  # noqa: S608 - the names stand in `tables`

    repeated = await store.record_polls(outcome)

    assert repeated == [DISCARDED]
    assert [await store.rows(f"SELECT * FROM {table}") for table in tables] == before  # noqa: S608 - the names stand in `tables`


async def test_the_same_answer_twice_in_one_batch_counts_once(store: Store) -> None:
    await store.accept(store.wanted())
    outcome = store.polled(await store.claimed_poll(), PENDING)
    twin = store.polled(outcome.claimed, PENDING)

    first, second = await store.record_polls(outcome, twin)

    assert first.task is not None
    assert first.task.polls == 1
    assert second == DISCARDED


async def test_an_answer_about_a_task_that_is_gone_is_dropped(store: Store) -> None:
    await store.accept(store.wanted())
    claimed = await store.claimed_poll()
    await store.run("DELETE FROM registrations")
    await store.run("DELETE FROM tasks")

    assert await store.record_polls(store.polled(claimed, SUCCESS)) == [DISCARDED]


async def test_an_answer_for_a_task_that_everybody_has_left_is_discarded(store: Store) -> None:
    registration = await store.accept(store.wanted())
    claimed = await store.claimed_poll()
    await store.cancel(registration.id)

    assert await store.record_polls(store.polled(claimed, PENDING)) == [DISCARDED]
    assert (await store.view(registration)).task.state is TaskState.IDLE


async def test_nothing_recorded_changes_nothing(store: Store) -> None:
    assert await store.record_polls() == []


async def test_the_honest_window_is_the_start_of_the_last_pending_poll_and_the_arrival_of_the_end(
    store: Store,
) -> None:
    await store.accept(store.wanted())
    pending_begun = store.now
    claimed = await store.claimed_poll()
    store.time.advance(SECOND)
    await store.record_polls(store.polled(claimed, PENDING, begun_at=pending_begun, again_in=SECOND))
    store.time.advance(SECOND)
    claimed, terminal_begun = await store.claimed_poll(), store.now
    store.time.advance(SECOND)
    arrival = store.now

    (recorded,) = await store.record_polls(store.polled(claimed, SUCCESS, begun_at=terminal_begun))

    assert recorded.task is not None
    assert (recorded.task.last_pending_at, recorded.task.first_terminal_at) == (pending_begun, arrival)
    assert await store.rows("SELECT last_pending_at, first_terminal_at FROM tasks") == [
        (pending_begun, arrival)
    ]


@pytest.mark.parametrize("registered_first", [True, False], ids=["registration first", "end first"])
async def test_a_registration_that_meets_the_end_of_its_task_is_told(
    store: Store, *, registered_first: bool
) -> None:
    await store.accept(store.wanted(hook="/early"))
    claimed = await store.claimed_poll()
    wanted = store.wanted(hook="/meets")
    register = partial(registrations.register, wanted=[wanted], base_urls=BASE_URLS)
    end = partial(polls.record, outcomes=[store.polled(claimed, SUCCESS)], lost=LOST)

    if registered_first:
        created, recorded = await overlapping(store, register, end)
    else:
        recorded, created = await overlapping(store, end, register)
    view = await store.view(wanted)

    assert isinstance(created[0], Created)
    assert recorded[0].types == (EventType.TASK_SUCCEEDED,) * (2 if registered_first else 1)
    assert view.state is RegistrationState.DELIVERING
    assert view.event is not None
    assert view.event.type is EventType.TASK_SUCCEEDED
    assert await store.value("SELECT count(*) FROM deliveries") == 2


async def test_a_registration_that_commits_while_the_end_of_its_task_waits_is_told_by_it(
    store: Store,
) -> None:
    """The lock on the task and the look at its registrations are two statements."""
    await store.accept(store.wanted(hook="/early"))
    claimed = await store.claimed_poll()
    wanted = store.wanted(hook="/meets")

    recorded, _ = await between(
        store,
        "FROM tasks",
        partial(polls.record, outcomes=[store.polled(claimed, SUCCESS)], lost=LOST),
        lambda: store.register(wanted),
    )

    assert recorded[0].types == (EventType.TASK_SUCCEEDED,) * 2
    assert (await store.view(wanted)).state is RegistrationState.DELIVERING


@pytest.mark.parametrize("cancelled_first", [True, False], ids=["cancel first", "end first"])
async def test_a_cancel_that_meets_the_end_of_the_task_takes_hold(
    store: Store, *, cancelled_first: bool
) -> None:
    registration = await store.accept(store.wanted())
    claimed = await store.claimed_poll()
    cancel = partial(registrations.cancel, client="shop", wanted=registration.id, now=store.now)
    end = partial(polls.record, outcomes=[store.polled(claimed, SUCCESS)], lost=LOST)

    if cancelled_first:
        refused, _ = await overlapping(store, cancel, end)
    else:
        _, refused = await overlapping(store, end, cancel)

    assert refused is None
    assert (await store.view(registration)).state is RegistrationState.CANCELLED
    assert not (await store.claim_deliveries()).rows
    assert await store.value("SELECT count(*) FROM events") == (0 if cancelled_first else 1)


async def test_batches_of_answers_in_opposite_orders_wait_for_each_other(store: Store) -> None:
    await store.register(*(store.wanted(f"t-{number}") for number in range(20)))
    stalled = (await store.claim_polls()).rows
    store.time.advance(LEASE)
    successors = (await store.claim_polls()).rows

    one, two = await overlapping(
        store,
        partial(polls.record, outcomes=[store.polled(row, SUCCESS) for row in stalled], lost=LOST),
        partial(
            polls.record, outcomes=[store.polled(row, SUCCESS) for row in reversed(successors)], lost=LOST
        ),
    )

    assert {recorded.task is None for recorded in one} == {True}
    assert {recorded.types for recorded in two} == {(EventType.TASK_SUCCEEDED,)}


async def test_a_task_that_is_polled_shows_no_next_poll_until_its_answer(store: Store) -> None:
    registration = await store.accept(store.wanted())
    claimed = await store.claimed_poll()

    during = (await store.view(registration)).task.next_at
    await store.record_polls(store.polled(claimed, PENDING, again_in=HOUR))

    assert during is None
    assert (await store.view(registration)).task.next_at == Instant(store.now + HOUR)
