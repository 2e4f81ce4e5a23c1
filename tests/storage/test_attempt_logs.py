"""The log of attempts may fail; what became of a delivery is recorded all the same, or not taken for recorded."""

import asyncio
from functools import partial

import pytest
from sqlalchemy import Connection, text

from relay.domain.deliveries import Accepted
from relay.domain.errors import DatabaseUnavailable
from relay.domain.registrations import RegistrationState
from relay.storage import attempts
from relay.storage.attempts import AttemptOutcome, RecordedAttempt
from relay.storage.committer import Committer
from relay.telemetry import Metrics
from tests.storage.store import HOOK, SLOTS, Store

OK = Accepted(http_status=200)
UNLOGGED = RecordedAttempt(applied=True, logged=False)


async def test_an_outcome_is_recorded_where_its_log_cannot_be_written(store: Store) -> None:
    registration = await store.delivering()
    await store.run("ALTER TABLE attempts RENAME TO somewhere_else")

    recorded = await store.attempted(OK)

    state = await store.value("SELECT state FROM registrations WHERE id = :id", id=registration.id)
    assert (recorded, state) == (UNLOGGED, RegistrationState.DELIVERED)


async def test_a_pause_is_kept_where_the_log_cannot_be_written(store: Store) -> None:
    await store.delivering()
    claimed = await store.claimed_delivery()
    refusing = store.tried(claimed, OK)
    await store.run("ALTER TABLE attempts RENAME TO somewhere_else")

    recorded = await store.record_attempts(refusing, refusing)

    assert recorded == [UNLOGGED, RecordedAttempt(applied=False, logged=False)]


async def recorded_or_not(store: Store) -> tuple[RecordedAttempt | None, RegistrationState]:
    """What was answered, and what stands."""
    registration = await store.delivering()
    claimed = await store.claimed_delivery()
    try:
        (recorded,) = await store.record_attempts(store.tried(claimed, OK))
    except DatabaseUnavailable:
        return None, (await store.view(registration)).state
    return recorded, (await store.view(registration)).state


@pytest.mark.parametrize("way", ["ABORT", "FAIL"])
async def test_a_log_that_sqlite_refuses_by_itself_costs_the_log_alone(sqlite: Store, way: str) -> None:
    await sqlite.run(f"CREATE TRIGGER refuse BEFORE INSERT ON attempts BEGIN SELECT RAISE({way}, 'no'); END")

    assert await recorded_or_not(sqlite) == (UNLOGGED, RegistrationState.DELIVERED)


async def test_where_sqlite_has_rolled_everything_back_nothing_is_answered_as_recorded(sqlite: Store) -> None:
    """What a full disk may do within any statement, said out loud."""
    await sqlite.run(
        "CREATE TRIGGER refuse BEFORE INSERT ON attempts BEGIN SELECT RAISE(ROLLBACK, 'no'); END"
    )

    assert await recorded_or_not(sqlite) == (None, RegistrationState.DELIVERING)


async def test_where_the_connection_is_cut_while_the_log_is_written_nothing_is_answered_as_recorded(
    postgres: Store,
) -> None:
    await postgres.run(
        "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$"
    )
    await postgres.run("CREATE TRIGGER cut BEFORE INSERT ON attempts FOR EACH ROW EXECUTE FUNCTION cut()")

    assert await recorded_or_not(postgres) == (None, RegistrationState.DELIVERING)


async def test_a_full_disk_answers_nothing_as_recorded_that_is_not_and_repeats_nothing(
    sqlite: Store, metrics: Metrics
) -> None:
    """Every answer is large, so that at some point there is no page left for it."""
    count = 40
    registrations = [sqlite.wanted(f"t-{number}", hook=f"/{number}") for number in range(count)]
    await sqlite.register(*registrations)
    await sqlite.end_all()
    claim = await sqlite.claim_deliveries(sqlite.delivery_claim(slots_per_lane=count))
    await limit_pages(sqlite, spare=count // 4)
    full = asyncio.Event()

    async def pause(seconds: float) -> None:
        await asyncio.sleep(0)
        if committer.stuck and not full.is_set():
            full.set()
            await limit_pages(sqlite, spare=100_000)

    committer: Committer[AttemptOutcome, RecordedAttempt] = Committer(
        "attempts",
        database=sqlite.database,
        write=partial(attempts.record, slots=SLOTS),
        clock=sqlite.time.clock,
        metrics=metrics,
        keeps=True,
        pause=pause,
    )
    committer.open()
    answers: list[RecordedAttempt] = []
    for row in claim.rows:
        answers += await committer.submit([sqlite.tried(row, OK, answer=bytes(4_096))])
        assert (
            await sqlite.value("SELECT state FROM registrations WHERE id = :id", id=row.registration)
            == RegistrationState.DELIVERED
        )
    await committer.close()

    assert len(claim.rows) == count
    assert full.is_set()
    assert answers == [RecordedAttempt(applied=True, logged=True)] * count
    assert not committer.stuck


async def test_a_full_disk_refuses_registrations_and_takes_them_once_there_is_room(sqlite: Store) -> None:
    await limit_pages(sqlite, spare=0)
    wanted = [sqlite.wanted(f"t-{number}", metadata=b'"' + b"x" * 4_000 + b'"') for number in range(10)]

    with pytest.raises(DatabaseUnavailable):
        await sqlite.register(*wanted)
    stored = (
        await sqlite.value("SELECT count(*) FROM registrations"),
        await sqlite.value("SELECT count(*) FROM tasks"),
    )
    await limit_pages(sqlite, spare=100)
    await sqlite.register(*wanted)

    assert stored == (0, 0)
    assert await sqlite.value("SELECT count(*) FROM registrations") == 10


async def limit_pages(store: Store, *, spare: int) -> None:
    def limit(connection: Connection) -> None:
        used = connection.scalar(text("PRAGMA page_count"))
        connection.execute(text(f"PRAGMA max_page_count = {used + spare}"))

    await store.write(limit)


async def test_the_log_of_another_origin_is_not_touched(store: Store) -> None:
    registration = await store.delivering(store.wanted(origin=HOOK))

    recorded = await store.attempted(OK)

    assert recorded == RecordedAttempt(applied=True, logged=True)
    assert await store.value("SELECT registration FROM attempts") == registration.id
