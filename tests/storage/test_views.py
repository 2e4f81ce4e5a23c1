import pytest

from relay.domain.deliveries import Accepted, Dead, DeadReason, Rejected, Retry
from relay.domain.errors import NotFound
from relay.domain.instants import HOUR, MILLISECOND, SECOND, Instant, Span
from relay.domain.registrations import EventType, Format, RegistrationState
from relay.domain.tasks import PollResult, TaskState
from relay.storage import lists, views
from relay.storage.lists import Filter
from relay.storage.registrations import Created
from relay.storage.views import AttemptView
from tests.storage.store import NOT_FOUND, PENDING, SUCCESS, Store


async def ids(store: Store, wanted: Filter) -> list[str]:
    return [view.registration.id for view in await store.database.read(lists.find, wanted)]


async def test_everything_that_was_accepted_can_be_read_again(store: Store) -> None:
    wanted = store.wanted(
        "a/b?c ü", kind="dub", metadata=b'{"order":7,"name":"\xc3\xbc"}', expires_in=60, format_=Format.RAW
    )

    await store.accept(wanted)

    assert (await store.view(wanted)).registration == wanted


async def test_a_view_tells_of_the_task_the_event_and_the_delivery(store: Store) -> None:
    registration = await store.accept(store.wanted())
    await store.answered(PENDING)
    store.time.advance(HOUR)
    await store.answered(SUCCESS)
    await store.attempted(Rejected(http_status=503), Retry(at=Instant(store.now + SECOND)))

    view = await store.view(registration)

    assert (view.task.state, view.task.status, view.task.run_id) == (TaskState.SUCCEEDED, "SUCCESS", 7)
    assert (view.task.polls, view.task.last_poll_at) == (2, store.now)
    assert (view.task.last_poll_result, view.task.last_poll_http_status) == (PollResult.TERMINAL, 200)
    assert view.task.next_at is None
    assert view.event is not None
    assert (view.event.type, view.event.created_at) == (EventType.TASK_SUCCEEDED, store.now)
    assert view.delivery is not None
    assert (view.delivery.attempts, view.delivery.last_http_status) == (1, 503)
    assert (view.delivery.next_at, view.delivery.delivered_at) == (store.now + SECOND, None)


async def test_a_delivery_under_way_shows_no_next_attempt(store: Store) -> None:
    registration = await store.delivering()
    await store.claimed_delivery()

    view = await store.view(registration)

    assert view.delivery is not None
    assert view.delivery.next_at is None


async def test_a_delivery_whose_origin_is_paused_shows_when_the_pause_ends(store: Store) -> None:
    registration = await store.delivering()
    pause_ends = Instant(store.now + HOUR)
    retry = Retry(at=Instant(store.now + SECOND))
    await store.attempted(Rejected(http_status=429, retry_after=Span(HOUR)), retry)

    view = await store.view(registration)

    assert view.delivery is not None
    assert view.delivery.next_at == pause_ends


async def test_a_client_reads_only_what_it_registered(store: Store) -> None:
    registration = await store.delivered()

    with pytest.raises(NotFound):
        await store.database.read(views.get, "bank", registration.id)
    with pytest.raises(NotFound):
        await store.database.read(views.attempts_of, "bank", registration.id, 0, 10)
    assert await ids(store, Filter(client="bank", limit=10)) == []


async def test_what_is_answered_to_a_new_registration_is_what_would_be_read(store: Store) -> None:
    for registration in (store.wanted("new"), store.wanted("new", hook="/second")):
        (created,) = await store.register(registration)
        assert isinstance(created, Created)

        assert views.created_view(created.registration, created.task) == await store.view(registration)


async def test_what_is_answered_while_the_task_is_first_polled_is_what_would_be_read(store: Store) -> None:
    await store.accept(store.wanted())
    await store.claimed_poll()
    second = store.wanted(hook="/second")

    (created,) = await store.register(second)

    assert isinstance(created, Created)
    assert views.created_view(created.registration, created.task) == await store.view(second)


async def test_many_are_read_at_once_without_their_bodies(store: Store) -> None:
    one, other = await store.delivering(), await store.accept(store.wanted("t-2"))

    found = await store.database.read(views.get_many, [one.id, other.id])

    assert found.keys() == {one.id, other.id}
    event = found[one.id].event
    assert event is not None
    assert event.body is None
    assert found[other.id].event is None


async def test_lists_are_newest_first_and_go_on_where_the_page_before_ended(store: Store) -> None:
    made = [await store.accept(store.wanted(f"t-{number}")) for number in range(5)]
    newest_first = [registration.id for registration in reversed(made)]

    first = await ids(store, Filter(client="shop", limit=2))
    second = await ids(store, Filter(client="shop", limit=2, before=made[3].id))

    assert first == newest_first[:2]
    assert second == newest_first[2:4]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(client="shop", limit=10), {"t-1 tts", "t-1 dub", "t-2 tts"}),
        (Filter(client="shop", task_id="t-1", limit=10), {"t-1 tts", "t-1 dub"}),
        (Filter(client="shop", kind="tts", limit=10), {"t-1 tts", "t-2 tts"}),
        (Filter(client="shop", kind="dub", task_id="t-1", limit=10), {"t-1 dub"}),
        (Filter(client="shop", kind="dub", task_id="t-2", limit=10), set()),
        (Filter(client="shop", state=RegistrationState.CANCELLED, limit=10), {"t-2 tts"}),
        (Filter(client="shop", state=RegistrationState.DEAD, limit=10), set()),
        (Filter(client="bank", limit=10), {"t-1 tts"}),
    ],
    ids=["all", "task", "kind", "kind and task", "none", "state", "state without any", "another client"],
)
async def test_lists_are_filtered(store: Store, wanted: Filter, found: set[str]) -> None:
    last = store.wanted("t-2")
    await store.register(store.wanted(), store.wanted(kind="dub"), store.wanted(client="bank"), last)
    await store.cancel(last.id)

    listed = await store.database.read(lists.find, wanted)

    assert {f"{view.registration.task_id} {view.registration.kind}" for view in listed} == found


async def test_attempts_are_listed_in_order_with_the_beginning_of_each_answer(store: Store) -> None:
    registration = await store.delivering()
    for outcome, answer in ((Rejected(http_status=500), b"\xff\0"), (Accepted(http_status=200), b"ok")):
        claimed = await store.claimed_delivery()
        decision = Retry(at=store.now) if isinstance(outcome, Rejected) else None
        await store.record_attempts(store.tried(claimed, outcome, decision, answer=answer))

    attempts = await store.database.read(views.attempts_of, "shop", registration.id, 0, 10)

    started = Instant(store.now - 3 * MILLISECOND)
    assert attempts == [
        AttemptView(
            fence=1,
            number=1,
            started_at=started,
            duration=3 * MILLISECOND,
            outcome="rejected",
            http_status=500,
            error="the callback answered 500",
            answer=b"\xff\0",
        ),
        AttemptView(
            fence=2,
            number=2,
            started_at=started,
            duration=3 * MILLISECOND,
            outcome="accepted",
            http_status=200,
            error=None,
            answer=b"ok",
        ),
    ]


async def test_a_dead_delivery_says_why(store: Store) -> None:
    registration = await store.dead(Dead(reason=DeadReason.EXHAUSTED), Rejected(http_status=500))

    view = await store.view(registration)

    assert view.delivery is not None
    assert view.delivery.dead_reason is DeadReason.EXHAUSTED


async def test_a_task_that_was_never_found_shows_it(store: Store) -> None:
    registration = await store.accept(store.wanted())
    await store.answered(NOT_FOUND)

    task = (await store.view(registration)).task

    assert (task.last_poll_result, task.last_poll_http_status, task.status) == (
        PollResult.NOT_FOUND,
        404,
        None,
    )
