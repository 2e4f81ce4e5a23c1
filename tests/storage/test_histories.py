import pytest
from sqlalchemy import Connection, text

from relay.domain.deliveries import Dead, DeadReason, Failure, Rejected, Retry, Unreachable
from relay.domain.errors import NotFound
from relay.domain.history import History
from relay.domain.instants import MILLISECOND, SECOND, Instant
from relay.domain.registrations import EventType, Registration
from relay.storage import histories
from tests.storage.store import LANE, PENDING, Store


async def history(store: Store, registration: Registration, most: int = 50) -> History:
    return await store.database.read(histories.read, registration.client, registration.id, LANE, most)


async def test_a_history_holds_what_is_stored_of_a_registration_and_its_task(store: Store) -> None:
    registration = await store.accept(store.wanted())
    await store.answered(PENDING)

    found = await history(store, registration)

    assert (found.registration, found.closed_at) == (registration, None)
    assert found.verdict_at == registration.expires_at
    assert (found.task.polls, found.task.last_pending_at) == (1, store.now)
    assert (found.status, found.run_id, found.notification) == ("PENDING", None, None)
    assert found.key_lane is not None
    assert found.key_lane.name == LANE


async def test_a_history_holds_the_event_its_delivery_and_its_attempts_oldest_first(store: Store) -> None:
    registration = await store.delivering()
    announced_at = store.now
    await store.attempted(Rejected(http_status=503), Retry(at=store.now))
    store.time.advance(SECOND)
    await store.attempted(Unreachable(failure=Failure.DNS, detail="no such name"), Retry(at=store.now))

    found = (await history(store, registration)).notification

    assert found is not None
    assert (found.type, found.created_at, found.position) == (EventType.TASK_SUCCEEDED, announced_at, 1)
    assert (found.round, found.attempts, found.failures) == (1, 2, 2)
    assert [(row.number, row.round, row.outcome, row.error) for row in found.tried] == [
        (1, 1, "rejected", "the callback answered 503"),
        (2, 1, "dns", "dns: no such name"),
    ]
    assert found.tried[1].ended_at == Instant(found.tried[1].started_at + 3 * MILLISECOND)
    assert found.left_out == 0


async def test_only_the_newest_attempts_are_read_and_the_others_counted(store: Store) -> None:
    registration = await store.delivering()
    for _ in range(5):
        await store.attempted(Rejected(http_status=503), Retry(at=store.now))

    found = (await history(store, registration, most=2)).notification

    assert found is not None
    assert [row.number for row in found.tried] == [4, 5]
    assert found.left_out == 3


async def test_a_history_says_how_it_ended(store: Store) -> None:
    dead = await store.dead(Dead(reason=DeadReason.GONE), Rejected(http_status=410))
    delivered = await store.delivered(store.wanted("t-2"))

    ends = [(await history(store, registration)).notification for registration in (dead, delivered)]

    assert [end and (end.dead_reason, end.delivered_at, end.ended_at) for end in ends] == [
        (DeadReason.GONE, None, store.now),
        (None, store.now, store.now),
    ]


async def test_a_history_is_its_clients_alone(store: Store) -> None:
    registration = await store.delivered()

    with pytest.raises(NotFound):
        await store.database.read(histories.read, "bank", registration.id, LANE, 50)


async def test_on_postgres_nothing_is_seen_that_was_committed_while_a_history_is_read(
    postgres: Store,
) -> None:
    registration = await postgres.delivering()

    def read(connection: Connection) -> object:
        histories.read(connection, "shop", registration.id, LANE, 50)
        return connection.scalar(text("SHOW transaction_isolation"))

    assert await postgres.database.read(read) == "repeatable read"
    assert await postgres.value("SHOW transaction_isolation") == "read committed"
