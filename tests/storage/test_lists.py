"""Lists over thousands of registrations: what they show, and that an index leads them there."""

import re
from typing import Any, Final

import pytest
from sqlalchemy import Connection, text

from relay.domain.deliveries import Accepted, DeadReason, Failure, Rejected, Retry, Unreachable
from relay.domain.ids import RegistrationId, registration_id, task_ref
from relay.domain.instants import MILLISECOND, SECOND, Instant
from relay.domain.registrations import RegistrationState
from relay.storage import lists
from relay.storage.lists import Filter, page_of
from relay.storage.views import RegistrationView
from tests.storage.store import HOOK, Store

ROWS: Final = 6_000
ELSEWHERE: Final = "https://elsewhere.example"
STATES: Final = {
    RegistrationState.WATCHING: 100,
    RegistrationState.DELIVERING: 100,
    RegistrationState.CANCELLED: 10,
    RegistrationState.DEAD: 2_000,
    RegistrationState.DELIVERED: ROWS - 2_210,
}
GONE: Final = 7
"""Of those that are dead; the others are exhausted."""
SOMEWHERE_ELSE: Final = 3
"""Of each state, the oldest."""
START: Final = Instant(1_795_435_200 * SECOND)


def identified(number: int) -> RegistrationId:
    """One registration a millisecond."""
    return registration_id(Instant(START + number * MILLISECOND), 0)


def fill(connection: Connection) -> None:
    """All of one client; and as many of another that must not be seen."""
    registrations, deliveries, tasks = [], [], {}
    number = 0
    for client in ("shop", "bank"):
        for state, count in STATES.items():
            for index in range(count):
                number += 1
                id_ = identified(number)
                ended = state not in {RegistrationState.WATCHING, RegistrationState.DELIVERING}
                task_id, kind = f"t-{number // 3}", "dub" if number % 1_000 == 0 else "tts"
                task = task_ref(client, kind, task_id)
                tasks[task] = {"ref": task, "client": client, "kind": kind, "task_id": task_id}
                origin = ELSEWHERE if index < SOMEWHERE_ELSE else HOOK
                registrations.append(
                    {
                        "id": id_,
                        "task": task,
                        "client": client,
                        "origin": origin,
                        "state": state,
                        "closed_at": START if ended else None,
                    }
                )
                if state is not RegistrationState.WATCHING:
                    reason = DeadReason.GONE if index < GONE else DeadReason.EXHAUSTED
                    deliveries.append(
                        {
                            "id": id_,
                            "lane": f"{client} {origin}",
                            "reason": reason if state is RegistrationState.DEAD else None,
                        }
                    )
    connection.execute(
        text(
            "INSERT INTO tasks (ref, client, kind, task_id, state, fence, paced_from, polls, not_found, not_found_before)"
            " VALUES (:ref, :client, :kind, :task_id, 'succeeded', 0, 0, 0, 0, 0)"
        ),
        list(tasks.values()),
    )
    connection.execute(
        text(
            "INSERT INTO registrations (id, task, client, callback_url, origin, format, metadata, created_at, expires_at,"
            " not_found_before, state, closed_at)"
            " VALUES (:id, :task, :client, :origin, :origin, 'standard', :metadata, 0, 0, 0, :state, :closed_at)"
        ),
        [row | {"metadata": b"{}"} for row in registrations],
    )
    connection.execute(
        text(
            "INSERT INTO deliveries (registration, lane, fence, round, attempts, failures, dead_reason)"
            " VALUES (:id, :lane, 0, 1, 0, 0, :reason)"
        ),
        deliveries,
    )
    for table in ("registrations", "deliveries", "tasks", "events", "attempts", "reports", "lanes"):
        connection.execute(text(f"ANALYZE {table}"))


LISTS: Final[dict[str, tuple[Filter, str, int]]] = {
    "nothing": (Filter(client="shop", limit=51), "ix_registrations_client", 51),
    "a task": (Filter(client="shop", task_id="t-9", limit=51), "ix_registrations_task", 3),
    **{
        f"state {state}": (
            Filter(client="shop", state=state, limit=51),
            "ix_registrations_state",
            min(count, 51),
        )
        for state, count in STATES.items()
    },
    "an origin": (Filter(client="shop", origin=ELSEWHERE, limit=51), "ix_registrations_ended", 15),
    "an origin's dead": (
        Filter(client="shop", origin=ELSEWHERE, state=RegistrationState.DEAD, limit=51),
        "ix_registrations_ended",
        3,
    ),
    "an origin's dead for a reason": (
        Filter(client="shop", origin=ELSEWHERE, dead_reason=DeadReason.GONE, limit=51),
        "ix_registrations_ended|ix_deliveries_dead",  # whichever holds fewer
        3,
    ),
    "a reason": (
        Filter(client="shop", dead_reason=DeadReason.GONE, limit=51),
        "ix_deliveries_dead",
        GONE,
    ),
    "no such reason": (
        Filter(client="shop", dead_reason=DeadReason.BLOCKED, limit=51),
        "ix_deliveries_dead",
        0,
    ),
}
READS: Final = re.compile(r"(SCAN|SEARCH) (registrations|deliveries|tasks)\b.*")
MOST_PAGES: Final = 120
"""Of the hundreds that the tables have."""


def compiled(connection: Connection, wanted: Filter) -> str:
    page = page_of(wanted).compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    return str(page).replace("%%", "%")


async def test_on_sqlite_every_list_is_read_along_an_index(sqlite: Store) -> None:
    def plans(connection: Connection) -> dict[str, list[str]]:
        fill(connection)
        return {
            name: [
                row.detail
                for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled(connection, wanted)}")
            ]
            for name, (wanted, _, _) in LISTS.items()
        }

    found = await sqlite.write(plans)

    for name, (_, index, _) in LISTS.items():
        reads = [line for line in found[name] if READS.fullmatch(line)]
        assert reads, name
        assert all(line.startswith("SEARCH") for line in reads), (name, reads)
        assert any(re.search(rf"({index}) \(", line) for line in reads), (name, reads)


async def test_on_postgres_every_list_is_read_along_an_index(postgres: Store) -> None:
    def plans(connection: Connection) -> dict[str, tuple[str, int]]:
        # Pages that an earlier test has left count as read.
        connection.exec_driver_sql("TRUNCATE tasks CASCADE")
        fill(connection)
        found = {}
        for name, (wanted, _, _) in LISTS.items():
            sql = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {compiled(connection, wanted)}"
            top = connection.exec_driver_sql(sql).scalar_one()[0]["Plan"]
            found[name] = str(top), top["Shared Hit Blocks"] + top["Shared Read Blocks"]
        return found

    found = await postgres.write(plans)

    for name, (_, index, _) in LISTS.items():
        plan, pages = found[name]
        assert "Seq Scan" not in plan, name
        assert re.search(f"'({index})'", plan), (name, plan)
        assert pages <= MOST_PAGES, (name, pages)


async def test_a_page_holds_what_was_asked_for_newest_first_whatever_it_is_narrowed_by(store: Store) -> None:
    await store.write(fill)

    found = {name: await store.database.read(lists.find, wanted) for name, (wanted, _, _) in LISTS.items()}

    for name, (wanted, _, count) in LISTS.items():
        ids = [view.registration.id for view in found[name]]
        assert len(ids) == count, name
        assert ids == sorted(ids, reverse=True)
        for view in found[name]:
            assert view.registration.client == "shop"
            assert wanted.state in {None, view.state}
            assert wanted.origin in {None, view.registration.origin}
            assert wanted.task_id in {None, view.registration.task_id}


async def few(store: Store) -> None:
    """Ten registrations, one a millisecond, of which every other one is cancelled."""
    for number in range(10):
        wanted = store.wanted(
            f"t-{number}", origin=ELSEWHERE if number < 4 else HOOK, kind="dub" if number < 6 else "tts"
        )
        await store.accept(wanted)
        if number % 2:
            await store.cancel(wanted.id)
        store.time.advance(MILLISECOND)


NARROWED: Final = {
    "an origin": ({"origin": ELSEWHERE}, [3, 2, 1, 0]),
    "an origin and a state": ({"origin": ELSEWHERE, "state": RegistrationState.CANCELLED}, [3, 1]),
    "an origin and an open state": ({"origin": ELSEWHERE, "state": RegistrationState.WATCHING}, [2, 0]),
    "an origin and a kind": ({"origin": HOOK, "kind": "dub"}, [5, 4]),
    "an origin and a task": ({"origin": ELSEWHERE, "task_id": "t-2"}, [2]),
    "another origin and a task": ({"origin": HOOK, "task_id": "t-2"}, []),
    "a task and a state": ({"task_id": "t-2", "state": RegistrationState.CANCELLED}, []),
    "a kind": ({"kind": "tts"}, [9, 8, 7, 6]),
    "a kind and a state": ({"kind": "tts", "state": RegistrationState.CANCELLED}, [9, 7]),
    "another state than dead for a reason": (
        {"dead_reason": DeadReason.GONE, "state": RegistrationState.CANCELLED},
        [],
    ),
}


@pytest.mark.parametrize(("narrowed", "numbers"), NARROWED.values(), ids=NARROWED.keys())
async def test_filters_go_together(store: Store, narrowed: dict[str, Any], numbers: list[int]) -> None:
    await few(store)

    assert await shown(store, **narrowed) == numbers


@pytest.mark.parametrize(
    "narrowed", [{}, {"origin": HOOK}, {"state": RegistrationState.WATCHING}, {"kind": "tts"}]
)
async def test_pages_follow_each_other_without_a_gap(store: Store, narrowed: dict[str, Any]) -> None:
    await few(store)
    whole = await shown(store, **narrowed)

    pages, before = [], None
    while page := await store.database.read(
        lists.find, Filter(client="shop", limit=2, before=before, **narrowed)
    ):
        pages.append([number_of(view) for view in page])
        before = page[-1].registration.id

    assert [number for page in pages for number in page] == whole
    assert {len(page) for page in pages[:-1]} <= {2}


RARE: Final[list[dict[str, Any]]] = [
    {"kind": "dub"},
    {"kind": "dub", "origin": HOOK},
    {"kind": "dub", "dead_reason": DeadReason.EXHAUSTED},
    {"kind": "dub", "state": RegistrationState.DEAD},
    {"kind": "discord-tts"},
    {"kind": "tts", "origin": ELSEWHERE},
    {"kind": "tts", "task_id": "t-9"},
]
COMMON: Final[dict[str, Any]] = {"kind": "tts"}


@pytest.mark.parametrize(
    ("limit", "reach", "narrowings"),
    [
        (3, 700, RARE),
        (30, 700, [COMMON]),
        (2_000, 1_500, [*RARE, COMMON]),
        (10_000, 10_000, [*RARE, COMMON]),
    ],
    ids=["3 of 700", "30 of 700", "2,000 of 1,500", "10,000 of 10,000"],
)
async def test_of_whatever_kind_pages_are_short_and_go_on_to_the_end(
    sqlite: Store, limit: int, reach: int, narrowings: list[dict[str, Any]]
) -> None:
    await sqlite.write(fill)
    for narrowed in narrowings:
        whole = await sqlite.database.read(lists.find, Filter(client="shop", limit=10_000, **narrowed))

        found: list[RegistrationId] = []
        sizes = []
        page, more = None, True
        while more:
            wanted = Filter(client="shop", limit=limit, reach=reach, before=page, **narrowed)
            listed = await sqlite.database.read(lists.find_page, wanted)
            found += [view.registration.id for view in listed.found]
            sizes.append(len(listed.found))
            page, more = listed.older, listed.older is not None

        assert found == [view.registration.id for view in whole], narrowed
        assert max(sizes) <= limit, narrowed
        assert len(sizes) <= 1 + len(whole) // limit + 6 * ROWS // reach, narrowed


async def test_a_page_of_a_kind_that_nobody_has_looks_only_so_far(store: Store) -> None:
    await store.write(fill)
    wanted = Filter(client="shop", limit=50, kind="discord-tts", reach=100)

    first = await store.database.read(lists.find_page, wanted)
    all_ = await store.database.read(lists.find_page, Filter(client="shop", limit=50, kind="discord-tts"))

    hundredth = await store.database.read(lists.find, Filter(client="shop", limit=100))
    assert (first.found, first.older) == ([], hundredth[-1].registration.id)
    assert (all_.found, all_.older) == ([], None)


@pytest.mark.parametrize("narrowed", [{}, {"origin": HOOK}, {"state": RegistrationState.WATCHING}])
async def test_a_list_can_begin_and_end_at_a_moment(store: Store, narrowed: dict[str, Any]) -> None:
    start = store.now
    await few(store)
    whole = await shown(store, **narrowed)

    def since(milliseconds: float) -> Instant:
        return Instant(start + round(milliseconds * MILLISECOND))

    assert await shown(store, since=since(7), **narrowed) == [number for number in whole if number >= 7]
    assert await shown(store, since=since(6.5), **narrowed) == [number for number in whole if number >= 7]
    assert await shown(store, until=since(7), **narrowed) == [number for number in whole if number < 7]
    assert await shown(store, since=since(7), until=since(7), **narrowed) == []


async def test_what_is_dead_is_counted_by_its_reason_up_to_a_bound(store: Store) -> None:
    await store.write(fill)

    counts = [
        await store.database.read(lists.count_dead, reason, most)
        for reason, most in ((DeadReason.GONE, 100), (DeadReason.BLOCKED, 100), (DeadReason.EXHAUSTED, 100))
    ]

    assert counts == [2 * GONE, 0, 100]


async def test_a_delivery_shows_its_newest_error_until_it_was_accepted(store: Store) -> None:
    registration = await store.delivering()
    at_first = (await store.view(registration)).delivery
    await store.attempted(Rejected(http_status=503), Retry(at=store.now))
    await store.attempted(Unreachable(failure=Failure.DNS, detail="no such name"), Retry(at=store.now))
    (failed,) = await store.database.read(lists.find, Filter(client="shop", limit=1))
    await store.attempted(Accepted(http_status=204))
    accepted = (await store.view(registration)).delivery

    assert at_first is not None
    assert failed.delivery is not None
    assert accepted is not None
    assert (at_first.last_error, failed.delivery.last_error, accepted.last_error) == (
        None,
        "dns: no such name",
        None,
    )


def number_of(view: RegistrationView) -> int:
    return int(view.registration.task_id.removeprefix("t-"))


async def shown(store: Store, **narrowed: Any) -> list[int]:  # noqa: ANN401 - a Filter's own fields
    page = await store.database.read(lists.find, Filter(client="shop", limit=100, **narrowed))
    return [number_of(view) for view in page]
