from functools import partial

import orjson
import pytest

from relay.domain.instants import DAY, HOUR, MINUTE, SECOND, Instant
from relay.domain.registrations import EventType, Registration, RegistrationState
from relay.domain.tasks import PollAnswer, TaskState
from relay.storage import expiry, polls
from tests.storage.interleaving import overlapping
from tests.storage.store import LOST, NOT_FOUND, PENDING, SERVER_ERROR, SUCCESS, UNREACHABLE, Store

LAST_WORD = 2 * MINUTE


async def told(store: Store, registration: Registration) -> EventType | None:
    event = (await store.view(registration)).event
    return None if event is None else event.type


async def watching(store: Store, *, lasts: int = MINUTE, hook: str = "/a") -> Registration:
    """A registration whose task was just polled and is due again in an hour."""
    registration = await store.accept(store.wanted(lasts=lasts, hook=hook))
    await store.record_polls(store.polled(await store.claimed_poll(), PENDING, again_in=HOUR))
    return registration


async def test_an_expiry_makes_the_task_due_and_the_next_answer_decides(store: Store) -> None:
    registration = await watching(store)
    store.time.advance(MINUTE)

    taken = await store.expire()
    before = await told(store, registration)
    recorded = await store.answered(PENDING)

    assert taken == (1, 0)
    assert before is None
    assert recorded.types == (EventType.REGISTRATION_EXPIRED,)
    assert (await store.view(registration)).state is RegistrationState.DELIVERING


async def test_nothing_expires_before_its_time(store: Store) -> None:
    await watching(store)
    store.time.advance(MINUTE - 1)

    assert await store.expire() == (0, 0)
    assert not (await store.claim_polls()).rows


async def test_an_expired_registration_is_taken_up_once(store: Store) -> None:
    await watching(store)
    store.time.advance(MINUTE)

    assert [await store.expire(), await store.expire()] == [(1, 0), (0, 0)]


async def test_a_poll_begun_before_the_expiry_decides_nothing_and_the_task_is_due_again_at_once(
    store: Store,
) -> None:
    registration = await store.accept(store.wanted(lasts=MINUTE))
    store.time.advance(MINUTE - SECOND)
    claimed, begun_at = await store.claimed_poll(), store.now
    store.time.advance(2 * SECOND)
    await store.expire()

    early = await store.record_polls(store.polled(claimed, PENDING, begun_at=begun_at, again_in=HOUR))
    first = await told(store, registration)
    await store.answered(PENDING)

    assert early[0].types == ()
    assert first is None
    assert await told(store, registration) is EventType.REGISTRATION_EXPIRED


async def test_an_end_that_the_last_poll_finds_is_told_instead(store: Store) -> None:
    registration = await watching(store)
    store.time.advance(MINUTE)
    await store.expire()

    await store.answered(SUCCESS)

    assert await told(store, registration) is EventType.TASK_SUCCEEDED


async def test_a_404_counts_as_an_answer_for_an_expiry(store: Store) -> None:
    registration = await watching(store)
    store.time.advance(MINUTE)
    await store.expire()

    await store.answered(NOT_FOUND)

    assert await told(store, registration) is EventType.REGISTRATION_EXPIRED


@pytest.mark.parametrize("answer", [SERVER_ERROR, UNREACHABLE], ids=["500", "unreachable"])
async def test_trouble_with_the_upstream_decides_nothing_until_the_last_word(
    store: Store, answer: PollAnswer
) -> None:
    registration = await watching(store)
    store.time.advance(MINUTE)
    await store.expire()
    await store.answered(answer)
    store.time.advance(LAST_WORD - 1)
    early = await store.expire()
    store.time.advance(1)

    late = await store.expire()

    assert early == (0, 0)
    assert late == (1, 1)
    assert await told(store, registration) is EventType.REGISTRATION_EXPIRED


async def test_where_no_poll_can_be_made_the_verdict_falls_two_minutes_later(store: Store) -> None:
    registration = await watching(store)
    store.time.advance(MINUTE)
    await store.expire()
    store.time.advance(LAST_WORD)

    assert await store.expire() == (1, 1)
    assert await told(store, registration) is EventType.REGISTRATION_EXPIRED


async def test_what_expired_while_nobody_was_there_to_poll_is_told_at_once(store: Store) -> None:
    registration = await store.accept(store.wanted(lasts=MINUTE))
    store.time.advance(MINUTE + LAST_WORD)

    assert await store.expire() == (1, 1)
    assert await told(store, registration) is EventType.REGISTRATION_EXPIRED


async def test_a_task_whose_last_registration_expired_is_idle(store: Store) -> None:
    registration = await watching(store)
    store.time.advance(MINUTE)
    await store.expire()
    await store.answered(PENDING)
    store.time.advance(DAY)

    assert (await store.view(registration)).task.state is TaskState.IDLE
    assert not (await store.claim_polls()).rows


async def test_a_task_whose_last_registration_expired_unpolled_is_idle(store: Store) -> None:
    registration = await watching(store)
    store.time.advance(MINUTE + LAST_WORD)
    await store.expire()
    store.time.advance(DAY)

    assert (await store.view(registration)).task.state is TaskState.IDLE
    assert not (await store.claim_polls()).rows


async def test_an_expiry_is_no_verdict_on_the_task_which_goes_on_for_the_others(store: Store) -> None:
    long = await store.accept(store.wanted(hook="/long"))
    short = await store.accept(store.wanted(hook="/short", lasts=MINUTE))
    store.time.advance(MINUTE)
    await store.expire()
    await store.answered(PENDING)
    between = await told(store, short), await told(store, long)
    store.time.advance(MINUTE)

    await store.answered(SUCCESS)

    assert between == (EventType.REGISTRATION_EXPIRED, None)
    assert await told(store, long) is EventType.TASK_SUCCEEDED
    assert await told(store, short) is EventType.REGISTRATION_EXPIRED


async def test_an_unpolled_expiry_leaves_the_task_to_the_others(store: Store) -> None:
    long = await store.accept(store.wanted(hook="/long"))
    short = await store.accept(store.wanted(hook="/short", lasts=MINUTE))
    store.time.advance(MINUTE + LAST_WORD)

    await store.expire()

    assert await told(store, short) is EventType.REGISTRATION_EXPIRED
    assert (await store.view(long)).task.state is TaskState.WATCHING
    assert len((await store.claim_polls()).rows) == 1


async def test_a_second_deadline_that_passes_during_the_poll_for_the_first_has_its_own_poll_at_once(
    store: Store,
) -> None:
    first = await watching(store, lasts=MINUTE)
    second = await store.accept(store.wanted(lasts=MINUTE + SECOND, hook="/second"))
    store.time.advance(MINUTE)
    await store.expire()
    claimed, begun_at = await store.claimed_poll(), store.now
    store.time.advance(SECOND)
    await store.expire()

    await store.record_polls(store.polled(claimed, PENDING, begun_at=begun_at, again_in=HOUR))
    after_one = await told(store, first), await told(store, second)
    await store.answered(PENDING)

    assert after_one == (EventType.REGISTRATION_EXPIRED, None)
    assert await told(store, second) is EventType.REGISTRATION_EXPIRED


async def test_two_deadlines_that_passed_together_share_one_poll(store: Store) -> None:
    await watching(store, lasts=MINUTE)
    await store.accept(store.wanted(lasts=MINUTE + SECOND, hook="/second"))
    store.time.advance(MINUTE + SECOND)

    taken = await store.expire()
    recorded = await store.answered(PENDING)

    assert taken == (2, 0)
    assert recorded.types == (EventType.REGISTRATION_EXPIRED,) * 2


async def test_two_deadlines_taken_up_one_after_the_other_share_the_poll_that_is_still_to_come(
    store: Store,
) -> None:
    await watching(store, lasts=MINUTE)
    await store.accept(store.wanted(lasts=MINUTE + SECOND, hook="/second"))
    store.time.advance(MINUTE)
    await store.expire()
    store.time.advance(SECOND)
    await store.expire()

    recorded = await store.answered(PENDING)

    assert recorded.types == (EventType.REGISTRATION_EXPIRED,) * 2


async def test_work_of_a_client_that_is_not_configured_never_expires(store: Store) -> None:
    registration = await store.accept(store.wanted(client="gone", lasts=MINUTE))
    store.time.advance(DAY)

    assert await store.expire("shop", "bank") == (0, 0)
    assert await told(store, registration) is None


async def test_an_expiry_takes_up_no_more_than_it_is_asked_to_and_the_oldest_first(store: Store) -> None:
    young, old = (
        await store.accept(store.wanted("young", lasts=2 * MINUTE)),
        await store.accept(store.wanted("old", lasts=MINUTE)),
    )
    store.time.advance(HOUR)

    taken, expired = await store.write(expiry.expire, ["shop"], store.now, 1)

    assert (taken, [each.registration for each in expired]) == (1, [old.id])
    assert await told(store, old) is EventType.REGISTRATION_EXPIRED
    assert await told(store, young) is None


async def test_an_expiry_tells_the_last_valid_status_body(store: Store) -> None:
    polled = await watching(store)
    unpolled = await store.accept(store.wanted("t-2", lasts=MINUTE))
    store.time.advance(MINUTE + LAST_WORD)

    await store.expire()
    events = [(await store.view(registration)).event for registration in (polled, unpolled)]
    bodies = [orjson.loads(event.body) for event in events if event is not None and event.body is not None]

    assert [body["data"]["payload"] for body in bodies] == [{"status": "PENDING"}, None]
    assert [body["data"]["status"] for body in bodies] == [None, None]


async def test_two_processes_that_expire_at_once_tell_it_once(store: Store) -> None:
    await watching(store)
    store.time.advance(MINUTE + LAST_WORD)
    work = partial(expiry.expire, clients=["shop"], now=store.now, most=500)

    results = await overlapping(store, work, work)

    assert [(taken, len(expired)) for taken, expired in results] == [(1, 1), (0, 0)]
    assert await store.value("SELECT count(*) FROM events") == 1


@pytest.mark.parametrize("ended_first", [True, False], ids=["end-first", "expiry-first"])
async def test_an_expiry_that_meets_the_end_of_the_task_tells_one_of_them(
    store: Store, *, ended_first: bool
) -> None:
    registration = await store.accept(store.wanted(lasts=MINUTE))
    store.time.advance(MINUTE)
    claimed = await store.claimed_poll()
    store.time.advance(LAST_WORD)
    end = partial(polls.record, outcomes=[store.polled(claimed, SUCCESS)], lost=LOST)
    expire = partial(expiry.expire, clients=["shop"], now=store.now, most=500)

    if ended_first:
        await overlapping(store, end, expire)
    else:
        await overlapping(store, expire, end)

    expected = EventType.TASK_SUCCEEDED if ended_first else EventType.REGISTRATION_EXPIRED
    assert await told(store, registration) is expected
    assert await store.value("SELECT count(*) FROM events") == 1


async def test_a_task_is_lost_after_three_404s_that_span_the_grace(store: Store) -> None:
    registration = await store.accept(store.wanted())
    found = []
    for wait in (0, 5 * MINUTE, 5 * MINUTE):
        store.time.advance(wait)
        found.append((await store.answered(NOT_FOUND)).types)

    assert found == [(), (), (EventType.TASK_LOST,)]
    assert (await store.view(registration)).task.state is TaskState.IDLE


async def test_three_404s_within_the_grace_lose_nothing(store: Store) -> None:
    registration = await store.accept(store.wanted())
    for _ in range(3):
        await store.answered(NOT_FOUND)
        store.time.advance(3 * MINUTE)

    assert await told(store, registration) is None


async def test_two_404s_lose_nothing_however_far_apart(store: Store) -> None:
    registration = await store.accept(store.wanted())
    for _ in range(2):
        await store.answered(NOT_FOUND)
        store.time.advance(HOUR)

    assert await told(store, registration) is None


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(PENDING, None), (SERVER_ERROR, None), (UNREACHABLE, EventType.TASK_LOST)],
    ids=["pending", "500", "no-answer"],
)
async def test_any_other_answer_begins_the_count_of_404s_anew(
    store: Store, answer: PollAnswer, expected: EventType | None
) -> None:
    registration = await store.accept(store.wanted())
    for each in (NOT_FOUND, NOT_FOUND, answer, NOT_FOUND):
        await store.answered(each)
        store.time.advance(10 * MINUTE)

    assert await told(store, registration) is expected


async def test_who_registers_late_is_lost_only_by_404s_of_its_own(store: Store) -> None:
    early = await store.accept(store.wanted())
    for _ in range(2):
        await store.answered(NOT_FOUND)
        store.time.advance(10 * MINUTE)
    late = await store.accept(store.wanted(hook="/late"))
    await store.answered(NOT_FOUND)
    between = await told(store, early), await told(store, late)

    for _ in range(2):
        store.time.advance(10 * MINUTE)
        await store.answered(NOT_FOUND)

    assert between == (EventType.TASK_LOST, None)
    assert await told(store, late) is EventType.TASK_LOST


async def test_the_verdict_asked_for_is_forgotten_once_it_fell(store: Store) -> None:
    await watching(store)
    await store.accept(store.wanted(hook="/long"))
    store.time.advance(MINUTE)
    await store.expire()
    claimed = await store.claimed_poll()
    await store.record_polls(store.polled(claimed, PENDING, again_in=HOUR))
    asked = await store.rows("SELECT verdict_from, next_at FROM tasks")

    assert asked == [(None, Instant(store.now + HOUR))]


async def test_the_grace_of_a_lost_task_begins_with_its_last_other_answer(store: Store) -> None:
    registration = await store.accept(store.wanted())
    store.time.advance(HOUR)
    for answer in (PENDING, NOT_FOUND, NOT_FOUND, NOT_FOUND):
        await store.answered(answer)
        store.time.advance(MINUTE)

    assert await told(store, registration) is None


async def test_the_grace_of_a_lost_task_begins_no_earlier_than_the_registration(store: Store) -> None:
    await store.accept(store.wanted())
    await store.answered(PENDING)
    store.time.advance(HOUR)
    late = await store.accept(store.wanted(hook="/late"))
    for _ in range(3):
        await store.answered(NOT_FOUND)
        store.time.advance(MINUTE)

    assert await told(store, late) is None
