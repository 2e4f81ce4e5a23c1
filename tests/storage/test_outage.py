"""A PostgreSQL server that goes away and comes back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest

from relay.domain.deliveries import Accepted
from relay.domain.errors import DatabaseUnavailable
from relay.domain.registrations import Registration, RegistrationState
from relay.storage import attempts, registrations
from relay.storage.attempts import AttemptOutcome, RecordedAttempt
from relay.storage.committer import Committer
from relay.storage.engine import open_database
from relay.storage.registrations import Created, Registered
from relay.telemetry import Metrics
from tests.postgres import PostgresServer
from tests.relays import migrate
from tests.storage.hand_time import HandTime
from tests.storage.interleaving import Gate, held_at_commit
from tests.storage.store import BASE_URLS, SLOTS, Store

OK = Accepted(http_status=200)


@pytest.fixture(scope="module")
def own_server() -> Iterator[tuple[PostgresServer, str]]:
    with PostgresServer.running() as server:
        template = server.create_database()
        migrate(server.url_for(template))
        yield server, template


@pytest.fixture
def server(own_server: tuple[PostgresServer, str]) -> PostgresServer:
    return own_server[0]


@pytest.fixture
async def store(own_server: tuple[PostgresServer, str], time: HandTime) -> AsyncIterator[Store]:
    server, template = own_server
    url = server.url_for(server.create_database(template))
    database = open_database(url, time.clock, pool_size=4)
    yield Store(database, time, "postgres", url)
    await database.close()


async def test_a_server_that_is_gone_is_unavailable_is_named_by_no_address_and_works_once_it_is_back(
    store: Store, server: PostgresServer
) -> None:
    await store.database.probe()
    await asyncio.to_thread(server.stop)

    said = []
    for doing in (store.database.probe, store.claim_polls, store.database.reference_time):
        with pytest.raises(DatabaseUnavailable) as raised:
            await doing()
        said.append(str(raised.value))
    await asyncio.to_thread(server.start)
    await store.database.probe()

    assert not [
        words for words in said if "127.0.0.1" in words or str(server.port) in words or "relay_" in words
    ]
    assert await store.value("SELECT 1") == 1


async def test_a_server_that_crashes_before_the_commit_has_written_nothing(
    store: Store, server: PostgresServer
) -> None:
    wanted = store.wanted()
    gate = Gate()
    writing = asyncio.create_task(
        store.write(held_at_commit(gate, lambda c: registrations.register(c, [wanted], BASE_URLS)))
    )
    await gate.reached()

    await asyncio.to_thread(server.stop, "immediate")
    gate.open()
    with pytest.raises(DatabaseUnavailable):
        await writing
    await asyncio.to_thread(server.start)

    assert await store.value("SELECT count(*) FROM registrations") == 0
    assert await store.value("SELECT count(*) FROM tasks") == 0


async def test_registrations_are_refused_while_the_server_is_gone_and_taken_again_afterwards(
    store: Store, server: PostgresServer, metrics: Metrics
) -> None:
    committer: Committer[Registration, Registered] = Committer(
        "registrations",
        database=store.database,
        write=lambda connection, wanted: registrations.register(connection, wanted, BASE_URLS),
        clock=store.time.clock,
        metrics=metrics,
        keeps=False,
    )
    committer.open()
    wanted = [store.wanted(f"t-{number}") for number in range(3)]
    await asyncio.to_thread(server.stop)

    answers = await asyncio.gather(*(committer.submit([each]) for each in wanted), return_exceptions=True)
    await asyncio.to_thread(server.start)
    again = await asyncio.gather(*(committer.submit([each]) for each in wanted))
    await committer.close()

    assert [type(answer) for answer in answers] == [DatabaseUnavailable] * 3
    assert [type(answer) for (answer,) in again] == [Created] * 3
    assert not committer.stuck


async def test_an_outcome_outlives_the_servers_absence_and_claiming_may_go_on_once_it_is_written(
    store: Store, server: PostgresServer, metrics: Metrics
) -> None:
    registration = await store.delivering()
    claimed = await store.claimed_delivery()
    refused = asyncio.Event()

    async def pause(seconds: float) -> None:
        if committer.stuck:
            refused.set()
        await asyncio.sleep(0.05)

    committer: Committer[AttemptOutcome, RecordedAttempt] = Committer(
        "attempts",
        database=store.database,
        write=partial(attempts.record, slots=SLOTS),
        clock=store.time.clock,
        metrics=metrics,
        keeps=True,
        pause=pause,
    )
    committer.open()
    await asyncio.to_thread(server.stop)
    submitted = asyncio.create_task(committer.submit([store.tried(claimed, OK)]))
    await asyncio.wait_for(refused.wait(), 10)
    waiting = committer.stuck, submitted.done()

    await asyncio.to_thread(server.start)
    answers = await asyncio.wait_for(submitted, 30)
    await committer.close()

    assert waiting == (True, False)
    assert answers == [RecordedAttempt(applied=True, logged=True)]
    assert not committer.stuck
    assert (await store.view(registration)).state is RegistrationState.DELIVERED


async def test_a_server_that_was_started_again_between_two_transactions_costs_neither(
    store: Store, server: PostgresServer
) -> None:
    await asyncio.gather(*(store.accept(store.wanted(f"t-{number}")) for number in range(4)))

    await asyncio.to_thread(server.restart)
    again = await store.accept(store.wanted("after"))

    assert (await store.view(again)).registration == again
