from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from relay.domain.deliveries import Accepted, Dead, DeadReason, Rejected
from relay.domain.instants import DAY, HOUR, MINUTE, SECOND
from relay.domain.registrations import Format, Registration, RegistrationState
from relay.domain.tasks import TaskState
from relay.domain.traces import TraceContext
from relay.storage import registrations
from relay.storage.registrations import Created, Standing
from tests.storage.interleaving import between, overlapping
from tests.storage.store import BASE_URLS, NOT_FOUND, PENDING, SUCCESS, Store

GONE = Dead(reason=DeadReason.GONE)


async def test_a_new_registration_watches_a_task_that_is_due_at_once(store: Store) -> None:
    wanted = store.wanted()

    (registered,) = await store.register(wanted)
    view = await store.view(wanted)

    assert isinstance(registered, Created)
    assert registered.registration == wanted == view.registration
    assert view.state is RegistrationState.WATCHING
    assert view.task.state is TaskState.WATCHING
    assert view.task.next_at == store.now
    assert view.event is None
    assert view.delivery is None


async def test_registrations_of_one_task_share_its_row(store: Store) -> None:
    await store.register(store.wanted(hook="/a"), store.wanted(hook="/b"))
    await store.register(store.wanted(hook="/c"))

    assert await store.value("SELECT count(*) FROM tasks") == 1
    assert len((await store.claim_polls()).rows) == 1


async def test_the_same_task_id_of_another_client_or_kind_is_another_task(store: Store) -> None:
    await store.register(store.wanted(), store.wanted(client="bank"), store.wanted(kind="dub"))

    assert await store.value("SELECT count(*) FROM tasks") == 3


async def test_the_same_registration_stands_while_its_task_is_watched(store: Store) -> None:
    first = await store.accept(store.wanted())

    answers = await store.register(store.wanted())

    assert answers == [Standing(id=first.id, differing=())]
    assert await store.value("SELECT count(*) FROM registrations") == 1


async def test_a_registration_keeps_its_place_in_its_caller_s_trace_and_the_same_one_again_changes_nothing(
    store: Store,
) -> None:
    first = replace(
        store.wanted(), trace=TraceContext(traceparent=f"00-{'a' * 32}-{'b' * 16}-01", tracestate="v=1")
    )
    again = replace(store.wanted(), trace=TraceContext(traceparent=f"00-{'c' * 32}-{'d' * 16}-00"))
    await store.accept(first)

    answers = await store.register(again)

    assert answers == [Standing(id=first.id, differing=())]
    assert (await store.view(first)).registration == first


@pytest.mark.parametrize(
    ("options", "differing"),
    [
        ({"metadata": b'{"order":7}'}, ("metadata",)),
        ({"expires_in": 60}, ("expires_in",)),
        ({"format": Format.RAW}, ("format",)),
        ({"metadata": b"[]", "expires_in": 60, "format": Format.RAW}, ("metadata", "expires_in", "format")),
    ],
    ids=["metadata", "expires_in", "format", "all"],
)
async def test_the_same_registration_with_other_options_stands_and_says_which_differ(
    store: Store, options: dict[str, Any], differing: tuple[str, ...]
) -> None:
    first = await store.accept(store.wanted())

    (answer,) = await store.register(replace(store.wanted(), **options))
    view = await store.view(first)

    assert answer == Standing(id=first.id, differing=differing)
    assert view.registration == first


async def test_equal_registrations_in_one_batch_behave_as_if_sent_one_after_the_other(store: Store) -> None:
    first, second, third = store.wanted(), store.wanted(), store.wanted(metadata=b"[1]")
    other = store.wanted(hook="/other")

    answers = await store.register(first, second, other, third)

    assert [type(answer) for answer in answers] == [Created, Standing, Created, Standing]
    assert answers[1] == Standing(id=first.id, differing=())
    assert answers[3] == Standing(id=first.id, differing=("metadata",))
    assert await store.value("SELECT count(*) FROM registrations") == 2


async def test_the_first_of_equal_registrations_wins_whatever_the_order_of_their_ids(store: Store) -> None:
    later, earlier = store.wanted(), store.wanted()
    assert later.id < earlier.id

    answers = await store.register(earlier, later)

    assert isinstance(answers[0], Created)
    assert answers[1] == Standing(id=earlier.id, differing=())


async def test_two_equal_registrations_at_once_make_one(store: Store) -> None:
    first, second = store.wanted(), store.wanted()

    one, two = await overlapping(
        store,
        partial(registrations.register, wanted=[first], base_urls=BASE_URLS),
        partial(registrations.register, wanted=[second], base_urls=BASE_URLS),
    )

    assert isinstance(one[0], Created)
    assert two == [Standing(id=first.id, differing=())]


async def test_batches_that_name_the_same_tasks_in_opposite_orders_wait_for_each_other(store: Store) -> None:
    names = [f"t-{number}" for number in range(20)]
    forth = [store.wanted(name, hook="/forth") for name in names]
    back = [store.wanted(name, hook="/back") for name in reversed(names)]

    one, two = await overlapping(
        store,
        partial(registrations.register, wanted=forth, base_urls=BASE_URLS),
        partial(registrations.register, wanted=back, base_urls=BASE_URLS),
    )

    assert {type(answer) for answer in one + two} == {Created}
    assert await store.value("SELECT count(*) FROM tasks") == 20


async def test_a_repeated_batch_changes_nothing_and_is_answered_as_the_first_time(store: Store) -> None:
    batch = [store.wanted(), store.wanted(hook="/b"), store.wanted()]

    first = await store.register(*batch)
    before = await store.rows("SELECT * FROM registrations ORDER BY id")
    second = await store.register(*batch)

    assert first == second
    assert [type(answer) for answer in second] == [Created, Created, Standing]
    assert await store.rows("SELECT * FROM registrations ORDER BY id") == before


async def test_a_repeated_batch_is_answered_as_created_though_its_task_has_ended_meanwhile(
    store: Store,
) -> None:
    wanted = await store.delivering()

    (again,) = await store.register(wanted)

    assert isinstance(again, Created)
    assert await store.value("SELECT count(*) FROM events") == 1


async def test_a_repeated_batch_is_answered_as_created_though_its_identity_is_free_again(
    store: Store,
) -> None:
    wanted = await store.accept(store.wanted())
    await store.cancel(wanted.id)

    (again,) = await store.register(wanted)

    assert isinstance(again, Created)
    assert (await store.view(wanted)).state is RegistrationState.CANCELLED


async def test_a_registration_on_a_task_that_has_ended_is_told_in_the_same_transaction(store: Store) -> None:
    first = await store.delivering()
    store.time.advance(HOUR)

    late = await store.accept(store.wanted(hook="/late"))
    view, earlier = await store.view(late), await store.view(first)

    assert view.state is RegistrationState.DELIVERING
    assert view.event is not None
    assert earlier.event is not None
    assert view.event.body is not None
    assert view.event.type == earlier.event.type
    assert b'"status":"SUCCESS","run_id":7}' in view.event.body
    assert view.delivery is not None
    assert view.delivery.next_at == store.now
    assert view.task.state is TaskState.SUCCEEDED
    assert not (await store.claim_polls()).rows


async def test_several_registrations_on_a_task_that_has_ended_are_all_told(store: Store) -> None:
    await store.delivering()

    await store.register(store.wanted(hook="/b"), store.wanted(hook="/c"))

    assert await store.rows("SELECT position FROM events ORDER BY position") == [(1,), (2,), (3,)]
    assert await store.value("SELECT count(*) FROM deliveries WHERE next_at IS NOT NULL") == 3


async def test_a_task_that_nobody_watches_is_idle_and_revived_by_the_next_registration(store: Store) -> None:
    first = await store.accept(store.wanted())
    await store.answered(PENDING)
    await store.cancel(first.id)
    store.time.advance(HOUR)
    idle = await store.claim_polls()

    second = await store.accept(store.wanted())
    view = await store.view(second)
    claimed = await store.claimed_poll()

    assert not idle.rows
    assert view.task.state is TaskState.WATCHING
    assert claimed.paced_from == store.now


async def test_a_registration_does_not_put_off_a_task_that_is_watched_already(store: Store) -> None:
    await store.accept(store.wanted())
    begun = store.now
    await store.answered(PENDING)
    (planned,) = await store.rows("SELECT next_at FROM tasks")
    store.time.advance(SECOND)

    await store.accept(store.wanted(hook="/b"))

    assert await store.rows("SELECT next_at FROM tasks") == [planned]
    assert await store.value("SELECT paced_from FROM tasks") == begun


async def delivered(store: Store) -> Registration:
    return await store.delivered()


async def dead(store: Store) -> Registration:
    return await store.dead(GONE, Rejected(http_status=410))


async def cancelled(store: Store) -> Registration:
    registration = await store.accept(store.wanted())
    await store.cancel(registration.id)
    return registration


async def expired(store: Store) -> Registration:
    registration = await store.accept(store.wanted(lasts=MINUTE))
    store.time.advance(MINUTE)
    await store.answered(PENDING)
    assert (await store.view(registration)).state is RegistrationState.WATCHING
    await store.expire()
    await store.answered(PENDING)
    return registration


async def lost(store: Store) -> Registration:
    registration = await store.accept(store.wanted())
    for _ in range(3):
        assert (await store.view(registration)).event is None
        await store.answered(NOT_FOUND)
        store.time.advance(10 * MINUTE)
    return registration


async def test_a_registration_keeps_its_identity_when_it_is_delivered(store: Store) -> None:
    first = await delivered(store)

    (answer,) = await store.register(store.wanted())

    assert answer == Standing(id=first.id, differing=())


@pytest.mark.parametrize("ending", [dead, cancelled, expired, lost])
async def test_the_same_registration_is_a_new_one_once_the_first_is(
    store: Store, ending: Callable[[Store], Awaitable[Registration]]
) -> None:
    first = await ending(store)

    (answer,) = await store.register(store.wanted())

    assert isinstance(answer, Created)
    assert answer.registration.id != first.id


async def test_an_identity_that_was_given_up_is_not_taken_back(store: Store) -> None:
    first = await dead(store)
    second = await store.accept(store.wanted())

    await store.redeliver(first.id)
    claimed = {row.registration: row for row in (await store.claim_deliveries()).rows}
    await store.record_attempts(store.tried(claimed[first.id], Accepted(http_status=200)))
    (answer,) = await store.register(store.wanted())

    assert (await store.view(first)).state is RegistrationState.DELIVERED
    assert answer == Standing(id=second.id, differing=())


async def test_a_registration_that_dies_while_the_same_one_is_asked_for_gives_way_to_it(store: Store) -> None:
    first = await store.delivering()
    claimed = await store.claimed_delivery()
    again = store.wanted()

    answers, _ = await between(
        store,
        "SELECT registrations.id, registrations.identity",
        partial(registrations.register, wanted=[again], base_urls=BASE_URLS),
        lambda: store.record_attempts(store.tried(claimed, Rejected(http_status=410), GONE)),
    )

    assert isinstance(answers[0], Created)
    assert (await store.view(first)).state is RegistrationState.DEAD
    assert (await store.view(again)).state is RegistrationState.DELIVERING


async def test_what_was_registered_counts_its_404s_from_itself(store: Store) -> None:
    await store.accept(store.wanted())
    for _ in range(3):
        await store.answered(NOT_FOUND)
        store.time.advance(10 * SECOND)

    await store.accept(store.wanted(hook="/late"))

    assert await store.rows("SELECT not_found_before FROM registrations ORDER BY id") == [(0,), (3,)]


async def test_a_registration_on_a_task_that_ended_long_ago_outlives_its_expiry_there(store: Store) -> None:
    await store.delivering()
    late = await store.accept(store.wanted(hook="/late", lasts=MINUTE))
    store.time.advance(DAY)

    assert await store.expire() == (0, 0)
    assert (await store.view(late)).state is RegistrationState.DELIVERING


async def test_no_report_is_needed_where_nobody_comes_late(store: Store) -> None:
    await store.accept(store.wanted())
    await store.answered(SUCCESS)

    assert await store.rows("SELECT run_id, status FROM reports") == [(7, b"SUCCESS")]
