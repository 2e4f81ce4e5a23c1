"""Leases, drains and wakes: what is claimed is sent at once or given back, and a stop cuts nothing off that it can wait for."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
from structlog.testing import capture_logs

from relay.services.work import Work
from tests.relays import (
    HOOK,
    OK,
    PENDING,
    SUCCESS,
    HandClock,
    Held,
    RelayInHand,
    World,
    open_relay,
    settings_for,
    sqlite_url,
)

BODY = {"task_id": "task-1", "callback_url": HOOK}


async def due_rows(relay: RelayInHand, queue: str) -> list[tuple[object, ...]]:
    return await relay.execute(f"SELECT next_at, leased_until FROM {queue} WHERE next_at IS NOT NULL")  # noqa: S608 - our own tables


async def claim_too_late(relay: RelayInHand, work: Work[Any], folder: Path) -> None:
    """The claim's answer is there only when less than a whole deadline of its lease is left."""
    with held_up(folder):
        claiming = asyncio.create_task(work.run_once())
        await asyncio.sleep(0)  # it has read the clock and waits for the database
        relay.hands.advance(15.1)
    await claiming
    await relay.settle()


async def test_a_claimed_poll_that_cannot_start_with_its_whole_deadline_left_is_given_back_unsent(
    relay: RelayInHand, tmp_path: Path
) -> None:
    task = relay.world.task("task-1", PENDING)
    await relay.register()
    relay.hands.advance(2)

    await claim_too_late(relay, relay.relay.polling, tmp_path)
    given_back = await due_rows(relay, "tasks")
    polls = len(task.requests)
    await relay.tick()

    assert polls == 1
    assert given_back == [(relay.relay.clock.now(), None)]
    assert len(task.requests) == 2


async def test_a_claimed_delivery_that_cannot_start_with_its_whole_deadline_left_is_given_back_unsent(
    relay: RelayInHand, tmp_path: Path
) -> None:
    relay.world.task("task-1", SUCCESS)
    hook = relay.world.hook(HOOK, httpx.Response(500), OK)
    registration = await relay.register()
    relay.hands.advance(5)

    await claim_too_late(relay, relay.relay.delivering, tmp_path)
    given_back = await due_rows(relay, "deliveries")
    attempts = len(hook.requests)
    await relay.tick()

    assert attempts == 1
    assert given_back == [(relay.relay.clock.now(), None)]
    assert (await relay.read(registration))["delivery"]["attempts"] == 2


async def test_a_drain_waits_for_what_is_in_flight_and_records_it(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    held = Held(OK)
    relay.world.hook(HOOK, held)
    answer = await relay.api.post("/v1/registrations", json=BODY)
    await held.asked.wait()

    draining = asyncio.create_task(relay.relay.drain())
    await asyncio.sleep(0)
    unfinished = not draining.done()
    held.go.set()
    await draining

    assert unfinished
    assert (await relay.read(answer.json()["id"]))["state"] == "delivered"


async def test_nothing_is_claimed_once_a_drain_has_begun(relay: RelayInHand) -> None:
    relay.relay.begin_drain()

    accepted = await relay.api.post("/v1/registrations", json=BODY)
    await relay.pass_time(60)

    assert accepted.status_code == 201
    assert relay.world.everything_asked.requests == []


async def test_a_drain_gives_back_what_was_claimed_and_never_dialled(
    relay: RelayInHand, tmp_path: Path
) -> None:
    relay.world.task("task-1", SUCCESS)
    hook = relay.world.hook(HOOK, httpx.Response(500), OK)
    other = relay.world.task("task-2", PENDING)
    await relay.register()
    await relay.register("task-2")
    relay.hands.advance(5)

    with held_up(tmp_path):
        claiming = [
            asyncio.create_task(work.run_once()) for work in (relay.relay.polling, relay.relay.delivering)
        ]
        await asyncio.sleep(0)
        relay.relay.begin_drain()
    await asyncio.gather(*claiming)
    await relay.relay.drain()

    assert (len(hook.requests), len(other.requests)) == (1, 1)
    for queue in ("tasks", "deliveries"):
        assert await due_rows(relay, queue) == [(relay.relay.clock.now(), None)]


async def test_a_drain_ends_in_time_and_what_it_cut_off_is_sent_again_by_the_next_process(
    tmp_path: Path,
) -> None:
    hands = HandClock()
    world = World(hands.clock.now)
    world.task("task-1", SUCCESS)
    never = Held(OK)
    hook = world.hook(HOOK, never, OK)
    settings = settings_for(sqlite_url(tmp_path))
    with capture_logs() as logs:
        async with open_relay(settings, hands=hands, world=world) as relay:
            answer = await relay.api.post("/v1/registrations", json=BODY)
            await never.asked.wait()
            relay.relay.begin_drain()
            hands.advance(20)

    async with open_relay(settings, hands=hands, world=world) as relay:
        await relay.tick()
        state = (await relay.read(answer.json()["id"]))["state"]

    assert [line["requests"] for line in logs if line["event"] == "drain.cut_off"] == [1]
    assert state == "delivered"
    assert len(hook.requests) == 2


async def test_a_drain_that_is_cut_short_waits_for_nothing_and_the_next_process_sends_again(
    tmp_path: Path,
) -> None:
    hands = HandClock()
    world = World(hands.clock.now)
    world.task("task-1", SUCCESS)
    never, unanswered = Held(OK), Held(SUCCESS)
    world.task("task-2", unanswered, SUCCESS)
    hook = world.hook(HOOK, never, OK)
    settings = settings_for(sqlite_url(tmp_path))
    with capture_logs() as logs:
        async with open_relay(settings, hands=hands, world=world) as relay:
            first = await relay.api.post("/v1/registrations", json=BODY)
            await never.asked.wait()
            second = await relay.api.post("/v1/registrations", json={**BODY, "task_id": "task-2"})
            await unanswered.asked.wait()
            draining = asyncio.create_task(relay.relay.drain())
            await asyncio.sleep(0)
            relay.relay.cut_short()
            await draining

    async with open_relay(settings, hands=hands, world=world) as relay:
        await relay.tick()
        seen = [await relay.read(answer.json()["id"]) for answer in (first, second)]

    cut_off = {line["queue"] for line in logs if line["event"] == "drain.cut_off"}
    assert cut_off == {"tasks", "deliveries"}
    assert [registration["state"] for registration in seen] == ["delivered", "delivered"]
    assert [registration["delivery"]["attempts"] for registration in seen] == [1, 1]
    assert len(hook.requests) == 3


async def test_a_drain_that_is_cut_short_tells_only_of_what_was_under_way(tmp_path: Path) -> None:
    hands = HandClock()
    world = World(hands.clock.now)
    unanswered = Held(SUCCESS)
    world.task("task-1", unanswered)
    with capture_logs() as logs:
        async with open_relay(settings_for(sqlite_url(tmp_path)), hands=hands, world=world) as relay:
            await relay.api.post("/v1/registrations", json=BODY)
            await unanswered.asked.wait()
            draining = asyncio.create_task(relay.relay.drain())
            await asyncio.sleep(0)
            relay.relay.cut_short()
            await draining

    cut_off = [(line["queue"], line["requests"]) for line in logs if line["event"] == "drain.cut_off"]
    assert cut_off == [("tasks", 1)]


async def test_wakes_while_one_is_under_way_become_one(relay: RelayInHand, tmp_path: Path) -> None:
    before = asyncio.all_tasks()

    with held_up(tmp_path):
        for _ in range(100):
            relay.relay.polling.wake()
        waking = asyncio.all_tasks() - before
        await asyncio.sleep(0)
        for _ in range(100):
            relay.relay.polling.wake()
        waking_again = asyncio.all_tasks() - before - waking
    await relay.settle()

    assert (len(waking), len(waking_again)) == (1, 1)


async def test_a_wake_after_a_stop_starts_nothing(relay: RelayInHand) -> None:
    relay.relay.begin_drain()
    before = asyncio.all_tasks()

    relay.relay.polling.wake()

    assert asyncio.all_tasks() == before


@contextmanager
def held_up(folder: Path) -> Iterator[None]:
    """Another connection holds the database's write lock."""
    with closing(sqlite3.connect(folder / "relay.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.rollback()
