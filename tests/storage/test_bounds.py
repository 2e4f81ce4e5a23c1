import asyncio

from relay.domain.allowances import MOST_OF_A_TASK
from relay.domain.instants import SECOND
from relay.domain.registrations import Registration
from relay.domain.tasks import TaskState
from relay.storage import bounds, views
from relay.storage.redelivery import MOST_ATTEMPTS_KEPT
from relay.storage.registrations import Created, Crowded, Standing
from tests.storage.store import SUCCESS, Store


async def filled(store: Store, *, missing: int = 0) -> list[Registration]:
    """Registrations of one task, as many as it may have but for those `missing`."""
    wanted = [store.wanted(hook=f"/{number}") for number in range(MOST_OF_A_TASK - missing)]
    await store.register(*wanted)
    return wanted


async def kept(store: Store) -> object:
    return await store.value("SELECT count(*) FROM registrations")


async def test_a_task_has_at_most_so_many_registrations_and_the_last_of_a_batch_are_left_out(
    store: Store,
) -> None:
    await filled(store, missing=2)
    more = [store.wanted(hook=hook) for hook in ("/a", "/b", "/c", "/d", "/c")]

    answers = await store.register(*more, store.wanted("t-2"))

    assert [type(answer) for answer in answers] == [Created, Created, Crowded, Crowded, Crowded, Created]
    assert await kept(store) == MOST_OF_A_TASK + 1


async def test_what_stands_already_is_answered_also_where_a_task_is_full(store: Store) -> None:
    (first, *_) = await filled(store)

    answers = await store.register(store.wanted(hook="/0"), store.wanted(hook="/new"))

    assert answers == [Standing(id=first.id, differing=()), Crowded()]


async def test_a_batch_that_is_repeated_after_its_commit_is_answered_the_same(store: Store) -> None:
    await filled(store, missing=1)
    wanted = [store.wanted(hook="/a"), store.wanted(hook="/b")]

    first = await store.register(*wanted)
    again = await store.register(*wanted)

    assert [type(answer) for answer in first] == [type(answer) for answer in again] == [Created, Crowded]
    assert await kept(store) == MOST_OF_A_TASK


async def test_two_batches_at_once_do_not_fill_a_task_beyond_its_bound(store: Store) -> None:
    await filled(store, missing=1)

    async with store.another_process() as other:
        one, two = await asyncio.gather(
            store.register(store.wanted(hook="/a")), other.register(store.wanted(hook="/b"))
        )

    assert {type(answer) for answer in one + two} == {Created, Crowded}
    assert await kept(store) == MOST_OF_A_TASK


async def test_a_task_that_nobody_may_watch_any_more_is_not_polled_for_nobody(store: Store) -> None:
    await filled(store)
    await store.run("UPDATE registrations SET state = 'cancelled', identity = NULL")
    await store.run("UPDATE tasks SET state = 'idle', next_at = NULL")

    (answer,) = await store.register(store.wanted(hook="/new"))

    assert isinstance(answer, Crowded)
    assert await store.rows("SELECT state, next_at FROM tasks") == [(TaskState.IDLE, None)]


async def test_an_ended_task_takes_no_more_than_others_and_announces_nothing_to_whom_it_refused(
    store: Store,
) -> None:
    await filled(store, missing=1)
    await store.answered(SUCCESS)

    answers = await store.register(store.wanted(hook="/a"), store.wanted(hook="/b"))

    assert [type(answer) for answer in answers] == [Created, Crowded]
    assert await store.value("SELECT count(*) FROM events") == MOST_OF_A_TASK


async def test_only_what_watches_is_counted_and_only_the_clients_own(store: Store) -> None:
    await store.delivered(store.wanted("ended"))
    cancelled = await store.accept(store.wanted("cancelled"))
    await store.cancel(cancelled.id)
    await store.accept(store.wanted("bank's", client="bank"))
    await store.register(*(store.wanted(f"t-{number}") for number in range(3)))

    counts = [await store.database.read(bounds.count_watching, "shop", most) for most in (100, 2)]

    assert counts == [3, 2]


async def test_a_registration_whose_verdict_waits_for_a_last_poll_still_counts(store: Store) -> None:
    await store.accept(store.wanted(lasts=5 * SECOND))
    store.time.advance(6 * SECOND)
    await store.expire()

    assert await store.database.read(bounds.count_watching, "shop", 10) == 1


async def test_identities_that_stand_are_known_from_those_that_do_not(store: Store) -> None:
    standing = await store.accept(store.wanted())
    cancelled = await store.accept(store.wanted(hook="/cancelled"))
    await store.cancel(cancelled.id)

    found = await store.database.read(
        bounds.standing, [standing.identity, cancelled.identity, store.wanted(hook="/never").identity]
    )

    assert found == {standing.identity}


async def test_of_earlier_rounds_only_the_newest_attempts_are_kept(store: Store) -> None:
    registration = await store.delivered()
    for fence in range(2, MOST_ATTEMPTS_KEPT + 11):
        await store.run(
            "INSERT INTO attempts (registration, fence, number, started_at, duration, outcome, answer)"
            " SELECT registration, CAST(:fence AS bigint), number, started_at, duration, outcome, answer"
            " FROM attempts WHERE fence = 1",
            fence=fence,
        )

    await store.redeliver(registration.id)
    attempts = await store.database.read(views.attempts_of, "shop", registration.id, 0, 1_000)

    assert [attempt.fence for attempt in attempts] == list(range(11, MOST_ATTEMPTS_KEPT + 11))


async def test_attempts_that_are_few_are_all_kept(store: Store) -> None:
    registration = await store.delivered()

    await store.redeliver(registration.id)

    assert len(await store.database.read(views.attempts_of, "shop", registration.id, 0, 1_000)) == 1
