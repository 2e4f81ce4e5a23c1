from typing import Any

import httpx
import orjson
import pytest
from structlog.testing import capture_logs

from tests.relays import HOOK, PENDING, SUCCESS, RelayInHand

NOT_FOUND = httpx.Response(404, json={"detail": "no such task"})
UNAUTHORIZED = httpx.Response(401)


def told(relay: RelayInHand) -> list[dict[str, Any]]:
    return [orjson.loads(request.content) for request in relay.world.everything_sent.requests]


async def walk(relay: RelayInHand, seconds: int, step: int = 1) -> None:
    for _ in range(0, seconds, step):
        await relay.pass_time(step)


async def test_a_registration_expires_on_a_poll_begun_after_its_time(relay: RelayInHand) -> None:
    task = relay.world.task("task-1", PENDING)
    registration = await relay.register(expires_in=60)
    await walk(relay, 59)
    before = len(task.requests)

    await relay.pass_time(1)
    await relay.pass_time(0)

    (document,) = told(relay)
    resource = await relay.read(registration)
    assert len(task.requests) == before + 1
    assert resource["state"] == "delivered"
    assert resource["event"]["type"] == document["type"] == "registration.expired"
    assert document["timestamp"] == "2026-11-18T11:07:40.000Z"
    assert document["data"]["status"] is None
    assert document["data"]["message"] == "the registration expired before CAMB reported an end of the task"
    assert document["data"]["payload"] == {"status": "PENDING"}
    assert document["data"]["first_seen_terminal_at"] is None


async def test_a_task_that_ends_on_that_very_poll_is_told_as_ended(relay: RelayInHand) -> None:
    relay.world.task("task-1", PENDING, SUCCESS)
    await relay.register(expires_in=5)
    relay.hands.advance(5)
    await relay.relay.expiring.run_once()
    await relay.settle()

    assert [document["type"] for document in told(relay)] == ["task.succeeded"]


async def test_an_expiry_is_no_end_of_the_task_for_the_others(relay: RelayInHand) -> None:
    relay.world.task("task-1", *[PENDING] * 5, SUCCESS)
    short = await relay.register("task-1", HOOK + "/short", expires_in=5)
    long = await relay.register("task-1", HOOK + "/long")
    await walk(relay, 6)

    meanwhile = await relay.read(long)
    await walk(relay, 10)

    assert (await relay.read(short))["event"]["type"] == "registration.expired"
    assert meanwhile["state"] == "watching"
    assert (await relay.read(long))["event"]["type"] == "task.succeeded"


async def test_a_task_whose_last_registration_expired_is_polled_no_more(relay: RelayInHand) -> None:
    task = relay.world.task("task-1", PENDING)
    registration = await relay.register(expires_in=5)
    await walk(relay, 6)
    polls = len(task.requests)

    await walk(relay, 600, 60)

    assert (await relay.read(registration))["task"]["state"] == "idle"
    assert len(task.requests) == polls


async def test_where_no_poll_can_be_made_the_verdict_falls_two_minutes_late(relay: RelayInHand) -> None:
    relay.world.task("task-1", UNAUTHORIZED)
    registration = await relay.register(expires_in=60)
    await walk(relay, 170, 10)
    await walk(relay, 9)
    before = (await relay.read(registration))["state"]

    await walk(relay, 1)

    (document,) = told(relay)
    assert before == "watching"
    assert document["type"] == "registration.expired"
    assert document["data"]["payload"] is None
    assert relay.metric("relay_events_total", type="registration.expired") == 1


async def test_a_404_counts_as_a_poll_for_an_expiry(relay: RelayInHand) -> None:
    relay.world.task("task-1", NOT_FOUND)
    await relay.register(expires_in=5)

    await walk(relay, 6)

    assert [document["type"] for document in told(relay)] == ["registration.expired"]


async def test_the_same_registration_after_an_expiry_is_a_new_one(relay: RelayInHand) -> None:
    relay.world.task("task-1", PENDING)
    first = await relay.register(expires_in=5)
    await walk(relay, 6)

    second = await relay.register(expires_in=5)

    assert second != first
    assert (await relay.read(second))["state"] == "watching"


async def test_more_than_one_roundful_expires_at_once(relay: RelayInHand) -> None:
    items = [
        {"task_id": "task-1", "callback_url": f"{HOOK}/{number}", "expires_in": 5} for number in range(600)
    ]
    await relay.api.post("/v1/registrations/batch", json={"registrations": items})
    await relay.settle()

    await relay.pass_time(5)

    assert [document["type"] for document in told(relay)] == ["registration.expired"] * 600


async def test_a_task_that_camb_does_not_know_is_lost_after_three_404s_and_the_grace(
    relay: RelayInHand,
) -> None:
    relay.world.task("task-1", NOT_FOUND, route="dub")
    registration = await relay.register(kind="dub")
    await walk(relay, 590, 10)
    before = (await relay.read(registration))["state"]

    await walk(relay, 70, 10)

    (document,) = told(relay)
    assert before == "watching"
    assert document["type"] == "task.lost"
    assert document["data"]["status"] is None
    assert document["data"]["message"] == "not found under kind dub; was it another kind?"
    assert relay.metric("relay_events_total", type="task.lost") == 1


async def test_an_early_404_is_no_loss(relay: RelayInHand) -> None:
    relay.world.task("task-1", NOT_FOUND, NOT_FOUND, NOT_FOUND, NOT_FOUND, SUCCESS)
    registration = await relay.register()

    await walk(relay, 10)

    assert (await relay.read(registration))["event"]["type"] == "task.succeeded"


async def test_the_grace_begins_anew_with_every_other_answer(relay: RelayInHand) -> None:
    task = relay.world.task("task-1", *[NOT_FOUND] * 20, PENDING, NOT_FOUND)
    registration = await relay.register()
    while len(task.requests) < 22:
        await relay.pass_to_next("tasks")

    await walk(relay, 570, 10)
    before = (await relay.read(registration))["state"]
    await walk(relay, 60, 10)

    assert before == "watching"
    assert (await relay.read(registration))["event"]["type"] == "task.lost"


async def test_who_registers_late_on_a_missing_task_has_a_grace_of_its_own(relay: RelayInHand) -> None:
    relay.world.task("task-1", NOT_FOUND)
    first = await relay.register("task-1", HOOK + "/first")
    await walk(relay, 300, 10)
    second = await relay.register("task-1", HOOK + "/second")
    await walk(relay, 340, 10)

    between = [(await relay.read(id_))["state"] for id_ in (first, second)]
    await walk(relay, 300, 10)

    assert between == ["delivered", "watching"]
    assert (await relay.read(second))["event"]["type"] == "task.lost"


@pytest.mark.parametrize("direction", [1, -1])
async def test_a_jump_of_the_clock_halts_expiry_and_pruning_until_it_is_undone(
    relay: RelayInHand, direction: int
) -> None:
    relay.world.task("ended", SUCCESS)
    finished = await relay.register("ended")
    expiring = await relay.register("task-1", expires_in=30)
    relay.hands.jump(direction * 60 * 86_400)

    with capture_logs() as logs:
        await walk(relay, 300, 10)
        await relay.relay.pruning.run_once()
    halted = relay.metric("relay_clock_halted")
    states = [(await relay.read(id_))["state"] for id_ in (finished, expiring)]
    relay.hands.jump(-direction * 60 * 86_400)
    with capture_logs() as later:
        await walk(relay, 10)

    assert halted == 1
    assert states == ["delivered", "watching"]
    assert [line["event"] for line in logs] == ["clock.halted"]
    assert logs[0]["skew_seconds"] == pytest.approx(direction * 60 * 86_400)
    assert "clock.believed_again" in [line["event"] for line in later]
    assert relay.metric("relay_clock_halted") == 0
    assert (await relay.read(expiring))["event"]["type"] == "registration.expired"


async def test_a_step_of_the_clock_below_an_hour_is_followed(relay: RelayInHand) -> None:
    before = relay.relay.clock.now()

    relay.hands.jump(3_000)
    await relay.relay.probing.run_once()

    assert relay.relay.clock.now() - before == 3_000 * 1_000_000
    assert relay.metric("relay_clock_skew_seconds") == 3_000
