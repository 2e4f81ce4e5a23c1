"""Rows of replays: what a client may do with them, and how they go."""

from dataclasses import replace

import pytest
from sqlalchemy import Connection, text

from relay.domain.errors import NotFound
from relay.domain.ids import ReplayId, replay_id
from relay.domain.instants import SECOND, Instant
from relay.domain.replays import (
    LOOK_AGAIN,
    MOST_CLOSED,
    MOST_DUE,
    MOST_IN_ALL,
    MOST_OPEN,
    MOST_SHOWN,
    Full,
    Replay,
    ReplayChange,
    ReplayState,
)
from relay.storage import replaying, replays
from relay.storage.replaying import Step
from relay.storage.replays import NotNow
from tests.storage.interleaving import overlapping
from tests.storage.replaying import (
    DELIVERED,
    accept_all,
    begun,
    count_slice,
    counted,
    dead,
    many,
    read,
    step,
    steps,
)
from tests.storage.store import Store

NOBODYS = ReplayId("rpl_" + "0" * 32)


async def add_parts(store: Store, replay: Replay, name: str, next_at: int | None, rows: int) -> None:
    def added(connection: Connection) -> None:
        connection.execute(
            text(
                "INSERT INTO replay_parts (replay, origin, last, cursor, next_at, matching, replayed)"
                " VALUES (:replay, :origin, '', '', :next_at, 1, 0)"
            ),
            [
                {"replay": replay.id, "origin": f"{name}-{number:03}", "next_at": next_at}
                for number in range(rows)
            ],
        )

    await store.write(added)


async def add_closed(store: Store, rows: int, client: str = "shop") -> list[ReplayId]:
    """Replays of a client that were cancelled, one a second, the oldest first."""
    made = [replay_id(Instant(store.now + number), 2_000_000 + number) for number in range(rows)]

    def added(connection: Connection) -> None:
        connection.execute(
            text(
                "INSERT INTO replays (id, client, state, wanted_state, created_at, closed_at, matching, replayed, skipped)"
                " VALUES (:id, :client, 'cancelled', 'dead', 0, :closed_at, 0, 0, 0)"
            ),
            [
                {"id": made_one + client, "client": client, "closed_at": store.now + number * SECOND}
                for number, made_one in enumerate(made)
            ],
        )

    await store.write(added)
    return [ReplayId(made_one + client) for made_one in made]


@pytest.mark.parametrize("ends", [ReplayChange.PAUSED, ReplayChange.CANCELLED])
async def test_nothing_is_replayed_once_it_is_paused_or_cancelled(store: Store, ends: ReplayChange) -> None:
    await store.write(many, MOST_DUE + 1, at=store.now)
    replay = await counted(store)
    step_, changed = await overlapping(
        store,
        lambda connection: replaying.step(connection, replay.id, store.now),
        lambda connection: replays.change(connection, "shop", replay.id, ends, store.now),
    )
    await accept_all(store)
    store.time.advance(LOOK_AGAIN)

    assert step_ == Step(replayed=MOST_DUE)
    assert isinstance(changed, Replay)
    assert changed.replayed == MOST_DUE
    assert changed.closed_at == (None if ends is ReplayChange.PAUSED else store.now - LOOK_AGAIN)
    assert await steps(store, replay) == 0


async def test_a_paused_replay_goes_on_where_it_was(store: Store) -> None:
    await dead(store, "t-1")
    replay = await counted(store)
    for change in (ReplayChange.PAUSED, ReplayChange.PAUSED, ReplayChange.RESUMED, ReplayChange.RESUMED):
        changed = await store.write(replays.change, "shop", replay.id, change, store.now)
        assert isinstance(changed, Replay)

    assert await steps(store, replay) == 1


async def test_a_count_that_is_paused_in_the_middle_is_not_lost(store: Store) -> None:
    await dead(store, "t-1")
    replay = await begun(store)
    await store.write(replays.change, "shop", replay.id, ReplayChange.PAUSED, store.now)
    while_paused = await count_slice(store, replay)
    await store.write(replays.change, "shop", replay.id, ReplayChange.RESUMED, store.now)

    after = await count_slice(store, replay)

    assert while_paused is None
    assert after is not None
    assert after.matching == 1


async def test_what_is_done_does_not_change_any_more(store: Store) -> None:
    replay = await counted(store)
    await step(store, replay)

    answers = [
        await store.write(replays.change, "shop", replay.id, change, store.now)
        for change in (ReplayChange.PAUSED, ReplayChange.RESUMED, ReplayChange.CANCELLED)
    ]

    assert answers == [NotNow(state=ReplayState.DONE)] * 3


async def test_another_clients_replay_is_not_there(store: Store) -> None:
    replay = await begun(store)

    for client, wanted in (("bank", replay.id), ("shop", NOBODYS)):
        with pytest.raises(NotFound, match="no such replay"):
            await store.database.read(replays.get, client, wanted)
        with pytest.raises(NotFound, match="no such replay"):
            await store.write(replays.change, client, wanted, ReplayChange.CANCELLED, store.now)
    assert await store.database.read(replays.find, "bank", None, 10) == []
    assert (await read(store, replay)).state is ReplayState.RUNNING


async def test_replays_are_listed_newest_first_page_by_page(store: Store) -> None:
    made = []
    for _ in range(3):
        made.append((await begun(store)).id)
        store.time.advance(SECOND)

    first = await store.database.read(replays.find, "shop", None, 2)
    rest = await store.database.read(replays.find, "shop", first[-1].id, 2)

    assert [replay.id for replay in (*first, *rest)] == made[::-1]


async def test_those_that_are_open_are_found_for_the_clients_that_there_are(store: Store) -> None:
    running, paused = await begun(store), await begun(store, client="bank")
    await store.write(replays.change, "bank", paused.id, ReplayChange.PAUSED, store.now)
    ended = await begun(store)
    await store.write(replays.change, "shop", ended.id, ReplayChange.CANCELLED, store.now)
    await begun(store, client="gone")

    found = await store.database.read(replays.find_open, ["shop", "bank"])

    assert [(replay.id, replay.state) for replay in found] == [
        (paused.id, ReplayState.PAUSED),
        (running.id, ReplayState.RUNNING),
    ]


async def test_a_client_has_so_many_open_replays_and_no_more(store: Store) -> None:
    made = [await begun(store) for _ in range(MOST_OPEN - 1)]
    more = [replace(made[0], id=replay_id(store.now, 1_000 + number)) for number in range(2)]

    both = await overlapping(
        store,
        lambda connection: replays.add(connection, more[0]),
        lambda connection: replays.add(connection, more[1]),
    )
    others = await begun(store, client="bank")
    await store.write(replays.change, "shop", made[0].id, ReplayChange.CANCELLED, store.now)
    again = await store.write(replays.add, more[1])

    assert both == (None, Full.OPEN)
    assert others.client == "bank"
    assert again is None


async def test_a_replay_is_shown_with_a_hundred_origins_and_those_that_are_open_first(store: Store) -> None:
    replay = await begun(store)

    await add_parts(store, replay, "over", None, 60)
    await add_parts(store, replay, "open", store.now, 40)
    whole = await store.database.read(replays.get, "shop", replay.id)
    await add_parts(store, replay, "more", store.now, 61)
    more = await store.database.read(replays.get, "shop", replay.id)

    assert [part.open for part in whole.parts] == [True] * 40 + [False] * 60
    assert not whole.more
    assert len(more.parts) == MOST_SHOWN
    assert all(part.open for part in more.parts)
    assert more.more


async def test_a_client_has_so_many_replays_in_all_until_they_are_pruned(store: Store) -> None:
    wanted = await begun(store)
    await add_closed(store, MOST_IN_ALL - 2)
    more = [replace(wanted, id=replay_id(store.now, 1_000 + number)) for number in range(2)]

    both = [await store.write(replays.add, replay) for replay in more]
    others = await store.write(replays.add, replace(more[1], client="bank"))

    assert both == [None, Full.IN_ALL]
    assert others is None


async def test_of_a_clients_replays_that_are_over_the_newest_are_kept(store: Store) -> None:
    shops = await add_closed(store, MOST_CLOSED + 3)
    banks = await add_closed(store, MOST_CLOSED, "bank")
    await begun(store)

    over = await store.database.read(replays.find_over, Instant(0))
    dropped = [await store.write(replays.drop, replay, 10) for replay in over]

    assert over == shops[:3]
    assert dropped == [1, 1, 1]
    assert await store.value("SELECT count(*) FROM replays") == MOST_CLOSED + len(banks) + 1
    assert await store.database.read(replays.find_over, Instant(0)) == []


async def test_a_replay_that_is_over_is_dropped_in_its_time_with_its_parts(store: Store) -> None:
    for number in range(3):
        await dead(store, f"t-{number}", origin=f"https://{number}.example")
    replay, open_ = await counted(store), await begun(store, DELIVERED)
    await steps(store, replay)
    store.time.advance(1)

    too_early = await store.database.read(replays.find_over, Instant(store.now - 1))
    in_time = await store.database.read(replays.find_over, store.now)
    rows = [await store.write(replays.drop, replay.id, 2) for _ in range(4)]

    assert (too_early, in_time) == ([], [replay.id])
    assert rows == [2, 1, 1, 0]
    assert await store.write(replays.drop, open_.id, 2) == 0
    assert await store.rows("SELECT id FROM replays") == [(open_.id,)]
    assert await store.value("SELECT count(*) FROM replay_parts") == 0


async def test_a_replay_that_is_over_keeps_no_more_origins_than_it_is_shown_with(store: Store) -> None:
    cancelled, open_ = await begun(store), await begun(store)
    for replay in (cancelled, open_):
        await add_parts(store, replay, "over", None, 60)
        await add_parts(store, replay, "open", store.now, MOST_SHOWN)
    await store.write(replays.change, "shop", cancelled.id, ReplayChange.CANCELLED, store.now)
    before = await store.database.read(replays.get, "shop", cancelled.id)

    crowded = await store.database.read(replays.find_crowded)
    rows = [await store.write(replays.trim, cancelled.id, 50) for _ in range(3)]

    assert crowded == [cancelled.id]
    assert rows == [50, 9, 0]
    assert await store.database.read(replays.get, "shop", cancelled.id) == before
    assert before.more
    assert await store.database.read(replays.find_crowded) == []
    assert await store.write(replays.trim, open_.id, 50) == 0
