"""Lanes of origins in the database: one probe among any number of processes, and lists that read no more than they show."""

from functools import partial

from sqlalchemy import insert

from relay.domain.deliveries import Accepted, Rejected
from relay.domain.instants import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Instant, Span
from relay.domain.lanes import Lane, LaneName, OriginState
from relay.domain.registrations import RegistrationState
from relay.storage import deliveries, giving_up, lanes, origins
from relay.storage.look import Look
from relay.storage.origins import Latency
from relay.storage.tables import lanes as lanes_table
from tests.storage.interleaving import overlapping
from tests.storage.store import HOOK, Store

LANE = LaneName(f"shop {HOOK}")
BUSY = Rejected(http_status=429, retry_after=Span(MINUTE))
BAD = Rejected(http_status=500)


async def paused(store: Store, count: int = 3) -> None:
    """So many deliveries, due at an origin whose pause is over."""
    await store.register(*(store.wanted(hook=f"/{number}") for number in range(count)))
    await store.end_all()
    (row,) = (await store.claim_deliveries(store.delivery_claim(quantum=1))).rows
    await store.record_attempts(store.tried(row, BUSY))
    store.time.advance(MINUTE)


async def test_of_two_processes_one_makes_the_probe(store: Store) -> None:
    await paused(store)

    async with store.another_process() as other:
        first, second = await overlapping(
            store,
            partial(deliveries.claim, wanted=store.delivery_claim(), look=Look()),
            partial(deliveries.claim, wanted=other.delivery_claim(), look=Look()),
        )

    assert sorted([len(first.rows), len(second.rows)]) == [0, 1]


async def test_a_probe_holds_its_origin_for_everybody_until_its_deadline(store: Store) -> None:
    await paused(store)
    wanted = store.delivery_claim()
    await store.claim_deliveries(wanted)

    store.time.advance(wanted.answer_by - wanted.now - 1)
    before = await store.claim_deliveries()
    store.time.advance(1)
    after = await store.claim_deliveries()

    assert (len(before.rows), len(after.rows)) == (0, 1)


async def test_more_origins_than_a_statement_has_parameters_can_be_probed_at_once(store: Store) -> None:
    names = [LaneName(f"shop https://{number:05}.example") for number in range(33_000)]
    made = [Lane(name=name, slots=0) for name in names]
    rows = [
        {"name": name, "spent_until": 0, "paused_until": 0, "paused_at": 0, "failures": 0, "slots": 0}
        for name in names
    ]
    await store.write(lambda connection: connection.execute(insert(lanes_table), rows))

    locked = await store.write(lanes.lock_free, names)

    assert list(locked.values()) == made


async def test_a_success_at_an_origin_with_all_its_slots_touches_no_lane(store: Store) -> None:
    await store.delivering()
    (row,) = (await store.claim_deliveries()).rows

    (recorded,) = await store.record_attempts(store.tried(row, Accepted(http_status=200)))

    assert not row.held_back
    assert recorded.held_until is None
    assert await store.database.read(lanes.read, [LANE]) == {}


async def test_the_slots_that_an_origin_lost_are_lost_in_every_process(store: Store) -> None:
    await store.register(*(store.wanted(hook=f"/{number}") for number in range(12)))
    await store.end_all()
    (row,) = (await store.claim_deliveries(store.delivery_claim(quantum=1))).rows
    await store.record_attempts(store.tried(row, BAD))

    async with store.another_process() as other:
        claim = await other.claim_deliveries()

    assert len(claim.rows) == 4
    assert all(row.held_back for row in claim.rows)


async def test_outcomes_of_one_batch_are_told_in_the_order_in_which_they_ended(store: Store) -> None:
    await store.register(*(store.wanted(hook=f"/{number}") for number in range(3)))
    await store.end_all()
    one, two, three = (await store.claim_deliveries()).rows
    first = store.tried(one, BAD)
    store.time.advance(SECOND)
    second = store.tried(two, BAD, began_ago=1)
    store.time.advance(SECOND)
    third = store.tried(three, Accepted(http_status=200), began_ago=1)

    await store.record_attempts(third, second, first)

    known = await store.database.read(lanes.read, [LANE])
    assert known[LANE].slots == 2


async def test_whatever_died_while_it_was_looked_at_is_not_given_up_twice(store: Store) -> None:
    await paused(store)
    await store.run("UPDATE deliveries SET failures = 1")
    store.time.advance(2 * HOUR)
    patient = partial(giving_up.give_up, clients=["shop"], before=store.now, now=store.now, most=500)

    first, second = await overlapping(store, patient, patient)

    assert sorted([len(first), len(second)]) == [0, 3]
    states = {state for (state,) in await store.rows("SELECT state FROM registrations")}
    assert states == {RegistrationState.DEAD}


async def test_what_is_being_tried_is_not_given_up(store: Store) -> None:
    await paused(store)
    await store.run("UPDATE deliveries SET failures = 1")
    store.time.advance(2 * HOUR)
    (probe,) = (await store.claim_deliveries()).rows

    given_up = await store.write(giving_up.give_up, ["shop"], store.now, store.now, 500)

    assert probe.registration not in given_up
    assert len(given_up) == 2


async def test_what_is_held_for_a_client_that_is_not_configured_is_not_given_up(store: Store) -> None:
    await paused(store)
    store.time.advance(2 * HOUR)

    given_up = await store.write(giving_up.give_up, ["bank"], store.now, store.now, 500)

    assert not given_up
    assert await store.value("SELECT count(*) FROM deliveries WHERE next_at IS NOT NULL") == 3


async def test_an_origin_is_listed_while_it_is_held_back_though_nothing_waits_for_it(store: Store) -> None:
    await store.delivering()
    row = await store.claimed_delivery()
    await store.record_attempts(store.tried(row, BUSY))
    await store.cancel(row.registration)

    (view,) = await store.database.read(origins.find, "shop", "", store.now, 10)

    assert (view.origin, view.state, view.waiting) == (HOOK, OriginState.PAUSED, 0)
    assert (view.next_at, view.paused_until) == (None, Instant(store.now + MINUTE))


async def test_no_more_origins_are_read_than_are_shown(store: Store) -> None:
    await store.register(*(store.wanted(origin=f"https://{number}.example") for number in range(9)))
    await store.register(store.wanted(client="bank", origin="https://0.example"))
    await store.end_all()

    page = await store.database.read(origins.find, "shop", "https://2.example", store.now, 3)

    assert [view.origin for view in page] == [f"https://{number}.example" for number in (3, 4, 5)]


async def test_what_has_not_been_tried_in_its_round_is_never_given_up(store: Store) -> None:
    await paused(store)
    store.time.advance(2 * HOUR)

    given_up = await store.write(giving_up.give_up, ["shop"], store.now, store.now, 500)

    tried = {registration for (registration,) in await store.rows("SELECT registration FROM attempts")}
    assert set(given_up) <= tried


async def test_while_no_worker_was_alive_no_origin_has_failed_anybody(store: Store) -> None:
    await paused(store)
    before = (await store.database.read(lanes.read, [LANE]))[LANE].failing_since
    assert before is not None

    await store.write(lanes.forgive, 10 * SECOND, store.now)
    shifted = (await store.database.read(lanes.read, [LANE]))[LANE].failing_since
    await store.write(lanes.forgive, DAY, store.now)
    at_most = (await store.database.read(lanes.read, [LANE]))[LANE].failing_since

    assert shifted == before + 10 * SECOND
    assert at_most == store.now


MANY_ORIGINS = (
    (
        "INSERT INTO registrations (id, task, client, callback_url, origin, format, metadata, created_at, expires_at,"
        " not_found_before, state)"
        " WITH RECURSIVE n (i) AS (SELECT 10000 UNION ALL SELECT i + 1 FROM n WHERE i < :last)"
        " SELECT 'reg_000000000000000000000000000' || CAST(i AS TEXT), task, client, callback_url,"
        " 'https://' || CAST(i AS TEXT) || '.example', format, metadata, created_at, expires_at, 0, 'delivering'"
        " FROM n, registrations WHERE client = 'shop'"
    ),
    (
        "INSERT INTO events (registration, client, position, type, created_at, body)"
        " SELECT id, client, CAST(substr(id, 32) AS INTEGER), 'task.succeeded', 1, metadata"
        " FROM registrations WHERE id < 'reg_01'"
    ),
    (
        "INSERT INTO deliveries (registration, lane, next_at, fence, round, attempts, failures)"
        " SELECT id, client || ' ' || origin, 1, 0, 1, 0, 0 FROM registrations WHERE id < 'reg_01'"
    ),
)


async def test_of_a_client_with_many_origins_a_claim_looks_at_some_and_the_next_at_others(
    store: Store,
) -> None:
    await store.register(store.wanted(), store.wanted(client="bank"))
    await store.end_all()
    for statement in MANY_ORIGINS:
        values = {"last": 9_999 + deliveries.MOST_LANES + 10} if ":last" in statement else {}
        await store.run(statement, **values)
    wanted = store.delivery_claim(clients=("bank", "shop"), free=5_000, quantum=1, slots_per_lane=1)
    look = Look()

    first = await store.write(deliveries.claim, wanted, look)
    begins = look.window("shop", 1).after
    second = await store.write(deliveries.claim, wanted, look)
    begins_again = look.window("shop", 1).after

    assert len(first.rows) == 1 + deliveries.MOST_LANES
    assert first.more
    assert begins == f"shop https://{9_999 + deliveries.MOST_LANES}.example"
    assert len(second.rows) == 11
    assert begins_again == "shop "


async def test_an_origins_latency_is_told_from_the_newest_that_it_accepted(store: Store) -> None:
    hooks = [f"/{number}" for number in range(origins.MOST_ANSWERS + 5)]
    for place, hook in enumerate(hooks):
        await store.register(store.wanted(hook=hook))
        await store.end_all()
        (row,) = (await store.claim_deliveries()).rows
        await store.record_attempts(store.tried(row, Accepted(http_status=200), began_ago=place * SECOND))
        store.time.advance(SECOND)

    found = await store.database.read(origins.latencies, "shop", [HOOK, "https://other.example"])
    others = await store.database.read(origins.latencies, "studio", [HOOK])

    assert found == {
        HOOK: Latency(median=Span(15 * SECOND), slowest=Span(24 * SECOND)),
        "https://other.example": None,
    }
    assert others == {HOOK: None}


async def test_an_attempt_that_was_not_accepted_is_no_part_of_an_origins_latency(store: Store) -> None:
    await store.delivering()
    row = await store.claimed_delivery()
    await store.record_attempts(store.tried(row, BAD, began_ago=9 * SECOND))
    store.time.advance(DAY)
    await store.attempted(Accepted(http_status=200))

    found = await store.database.read(origins.latencies, "shop", [HOOK])

    assert found == {HOOK: Latency(median=Span(3 * MILLISECOND), slowest=Span(3 * MILLISECOND))}
