"""Requests that wait: for an event, for a registration's end; they are answered as soon as there is one, or the time is over."""

import asyncio
from typing import Any

import httpx
import orjson
import pytest

from relay.ports import create_app
from relay.services import notify
from tests.api.listening import listening
from tests.api.problems import problem, rules
from tests.relays import HOOK, SUCCESS, TOKEN, RelayInHand


def asking(relay: RelayInHand, path: str) -> "asyncio.Task[httpx.Response]":
    return asyncio.create_task(relay.api.get(path), name="server of one who waits")


async def at_work(relay: RelayInHand) -> None:
    """Somebody waits."""
    async with asyncio.timeout(5):
        while not relay.relay.notifier.waiting:  # noqa: ASYNC110 - nobody is told of it
            await asyncio.sleep(0.01)


async def registered(relay: RelayInHand, task_id: str = "task-1") -> str:
    answer = await relay.api.post("/v1/registrations", json={"task_id": task_id})
    await relay.settle()
    id_: str = answer.json()["id"]
    return id_


async def test_who_waits_for_events_is_answered_when_there_is_one(relay: RelayInHand) -> None:
    waiting = asking(relay, "/v1/events?wait=30")
    await at_work(relay)
    relay.world.task("task-1", SUCCESS)

    id_ = await registered(relay)

    answer = await waiting
    assert [item["registration_id"] for item in answer.json()["data"]] == [id_]
    assert answer.json()["next_cursor"] == answer.json()["data"][0]["cursor"]


async def test_who_waits_behind_the_latest_is_answered_with_what_comes_then(relay: RelayInHand) -> None:
    relay.world.everything_asked.answers = [SUCCESS]
    await registered(relay, "before")
    waiting = asking(relay, "/v1/events?after=latest&wait=30")
    await at_work(relay)

    id_ = await registered(relay, "then")

    assert [item["registration_id"] for item in (await waiting).json()["data"]] == [id_]


async def test_an_event_that_is_there_is_not_waited_for(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    await registered(relay)

    answer = await relay.api.get("/v1/events?wait=30")

    assert len(answer.json()["data"]) == 1
    assert not relay.relay.notifier.waiting


async def test_others_events_wake_nobody_and_once_the_time_is_over_there_is_none(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    waiting = asyncio.create_task(relay.other.get("/v1/events?wait=1"), name="server of one who waits")
    await at_work(relay)
    await registered(relay)

    answer = await waiting

    assert (answer.status_code, answer.json()["data"]) == (200, [])


async def test_a_registration_is_answered_when_it_watches_no_more(relay: RelayInHand) -> None:
    id_ = await registered(relay)
    waiting = asking(relay, f"/v1/registrations/{id_}?wait=30")
    await at_work(relay)
    relay.world.task("task-1", SUCCESS)

    await relay.pass_time(5)

    assert (await waiting).json()["state"] == "available"


async def test_a_registration_that_is_cancelled_is_answered_at_once(relay: RelayInHand) -> None:
    id_ = await registered(relay)
    waiting = asking(relay, f"/v1/registrations/{id_}?wait=30")
    await at_work(relay)

    await relay.api.post(f"/v1/registrations/{id_}/cancel")

    assert (await waiting).json()["state"] == "cancelled"


async def test_a_registration_that_goes_on_is_answered_once_the_time_is_over(relay: RelayInHand) -> None:
    id_ = await registered(relay)

    answer = await relay.api.get(f"/v1/registrations/{id_}?wait=1")

    assert answer.json()["state"] == "watching"


async def test_what_has_ended_is_not_waited_for(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    id_ = await relay.register("task-1", HOOK)

    answer = await relay.api.get(f"/v1/registrations/{id_}?wait=30")

    assert answer.json()["state"] == "delivered"


async def test_whoever_waits_is_answered_when_the_relay_stops(relay: RelayInHand) -> None:
    id_ = await registered(relay)
    waiting = [asking(relay, "/v1/events?wait=30"), asking(relay, f"/v1/registrations/{id_}?wait=30")]
    await at_work(relay)
    await asyncio.sleep(0.05)

    relay.relay.begin_drain()
    answers = [await each for each in waiting]
    late = await relay.api.get("/v1/events?wait=30")

    assert [answer.status_code for answer in (*answers, late)] == [200] * 3


@pytest.mark.parametrize("wait", ["-1", "31", "1.5", "x"])
async def test_it_is_waited_within_bounds(relay: RelayInHand, wait: str) -> None:
    id_ = await registered(relay)

    for path in ("/v1/events", f"/v1/registrations/{id_}"):
        assert set(rules(await relay.api.get(f"{path}?wait={wait}"))) == {"wait"}


async def test_a_client_has_only_so_many_requests_that_wait(relay: RelayInHand) -> None:
    waiting = [asking(relay, "/v1/events?wait=30") for _ in range(notify.MOST_OF_A_CLIENT)]
    async with asyncio.timeout(20):
        while relay.relay.notifier.waiting < notify.MOST_OF_A_CLIENT:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.01)

    refused = await relay.api.get("/v1/events?wait=30")
    others = await relay.other.get("/v1/events?wait=1")
    at_once = await relay.api.get("/v1/events")
    relay.relay.begin_drain()
    answers = [await each for each in waiting]

    document = problem(refused, 429)
    assert (document["retry_after"], refused.headers["retry-after"]) == (5, "5")
    assert {answer.status_code for answer in (*answers, others, at_once)} == {200}


@pytest.mark.parametrize("path", ["/v1/events", "registration"])
async def test_whoever_leaves_waits_no_more(relay: RelayInHand, path: str) -> None:
    path = f"/v1/registrations/{await registered(relay)}" if path == "registration" else path
    app, left = create_app(relay.relay), asyncio.Event()
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:  # noqa: ANN401 - as ASGI has it
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"wait=30",
        "headers": [(b"authorization", f"Bearer {TOKEN}".encode())],
    }
    running = asyncio.create_task(app(scope, receive, send), name="server of one who leaves")
    await at_work(relay)

    left.set()
    async with asyncio.timeout(5):
        await running

    assert not relay.relay.notifier.waiting
    assert sent[0]["status"] == 499


async def test_a_body_that_nobody_asked_for_is_no_leaving(relay: RelayInHand) -> None:
    async with listening(create_app(relay.relay), TOKEN, "wait=1", path="/v1/events") as listener:
        body = orjson.loads(await listener.body())

    assert body["data"] == []
