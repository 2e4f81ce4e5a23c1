"""A CAMB key's budget and pauses: shared by all clients on it, whatever their tasks are."""

from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from relay.settings import Settings
from tests.relays import (
    CAMB_KEY,
    HOOK,
    PENDING,
    SUCCESS,
    TOKEN,
    Held,
    RelayInHand,
    client_section,
    open_relay,
    settings_for,
    sqlite_url,
)

UNAUTHORIZED = httpx.Response(401, json={"error": "bad key", "status": 401})
FORBIDDEN = httpx.Response(403)


async def register_for_both(relay: RelayInHand) -> None:
    await relay.register("mine", expires_in=200_000)
    await relay.other.post(
        "/v1/registrations", json={"task_id": "theirs", "callback_url": HOOK, "expires_in": 200_000}
    )
    await relay.settle()


@pytest.mark.parametrize("answer", [UNAUTHORIZED, FORBIDDEN])
async def test_a_bad_key_slows_its_polls_and_fails_nobodys_task(
    relay: RelayInHand, answer: httpx.Response
) -> None:
    tasks = [relay.world.task(task_id, answer) for task_id in ("task-1", "task-2")]
    registration = await relay.register("task-1")
    await relay.register("task-2")

    for _ in range(300):
        await relay.pass_time(1)

    resource = await relay.read(registration)
    assert resource["state"] == "watching"
    assert resource["task"]["last_poll"]["result"] == "unauthorized"
    assert sum(len(task.requests) for task in tasks) == 1 + 5
    assert relay.world.everything_sent.requests == []


async def test_a_key_that_is_put_right_is_found_out_within_a_minute(relay: RelayInHand) -> None:
    relay.world.task("task-1", UNAUTHORIZED, SUCCESS)
    registration = await relay.register()
    await relay.pass_time(59.9)
    before = (await relay.read(registration))["state"]

    await relay.pass_time(0.2)

    assert before == "watching"
    assert (await relay.read(registration))["state"] == "delivered"
    assert relay.metric("relay_lane_pauses_total", of="key") == 1


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        (httpx.Response(429), 1),
        (httpx.Response(503), 1),
        (httpx.Response(429, headers={"retry-after": "7"}), 7),
        (httpx.Response(503, headers={"retry-after": "Wed, 18 Nov 2026 11:07:10 GMT"}), 30),
        (httpx.Response(429, headers={"retry-after": "soon"}), 1),
        (httpx.Response(429, headers={"retry-after": "-5"}), 1),
        (httpx.Response(429, headers={"retry-after": str(10**9)}), 86_400),
        (httpx.ConnectError("down"), 1),
    ],
)
async def test_trouble_upstream_pauses_the_key_for_every_client_on_it(
    relay: RelayInHand, answer: httpx.Response | Exception, pause: float
) -> None:
    relay.world.task("mine", answer, PENDING)
    theirs = relay.world.task("theirs", PENDING)

    await register_for_both(relay)
    at_once = len(theirs.requests)
    await relay.pass_time(pause - 0.1)
    meanwhile = len(theirs.requests)
    await relay.pass_time(0.2)
    await relay.pass_time(0.1)

    assert (at_once, meanwhile, len(theirs.requests)) == (0, 0, 1)


async def test_a_key_of_another_client_is_not_paused(tmp_path: Path) -> None:
    clients = {
        "default": client_section(TOKEN),
        "apart": {**client_section("token-of-apart"), "camb_api_key": "another-key"},
    }
    async with open_relay(settings_for(sqlite_url(tmp_path), clients=clients)) as relay:
        relay.world.task("mine", httpx.Response(429, headers={"retry-after": "600"}))
        theirs = relay.world.task("theirs", SUCCESS)
        await relay.register("mine")

        answer = await relay.api.post(
            "/v1/registrations",
            json={"task_id": "theirs", "callback_url": HOOK},
            headers={"authorization": "Bearer token-of-apart"},
        )
        await relay.settle()

    assert answer.status_code == 201
    assert len(theirs.requests) == 1
    assert theirs.requests[0].headers["x-api-key"] != CAMB_KEY


async def test_pauses_double_up_to_a_minute_and_an_answer_ends_them(relay: RelayInHand) -> None:
    task = relay.world.task("task-1", *[httpx.Response(500)] * 9, PENDING)
    await relay.register()
    while len(task.requests) < 10:
        await relay.pass_time(1)
    await relay.pass_time(30)

    seconds = [(later - earlier) / 1e6 for earlier, later in pairwise(task.at)]
    assert seconds[3:9] == [8, 16, 32, 60, 60, 60]
    assert len(task.requests) == 11


async def test_a_paused_key_is_tried_with_one_request(relay: RelayInHand) -> None:
    held = Held(httpx.Response(503))
    tasks = [relay.world.task(f"task-{number}", held, httpx.Response(503)) for number in range(5)]
    items = [{"task_id": f"task-{number}", "callback_url": HOOK} for number in range(5)]
    await relay.api.post("/v1/registrations/batch", json={"registrations": items})
    await held.asked.wait()
    relay.hands.advance(0.5)
    held.go.set()
    await relay.settle()
    counts = [sum(len(task.requests) for task in tasks)]

    for seconds in (0.9, 0.2, 1, 1.9, 0.2):
        await relay.pass_time(seconds)
        counts.append(sum(len(task.requests) for task in tasks))

    assert counts == [5, 5, 5, 6, 6, 7]


async def test_polls_keep_to_the_keys_rate(tmp_path: Path) -> None:
    async with open_relay(settings_for(sqlite_url(tmp_path), camb={"rate_per_second": 10})) as relay:
        items = [{"task_id": f"task-{number}", "callback_url": HOOK} for number in range(25)]
        await relay.api.post("/v1/registrations/batch", json={"registrations": items})
        await relay.settle()
        asked = relay.world.everything_asked.requests
        counts = [len(asked)]
        for _ in range(4):
            await relay.pass_time(0.5)
            counts.append(len(asked))

    assert counts == [10, 15, 20, 25, 30]


async def test_the_log_and_the_metrics_say_when_polls_queue(tmp_path: Path) -> None:
    async with open_relay(settings_for(sqlite_url(tmp_path), camb={"rate_per_second": 1})) as relay:
        items = [{"task_id": f"task-{number}", "callback_url": HOOK} for number in range(20)]
        await relay.api.post("/v1/registrations/batch", json={"registrations": items})
        await relay.settle()
        relay.hands.advance(11)

        with capture_logs() as logs:
            await relay.relay.measuring.run_once()

        due = relay.metric("relay_due", queue="tasks")
        age = relay.metric("relay_due_oldest_age_seconds", queue="tasks")

    assert [(line["event"], line["log_level"]) for line in logs] == [("polls.behind", "warning")]
    assert (due, age) == (20, 11)


async def test_no_more_requests_of_a_key_are_open_at_once_than_may_be(relay: RelayInHand) -> None:
    held = Held(SUCCESS)
    relay.world.everything_asked.answers[:] = [held]
    items = [{"task_id": f"task-{number}", "callback_url": HOOK} for number in range(40)]
    await relay.api.post("/v1/registrations/batch", json={"registrations": items})
    await held.asked.wait()
    for _ in range(3):
        await relay.relay.polling.run_once()
    at_once = len(relay.world.everything_asked.requests)

    held.go.set()
    await relay.settle()
    await relay.tick()

    assert at_once == Settings().camb.concurrency
    assert len(relay.world.everything_asked.requests) == 40
