from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from relay.domain.instants import SECOND, Instant
from tests.relays import (
    HOOK,
    PENDING,
    SUCCESS,
    Held,
    RelayInHand,
    open_relay,
    settings_for,
    sqlite_url,
)


def waits(at: Sequence[Instant]) -> list[float]:
    return [(later - earlier) / SECOND for earlier, later in pairwise(at)]


async def test_a_task_is_polled_at_once(relay: RelayInHand) -> None:
    task = relay.world.task("task-1", PENDING)

    await relay.register()

    assert task.at == [relay.relay.clock.now()]


async def test_the_wait_grows_with_the_tasks_age_between_its_bounds(relay: RelayInHand) -> None:
    task = relay.world.task("task-1", PENDING)
    await relay.register()

    for _ in range(45):
        await relay.pass_to_next("tasks")

    assert waits(task.at)[:11] == [2] * 11
    assert waits(task.at)[11:14] == pytest.approx([2.2, 2.42, 2.662])
    assert waits(task.at)[-3:] == [30, 30, 30]


async def test_a_slow_kind_is_polled_less_often_in_the_end(relay: RelayInHand) -> None:
    task = relay.world.task("task-1", PENDING, route="dub")
    await relay.register(kind="dub")

    for _ in range(50):
        await relay.pass_to_next("tasks")

    assert waits(task.at)[-1] == 60


async def test_the_waits_are_spread(tmp_path: Path) -> None:
    settings = settings_for(sqlite_url(tmp_path), polling={"jitter": 0.1, "max_pace": "PT10S"})
    async with open_relay(settings) as relay:
        tasks = [relay.world.task(f"task-{number}", PENDING) for number in range(20)]
        for number in range(20):
            await relay.register(f"task-{number}")
        while any(len(task.at) < 2 for task in tasks):
            await relay.pass_to_next("tasks")

        first_waits = {waits(task.at)[0] for task in tasks}

    assert len(first_waits) > 10
    assert 1.8 <= min(first_waits) < 2 < max(first_waits) <= 2.2


async def test_registrations_of_one_task_share_its_polls(relay: RelayInHand) -> None:
    task = relay.world.task("task-1", PENDING, PENDING, SUCCESS)
    hooks = [f"{HOOK}/{number}" for number in range(3)]
    for hook in hooks:
        await relay.register("task-1", hook)
    for _ in range(4):
        await relay.pass_time(2)

    listed = (await relay.api.get("/v1/registrations")).json()["data"]

    assert len(task.requests) == 3
    assert {item["state"] for item in listed} == {"delivered"}
    assert sorted(str(request.url) for request in relay.world.everything_sent.requests) == hooks
    assert relay.metric("relay_polls_saved_total") == 2 * 3


async def test_the_task_of_two_clients_is_polled_for_each(relay: RelayInHand) -> None:
    task = relay.world.task("task-1", PENDING)

    await relay.register()
    await relay.other.post("/v1/registrations", json={"task_id": "task-1", "callback_url": HOOK})
    await relay.settle()

    assert len(task.requests) == 2


async def test_a_task_nobody_watches_is_not_polled_and_the_next_registration_revives_it(
    relay: RelayInHand,
) -> None:
    task = relay.world.task("task-1", PENDING)
    registration = await relay.register()
    await relay.api.post(f"/v1/registrations/{registration}/cancel")
    await relay.pass_time(3_600)
    unwatched = len(task.requests)

    await relay.register()
    await relay.pass_time(2)

    assert unwatched == 1
    assert len(task.requests) == 3


async def test_no_task_is_asked_about_twice_at_once(relay: RelayInHand) -> None:
    held = Held(SUCCESS)
    task = relay.world.task("task-1", held)
    await relay.api.post("/v1/registrations", json={"task_id": "task-1", "callback_url": HOOK})
    await held.asked.wait()

    for _ in range(3):
        relay.hands.advance(3)
        await relay.relay.polling.run_once()
    held.go.set()
    await relay.settle()

    assert len(task.requests) == 1


async def test_an_answer_that_never_came_is_asked_for_again_after_its_lease(relay: RelayInHand) -> None:
    held = Held(PENDING)
    task = relay.world.task("task-1", held, SUCCESS)
    await relay.api.post("/v1/registrations", json={"task_id": "task-1", "callback_url": HOOK})
    await held.asked.wait()

    relay.hands.advance(10 + 15)
    await relay.relay.polling.run_once()
    held.go.set()
    await relay.settle()

    (item,) = (await relay.api.get("/v1/registrations")).json()["data"]
    assert len(task.requests) == 2
    assert (item["state"], item["task"]["polls"]) == ("delivered", 1)


async def test_the_key_goes_to_camb_and_nowhere_else(relay: RelayInHand) -> None:
    task = relay.world.task("task-1", SUCCESS)

    await relay.register()

    (asked,), (sent,) = task.requests, relay.world.everything_sent.requests
    assert asked.headers["x-api-key"] == "camb-key-of-both"
    assert "camb-key-of-both" not in repr(sent.headers.raw) + repr(sent.content)


@pytest.mark.parametrize(
    ("settings", "most"), [({"concurrency": 2}, 2), ({"quantum": 3, "concurrency": 100}, 10)]
)
async def test_no_more_is_asked_at_once_than_allowed(
    tmp_path: Path, settings: dict[str, int], most: int
) -> None:
    async with open_relay(settings_for(sqlite_url(tmp_path), polling=settings)) as relay:
        held = Held(SUCCESS)
        tasks = [relay.world.task(f"task-{number}", held) for number in range(10)]
        items = [{"task_id": f"task-{number}", "callback_url": HOOK} for number in range(10)]
        await relay.api.post("/v1/registrations/batch", json={"registrations": items})
        await held.asked.wait()
        await relay.relay.polling.run_once()
        at_once = sum(len(task.requests) for task in tasks)

        held.go.set()
        await relay.settle()
        in_all = sum(len(task.requests) for task in tasks)

    assert at_once == most
    assert in_all == 10
