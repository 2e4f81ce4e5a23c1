"""Events in the order of their positions: nothing is skipped, and what retention took is known to be gone."""

import asyncio
import re
from functools import partial

from sqlalchemy import Connection, event, text

from relay.domain.ids import RegistrationId
from relay.domain.instants import SECOND
from relay.domain.registrations import EventType, RegistrationState
from relay.storage import feeds, polls, retention, schema
from relay.storage.feeds import Page
from tests.storage.interleaving import Gate, held_at_commit, held_before
from tests.storage.store import LOST, SUCCESS, Store
from tests.storage.test_lists import ROWS, fill

READS = re.compile(r"(SCAN|SEARCH) (registrations|events|tasks)\b.*")


async def publish(store: Store, *task_ids: str, client: str = "shop") -> None:
    for task_id in task_ids:
        await store.accept(store.pulled(task_id, client=client))
        await store.end_all()


async def page(store: Store, after: int | None = None, limit: int = 50) -> Page:
    return await store.database.read(feeds.read, "shop", after, limit)


def positions(found: Page) -> list[int]:
    return [event.position for event in found.events]


async def test_events_come_in_the_order_of_their_positions_with_all_that_was_announced(store: Store) -> None:
    await publish(store, "t-1", "t-2")
    await publish(store, "t-1", client="bank")
    await store.write(schema.name_store, 9)

    found = await page(store)

    assert (found.start, found.horizon, found.last, found.store) == (0, 0, 2, 9)
    first, second = found.events
    assert (first.position, first.task_id, first.kind) == (1, "t-1", "tts")
    assert (first.event_type, first.created_at) == (EventType.TASK_SUCCEEDED, store.now)
    assert first.event_id.removeprefix("evt_") == first.registration_id.removeprefix("reg_")
    assert first.body == await store.value(
        "SELECT body FROM events WHERE registration = :id", id=first.registration_id
    )
    assert (second.position, second.task_id) == (2, "t-2")


async def test_a_page_begins_after_a_position_and_holds_no_more_than_it_may(store: Store) -> None:
    await publish(store, "t-1", "t-2", "t-3", "t-4")

    pages = [
        positions(await page(store, after, limit)) for after, limit in ((1, 2), (3, 2), (4, 2), (None, 0))
    ]

    assert pages == [[2, 3], [4], [], []]


async def test_a_page_ends_with_the_event_that_makes_it_large(store: Store) -> None:
    await publish(store, *(f"t-{number}" for number in range(1, 6)))
    for position, size in ((1, 1_000), (2, feeds.MOST_BYTES), (4, 2 * feeds.MOST_BYTES)):
        await store.run(
            "UPDATE events SET body = :body WHERE position = :position", body=b"x" * size, position=position
        )

    pages = [positions(await page(store, after)) for after in (0, 2, 3, 4)]

    assert pages == [[1, 2], [3, 4], [4], [5]]


async def test_a_client_without_events_is_at_its_beginning(store: Store) -> None:
    found = await page(store)

    assert found == Page(start=0, events=[], horizon=0, last=0, store=None)


async def test_what_was_dropped_is_below_the_horizon_from_which_the_oldest_page_begins(store: Store) -> None:
    await store.delivering(store.wanted("t-1"))
    await publish(store, "t-2", "t-3")
    store.time.advance(SECOND)
    await store.write(retention.prune, RegistrationState.AVAILABLE, store.now, 500)
    await publish(store, "t-4")

    found = await page(store)

    assert (found.start, found.horizon, found.last, positions(found)) == (3, 3, 4, [4])
    assert await store.value("SELECT count(*) FROM events WHERE position = 1") == 1, (
        "what is still to be delivered is kept, though nobody pulls it any more"
    )


async def test_a_page_is_what_was_there_at_one_moment(store: Store) -> None:
    """A prune in its middle takes nothing out of it."""
    await publish(store, "t-1", "t-2")
    store.time.advance(SECOND)
    gate = Gate()
    reading = asyncio.create_task(
        store.database.read(held_before(gate, "FROM events", lambda each: feeds.read(each, "shop", None, 50)))
    )
    await gate.reached()

    await store.write(retention.prune, RegistrationState.AVAILABLE, store.now, 500)
    gate.open()

    found = await reading
    assert (found.horizon, positions(found)) == (0, [1, 2])
    assert (await page(store, 0)).horizon == 2


async def test_no_event_is_seen_before_those_of_lower_positions(postgres: Store) -> None:
    """Two processes announce at once: the second waits for the first, whose event comes first."""
    store = postgres
    await store.register(store.pulled("t-1"), store.pulled("t-2"))
    first, second = (await store.claim_polls()).rows
    gate = Gate()
    one = asyncio.create_task(store.write(held_at_commit(gate, partial(_end, store=store, row=first))))
    await gate.reached()
    two = asyncio.create_task(store.write(partial(_end, store=store, row=second)))
    await asyncio.sleep(0.05)
    between = positions(await page(store, 0))
    gate.open()
    await asyncio.gather(one, two)

    assert between == []
    assert positions(await page(store, 0)) == [1, 2]


def _end(connection: Connection, *, store: Store, row: polls.ClaimedPoll) -> None:
    polls.record(connection, [store.polled(row, SUCCESS)], LOST)


async def test_one_statement_tells_of_whoever_waits(store: Store) -> None:
    await publish(store, "t-1", "t-2")
    await store.register(store.pulled("t-3"), store.pulled("t-4"), store.pulled("t-5"))
    rows = await store.rows("SELECT id FROM registrations ORDER BY id")
    ids = [RegistrationId(str(id_)) for (id_,) in rows]
    await store.cancel(ids[2])
    sent: list[str] = []

    def counted(connection: Connection) -> feeds.News:
        event.listen(connection, "before_cursor_execute", lambda *found: sent.append(found[2]))
        return feeds.news(connection, ["shop", "bank"], [ids[0], ids[2], ids[3]])

    found = await store.database.read(counted)

    assert found.positions == {"shop": 2}
    assert found.decided == {ids[0], ids[2]}
    assert len(sent) == 1


async def test_where_nobody_waits_for_a_registration_none_is_read(store: Store) -> None:
    await publish(store, "t-1")

    found = await store.database.read(feeds.news, ["shop"], [])

    assert (found.positions, found.decided) == ({"shop": 1}, frozenset())


def fill_events(connection: Connection) -> str:
    """Thousands of them; answers with the statement for a page in their middle."""
    fill(connection)
    connection.execute(
        text(
            "INSERT INTO events (registration, client, position, type, created_at, body)"
            " SELECT id, client, row_number() OVER (PARTITION BY client ORDER BY id), 'task.lost', 0, metadata"
            " FROM registrations"
        )
    )
    connection.execute(text("ANALYZE events"))
    wanted = {"client": "shop", "after": ROWS // 2, "limit": 50, "most_bytes": feeds.MOST_BYTES}
    compiled = feeds.PAGE.params(wanted).compile(
        dialect=connection.dialect, compile_kwargs={"literal_binds": True}
    )
    return str(compiled)


async def test_on_sqlite_a_page_is_read_along_indexes(sqlite: Store) -> None:
    def plan(connection: Connection) -> list[str]:
        sql = fill_events(connection)
        return [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")]

    reads = [line for line in await sqlite.write(plan) if READS.fullmatch(line)]

    assert all(line.startswith("SEARCH") for line in reads), reads
    assert any("uq_events_position" in line for line in reads), reads


async def test_on_postgres_a_page_is_read_along_indexes(postgres: Store) -> None:
    def plan(connection: Connection) -> str:
        sql = fill_events(connection)
        return str(connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {sql}").scalar_one())

    found = await postgres.write(plan)

    assert "uq_events_position" in found
    assert "Seq Scan" not in found
