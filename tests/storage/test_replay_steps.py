"""What a replay counts and sends again, and who else may be at work meanwhile."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
from sqlalchemy import Connection, text

from relay.domain.deliveries import Accepted, Rejected
from relay.domain.errors import NotFound
from relay.domain.instants import HOUR, MINUTE, SECOND, Instant
from relay.domain.registrations import RegistrationState
from relay.domain.replays import LOOK_AGAIN, LOOK_AT_PAUSE, MOST_DUE, Hold, Replay, ReplayFilter, ReplayState
from relay.storage import replaying, replays, retention
from relay.storage.replaying import MOST_REPLAYED, Step
from tests.storage.interleaving import between, overlapping
from tests.storage.replaying import (
    DEAD,
    DELIVERED,
    ELSEWHERE,
    GONE,
    accept_all,
    begun,
    count_slice,
    counted,
    dead,
    many,
    parts,
    parts_are_held,
    read,
    states,
    step,
    steps,
)
from tests.storage.store import HOOK, Store

PAUSE_ORIGIN = (
    "INSERT INTO lanes (name, spent_until, paused_until, paused_at, failures, slots)"
    " VALUES (:name, 0, :until, 0, 1, 0)"
)


async def test_what_is_dead_is_counted_and_begins_a_new_round(store: Store) -> None:
    first, second = await dead(store, "t-1"), await dead(store, "t-2", origin=ELSEWHERE)
    accepted = await store.delivered(store.wanted("t-3"))
    store.time.advance(MINUTE)

    replay = await counted(store)
    before = await parts(store, replay)
    done = await step(store, replay)

    assert replay.matching == 2
    assert {origin: (part.matching, part.open) for origin, part in before.items()} == {
        HOOK: (1, True),
        ELSEWHERE: (1, True),
    }
    assert done == Step(replayed=2)
    assert await states(store, first, second, accepted) == ["delivering", "delivering", "delivered"]
    assert (
        await store.rows(
            "SELECT round, round_at, next_at, failures, dead_reason FROM deliveries WHERE ended_at IS NULL"
        )
        == [(2, store.now, store.now, 0, None)] * 2
    )
    assert len((await store.claim_deliveries()).rows) == 2


async def test_a_replay_is_done_once_nothing_is_left_of_it(store: Store) -> None:
    await dead(store, "t-1")
    replay = await counted(store)
    await step(store, replay)

    end = await step(store, replay)
    after = await read(store, replay)

    assert end == Step(done=after)
    assert (after.state, after.closed_at) == (ReplayState.DONE, store.now)
    assert (after.matching, after.replayed, after.skipped) == (1, 1, 0)
    assert await step(store, replay) is None


async def test_a_replay_of_nothing_is_done_at_once(store: Store) -> None:
    replay = await counted(store)

    end = await step(store, replay)

    assert end is not None
    assert end.done is not None
    assert (replay.matching, end.replayed) == (0, 0)


async def test_what_was_delivered_can_be_sent_again_too(store: Store) -> None:
    gone, accepted = await dead(store, "t-1"), await store.delivered(store.wanted("t-2"))

    replay = await counted(store, DELIVERED)
    await steps(store, replay)

    assert await states(store, gone, accepted) == ["dead", "delivering"]


async def test_a_filter_leaves_the_others_alone(store: Store) -> None:
    kept = {
        "kind": await dead(store, "t-1", kind="dub"),
        "origin": await dead(store, "t-2", origin=ELSEWHERE),
        "before": await dead(store, "t-3"),
    }
    since = store.time.advance(HOUR)
    wanted = await dead(store, "t-4")
    until = store.time.advance(HOUR)
    kept["after"] = await dead(store, "t-5")
    store.time.advance(HOUR)
    whole = ReplayFilter(state=RegistrationState.DEAD, kind="tts", origin=HOOK, since=since, until=until)

    matching = [
        (await counted(store, filter_)).matching
        for filter_ in (
            DEAD,
            replace(DEAD, kind="dub"),
            replace(DEAD, origin=ELSEWHERE),
            replace(DEAD, since=since),
            replace(DEAD, until=until),
            replace(DEAD, until=since),
        )
    ]
    replay = await counted(store, whole)
    await steps(store, replay)

    assert matching == [5, 1, 1, 2, 4, 3]
    assert replay.matching == 1
    assert await states(store, wanted, *kept.values()) == ["delivering", "dead", "dead", "dead", "dead"]


async def test_another_clients_dead_are_left_alone(store: Store) -> None:
    await store.run(
        "UPDATE registrations SET client = 'bank' WHERE id = :id", id=(await dead(store, "t-1")).id
    )

    assert (await counted(store)).matching == 0


async def test_what_dies_after_the_start_is_not_part_of_the_replay(store: Store) -> None:
    first = await dead(store, "t-1")
    replay = await begun(store)
    store.time.advance(SECOND)
    late = await dead(store, "t-2")

    after = await count_slice(store, replay)
    replayed = await steps(store, replay)

    assert after is not None
    assert (after.matching, replayed) == (1, 1)
    assert await states(store, first, late) == ["delivering", "dead"]


async def test_what_dies_again_after_it_was_replayed_is_not_replayed_twice(store: Store) -> None:
    registration = await dead(store, "t-1")
    replay = await counted(store)
    store.time.advance(SECOND)
    first = await step(store, replay)
    await store.attempted(Rejected(http_status=410), GONE)

    rest = await steps(store, replay)

    assert first == Step(replayed=1)
    assert rest == 0
    assert await states(store, registration) == ["dead"]
    assert (await read(store, replay)).state is ReplayState.DONE


async def test_what_others_changed_before_its_turn_is_skipped(store: Store) -> None:
    redelivered, pruned, wanted = [await dead(store, f"t-{number}") for number in range(3)]
    replay = await counted(store)
    await store.redeliver(redelivered.id)
    await store.run("UPDATE registrations SET closed_at = 1 WHERE id = :id", id=pruned.id)
    await store.write(retention.prune, RegistrationState.DEAD, Instant(2), 10)

    replayed = await steps(store, replay)
    after = await read(store, replay)

    assert replayed == 1
    assert (after.matching, after.replayed, after.skipped) == (3, 1, 2)
    assert await store.value("SELECT round FROM deliveries WHERE registration = :id", id=redelivered.id) == 2
    assert await states(store, wanted) == ["delivering"]


async def test_what_changes_under_the_steps_eyes_is_judged_again_under_its_lock(postgres: Store) -> None:
    first, second = [await dead(postgres, f"t-{number}") for number in range(2)]
    replay = await counted(postgres)

    done, _ = await between(
        postgres,
        "FROM tasks",
        lambda connection: replaying.step(connection, replay.id, postgres.now),
        lambda: postgres.redeliver(first.id),
    )
    await steps(postgres, replay)
    after = await read(postgres, replay)

    assert done == Step(replayed=1)
    assert (after.replayed, after.skipped) == (1, 1)
    assert await postgres.rows("SELECT round FROM deliveries") == [(2,), (2,)]
    assert await states(postgres, first, second) == ["delivering", "delivering"]


async def test_more_than_ten_thousand_are_replayed_whole_and_once(store: Store) -> None:
    await store.write(many, 10_001, at=store.now)
    await store.write(many, 250, at=store.now, origin=ELSEWHERE, kind="dub")
    replay = await begun(store)
    slices = 0
    current: Replay | None = replay
    while current is not None and current.counted is not None:
        current = await count_slice(store, current)
        slices += 1
    replayed = most = 0
    while (done := await step(store, replay)) is not None and done.done is None:
        replayed += done.replayed
        most = max(most, done.replayed)
        if await parts_are_held(store, replay):
            await accept_all(store)
            store.time.advance(LOOK_AGAIN)
    after = await read(store, replay)

    assert slices == 2
    assert most <= MOST_REPLAYED
    assert (after.matching, after.replayed, after.skipped, replayed) == (10_251, 10_251, 0, 10_251)
    assert after.state is ReplayState.DONE
    assert await store.rows("SELECT round, count(*) FROM deliveries GROUP BY round") == [(2, 10_251)]


async def test_an_origin_is_never_given_more_than_a_fresh_delivery_may_wait_behind(store: Store) -> None:
    await store.write(many, MOST_DUE + 50, at=store.now)
    replay = await counted(store)

    first = await steps(store, replay)
    held = (await parts(store, replay))[HOOK]
    too_early = await steps(store, replay)
    store.time.advance(LOOK_AGAIN)
    still_full = await steps(store, replay)
    await accept_all(store)
    store.time.advance(LOOK_AGAIN)
    rest = await steps(store, replay)

    assert (first, too_early, still_full, rest) == (MOST_DUE, 0, 0, 50)
    assert (held.hold, held.held_until, held.replayed) == (Hold.FULL, None, MOST_DUE)


async def test_a_paused_origin_holds_up_itself_alone(store: Store) -> None:
    waits, goes = await dead(store, "t-1"), await dead(store, "t-2", origin=ELSEWHERE)
    until = Instant(store.now + HOUR)
    await store.run(PAUSE_ORIGIN, name=f"shop {HOOK}", until=until)
    replay = await counted(store)

    await steps(store, replay)
    found = await parts(store, replay)

    assert await states(store, waits, goes) == ["dead", "delivering"]
    assert (found[HOOK].hold, found[HOOK].held_until) == (Hold.PAUSED, until)
    assert (found[ELSEWHERE].hold, found[ELSEWHERE].open) == (None, False)
    assert (await read(store, replay)).state is ReplayState.RUNNING


async def test_an_origin_whose_pause_ended_early_is_found_within_seconds(store: Store) -> None:
    registration = await dead(store, "t-1")
    await store.run(PAUSE_ORIGIN, name=f"shop {HOOK}", until=store.now + HOUR)
    replay = await counted(store)
    await steps(store, replay)

    await store.run("UPDATE lanes SET paused_until = 0, slots = NULL")
    store.time.advance(LOOK_AT_PAUSE)
    await steps(store, replay)

    assert await states(store, registration) == ["delivering"]


async def test_an_origin_that_is_to_be_probed_is_given_one(store: Store) -> None:
    await store.write(many, 3, at=store.now)
    await store.run(PAUSE_ORIGIN, name=f"shop {HOOK}", until=store.now)
    replay = await counted(store)

    probe = await steps(store, replay)
    held = (await parts(store, replay))[HOOK].hold
    await store.run("UPDATE lanes SET slots = 1")
    store.time.advance(LOOK_AGAIN)
    rest = await steps(store, replay)

    assert (probe, held, rest) == (1, Hold.PAUSED, 2)


async def test_where_few_match_a_step_looks_at_no_more_than_its_bound(store: Store) -> None:
    await store.write(many, 1_500, at=store.now, kind="aaa")
    await store.write(many, 2, at=store.now, kind="tts")
    replay = await counted(store, replace(DEAD, kind="tts"))

    replayed = [done.replayed for done in [await step(store, replay) for _ in range(2)] if done is not None]

    assert replayed == [0, 2]


async def test_rows_that_match_no_more_end_a_part_without_a_look_too_many(store: Store) -> None:
    registration = await dead(store, "t-1")
    replay = await counted(store)
    await store.redeliver(registration.id)

    done = [await step(store, replay) for _ in range(2)]

    assert done[0] == Step()
    assert done[1] is not None
    assert done[1].done == await read(store, replay)
    assert (await read(store, replay)).skipped == 1


async def test_many_origins_are_taken_in_turns(store: Store) -> None:
    def seed(connection: Connection) -> None:
        for number in range(4):
            many(connection, 150, at=store.now, origin=f"https://{'h' * (number + 1)}.example")

    await store.write(seed)
    replay = await counted(store)

    replayed = [await step(store, replay) for _ in range(2)]

    assert replayed == [Step(replayed=MOST_REPLAYED), Step(replayed=200)]


async def test_two_processes_that_step_at_once_replay_each_once(store: Store) -> None:
    await store.write(many, 3 * MOST_DUE // 2, at=store.now)
    await store.write(many, 3 * MOST_DUE // 2, at=store.now, origin=ELSEWHERE, kind="dub")
    replay = await counted(store)

    async with store.another_process() as other:
        for _ in range(8):
            await asyncio.gather(step(store, replay), step(other, replay))
            await accept_all(store)
            store.time.advance(LOOK_AGAIN)
    after = await read(store, replay)

    assert (after.state, after.replayed) == (ReplayState.DONE, 3 * MOST_DUE)
    assert await store.rows("SELECT round, count(*) FROM deliveries GROUP BY round") == [(2, 3 * MOST_DUE)]


async def test_a_replay_that_another_process_is_at_is_left_to_it(postgres: Store) -> None:
    await dead(postgres, "t-1")
    replay = await counted(postgres)

    def work(connection: Connection) -> Step | None:
        return replaying.step(connection, replay.id, postgres.now)

    first, second = await overlapping(postgres, work, work)

    assert (first, second) == (Step(replayed=1), None)


async def test_two_processes_that_count_at_once_count_once(store: Store) -> None:
    await dead(store, "t-1")
    replay = await begun(store)

    async with store.another_process() as other:
        results = [await count_slice(store, replay), await count_slice(other, replay)]

    assert [result is None for result in results] == [False, True]
    assert (await read(store, replay)).matching == 1
    assert (await parts(store, replay))[HOOK].matching == 1


async def test_a_step_that_breaks_off_has_done_nothing(store: Store) -> None:
    registration = await dead(store, "t-1")
    replay = await counted(store)

    def breaks_off(connection: Connection) -> None:
        replaying.step(connection, replay.id, store.now)
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(breaks_off)

    assert await states(store, registration) == ["dead"]
    assert (await read(store, replay)).replayed == 0
    assert await steps(store, replay) == 1


async def test_steps_get_along_with_everything_else_that_touches_their_rows(postgres: Store) -> None:
    made = [await dead(postgres, f"t-{number}") for number in range(60)]
    await asyncio.gather(*(counted(postgres) for _ in range(3)))
    open_ = await postgres.database.read(replays.find_open, ["shop"])

    async def step_all(store: Store) -> None:
        for replay in open_:
            await step(store, replay)

    async def meddle(store: Store) -> None:
        for registration in reversed(made):
            with suppress(NotFound):  # pruned a moment ago
                await store.redeliver(registration.id)
        claim = await store.claim_deliveries()
        ways = ((Accepted(http_status=200), None), (Rejected(http_status=410), GONE))
        await store.record_attempts(
            *(store.tried(row, *ways[place % 2]) for place, row in enumerate(claim.rows))
        )

    async def cancel(store: Store) -> None:
        for registration in made[::7]:
            with suppress(NotFound):
                await store.cancel(registration.id)

    async def prune(store: Store) -> None:
        await store.write(retention.prune, RegistrationState.DEAD, Instant(store.now + 1), 20)

    async with postgres.another_process() as other:
        await asyncio.gather(
            step_all(postgres), step_all(other), meddle(other), cancel(postgres), prune(other)
        )
    await postgres.database.close()
    deadlocks = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    async with postgres.another_process() as last:
        found = await last.database.read(lambda connection: connection.scalar(deadlocks))

    assert found == 0
