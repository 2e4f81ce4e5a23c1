"""How things stand: counts that end at a bound, and what is dead by its kind."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, insert

from relay.domain.deliveries import Dead, DeadReason, Failure, Outcome, Rejected, Unreachable
from relay.domain.instants import MINUTE, SECOND, Instant, Span
from relay.domain.lanes import LaneName
from relay.domain.survey import Backlog, Count, DeadGroup, KeyState, Survey
from relay.storage import survey
from relay.storage.tables import tasks
from tests.storage.plans import reads_of
from tests.storage.store import HOOK, LANE, Store
from tests.storage.test_lists import fill

BAD: Final = Rejected(http_status=500)
GONE: Final = Rejected(http_status=410)
ELSEWHERE: Final = "https://elsewhere.example"
NOTHING: Final = Backlog(due=Count(value=0), late=Span(0), held=Count(value=0))
ALONE: Final[Mapping[LaneName, tuple[str, ...]]] = {LANE: ("shop",)}


async def surveyed(store: Store, keys: Mapping[LaneName, tuple[str, ...]] = ALONE) -> Survey:
    return await store.database.read(survey.survey, keys, store.now)


async def test_of_nobody_there_is_nothing_to_tell(store: Store) -> None:
    await store.register(store.wanted())

    found = await surveyed(store, {})

    assert (found.watching, found.tasks, found.deliveries, found.keys) == (
        Count(value=0),
        NOTHING,
        NOTHING,
        (),
    )


async def test_registrations_are_counted_by_what_becomes_of_them(store: Store) -> None:
    await store.dead(Dead(reason=DeadReason.GONE), GONE)
    await store.delivered(store.wanted("t-2"))
    await store.delivering(store.wanted("t-3"))
    await store.register(*(store.wanted(f"w-{number}") for number in range(3)))
    await store.register(store.wanted(client="bank"), store.wanted(client="gone"))

    alone = await surveyed(store)
    together = await surveyed(store, {LANE: ("bank",), LaneName("key:2"): ("shop",)})

    assert (alone.watching, alone.delivering, alone.dead) == (Count(value=3), Count(value=1), Count(value=1))
    assert together.watching == Count(value=4)


async def test_what_is_due_is_counted_with_how_late_the_first_of_it_is(store: Store) -> None:
    await store.register(store.wanted("t-1"), store.wanted("other", client="bank"))
    store.time.advance(5 * SECOND)
    await store.register(store.wanted("t-2"))
    await store.register(store.wanted("sho", client="sho"), store.wanted("shoq", client="shop2"))
    store.time.advance(2 * SECOND)

    found = await surveyed(store)

    assert found.tasks == Backlog(due=Count(value=2), late=Span(7 * SECOND), held=Count(value=0))
    assert found.deliveries == NOTHING


async def test_what_waits_for_a_paused_key_or_origin_is_due_and_held(store: Store) -> None:
    await store.register(store.wanted(), store.wanted(origin=ELSEWHERE))
    await store.end_all()
    await store.register(store.wanted("t-2"), store.wanted("t-3", client="bank"))
    for lane in (LANE, f"shop {HOOK}"):
        await store.run(
            "INSERT INTO lanes (name, spent_until, paused_until, paused_at, failures) VALUES (:lane, 0, :until, 0, 1)"
            " ON CONFLICT (name) DO UPDATE SET paused_until = :until, failures = 1",
            lane=lane,
            until=store.now + MINUTE,
        )
    store.time.advance(3 * SECOND)

    found = await surveyed(store, {LANE: ("shop",), LaneName("key:2"): ("bank",)})
    store.time.advance(MINUTE)
    later = await surveyed(store, {LANE: ("shop",), LaneName("key:2"): ("bank",)})

    assert found.tasks == Backlog(due=Count(value=1), late=Span(3 * SECOND), held=Count(value=1))
    assert found.deliveries == Backlog(due=Count(value=1), late=Span(3 * SECOND), held=Count(value=1))
    assert [key.state for key in found.keys] == [KeyState.PAUSED, KeyState.WELL]
    assert (later.tasks.due, later.deliveries.due) == (Count(value=2), Count(value=2))
    assert (later.tasks.held, later.deliveries.held) == (Count(value=0), Count(value=0))


async def test_counting_ends_at_a_bound_and_says_so(store: Store) -> None:
    def many(connection: Connection) -> None:
        connection.execute(
            insert(tasks),
            [
                {
                    "ref": f"tsk_{number}",
                    "client": "shop",
                    "kind": "tts",
                    "task_id": str(number),
                    "state": "watching",
                    "next_at": number,
                    "fence": 0,
                    "paced_from": 0,
                    "polls": 0,
                    "not_found": 0,
                    "not_found_before": 0,
                }
                for number in range(survey.MOST_COUNTED + 1)
            ],
        )

    await store.write(many)

    found = await surveyed(store)
    await store.run("DELETE FROM tasks WHERE next_at = 0")
    one_less = await surveyed(store)

    assert found.tasks.due == Count(value=survey.MOST_COUNTED, more=True)
    assert found.tasks.late == Span(store.now)
    assert one_less.tasks.due == Count(value=survey.MOST_COUNTED)


async def test_more_origins_than_are_looked_at_may_hold_more(store: Store) -> None:
    origins = [f"https://{number:05}.example" for number in range(survey.MOST_ORIGINS + 1)]
    await store.register(
        *(store.wanted(f"t-{number % 2}", origin=origin) for number, origin in enumerate(origins))
    )
    await store.end_all()

    found = await surveyed(store)

    assert found.deliveries.due == Count(value=survey.MOST_ORIGINS, more=True)


async def test_what_is_dead_is_grouped_by_reason_and_origin_the_most_first(store: Store) -> None:
    ways: tuple[tuple[Dead, Outcome, str], ...] = (
        (Dead(reason=DeadReason.GONE), GONE, HOOK),
        (Dead(reason=DeadReason.EXHAUSTED), BAD, ELSEWHERE),
        (Dead(reason=DeadReason.GONE), GONE, ELSEWHERE),
        (
            Dead(reason=DeadReason.EXHAUSTED),
            Unreachable(failure=Failure.DNS, detail="no such name"),
            ELSEWHERE,
        ),
    )
    died_at = []
    for number, (reason, outcome, origin) in enumerate(ways):
        store.time.advance(MINUTE)
        died_at.append(store.now)
        await store.dead(reason, outcome, store.wanted(f"t-{number}", origin=origin))
    await store.delivered(store.wanted("t-9"))

    groups = await store.database.read(survey.dead_groups, "shop", 5)
    newest = await store.database.read(survey.dead_groups, "shop", 2)

    def group(reason: DeadReason, origin: str, count: int, at: Instant, *, more: bool = False) -> DeadGroup:
        return DeadGroup(reason=reason, origin=origin, count=count, more=more, newest_at=at)

    assert groups == [
        group(DeadReason.EXHAUSTED, ELSEWHERE, 2, died_at[3]),
        group(DeadReason.GONE, ELSEWHERE, 1, died_at[2]),
        group(DeadReason.GONE, HOOK, 1, died_at[0]),
    ]
    assert newest == [
        group(DeadReason.EXHAUSTED, ELSEWHERE, 1, died_at[3], more=True),
        group(DeadReason.GONE, ELSEWHERE, 1, died_at[2], more=True),
    ]
    assert await store.database.read(survey.dead_groups, "bank", 5) == []


async def test_the_largest_groups_are_shown_of_very_many(store: Store) -> None:
    origins = [f"https://{number:03}.example" for number in range(survey.MOST_GROUPS + 1)]
    await store.register(*(store.wanted(origin=origin) for origin in origins))
    await store.register(*(store.wanted(origin=origin, hook="/b") for origin in origins[1:]))
    await store.run("UPDATE registrations SET state = 'dead', closed_at = 7")
    await store.run(
        "INSERT INTO deliveries (registration, lane, fence, round, attempts, failures, dead_reason)"
        " SELECT id, client || ' ' || origin, 1, 1, 1, 1, 'gone' FROM registrations"
    )

    groups = await store.database.read(survey.dead_groups, "shop", 1_000)

    assert [group.count for group in groups] == [2] * survey.MOST_GROUPS
    assert [group.origin for group in groups] == origins[1:]


async def test_whatever_is_counted_an_index_leads_there(sqlite: Store) -> None:
    def reads(connection: Connection) -> set[str | None]:
        fill(connection)
        keys = {LANE: ("bank", "shop")}
        found = [
            *reads_of(connection, lambda conn: survey.survey(conn, keys, sqlite.now)),
            *reads_of(connection, lambda conn: survey.dead_groups(conn, "shop", 10_000)),
        ]
        return {f"{read.table} {read.index}" for read in found if read.table != "lanes"}

    found = await sqlite.write(reads)

    assert found == {
        "registrations ix_registrations_state",
        "tasks ix_tasks_due",
        "deliveries ix_deliveries_due",
        "deliveries sqlite_autoindex_deliveries_1",
    }
