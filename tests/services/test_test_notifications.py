import asyncio
from pathlib import Path

import httpx
import orjson
import pytest

from relay.services.deliver import MOST_TESTS
from relay.transport import BlockedAddress
from tests.api.problems import problem
from tests.relays import (
    FAILING,
    HOOK,
    OK,
    SUCCESS,
    Answer,
    Held,
    RelayInHand,
    open_relay,
    settings_for,
    sqlite_url,
)


async def test_a_test_notification_is_signed_and_answered_with_its_attempt(relay: RelayInHand) -> None:
    hook = relay.world.hook(HOOK, httpx.Response(202, text="thanks"))

    answer = await relay.api.post("/v1/test", json={"callback_url": HOOK})

    document = answer.json()
    (request,) = hook.requests
    body = orjson.loads(request.content)
    assert answer.status_code == 200
    assert document["attempt"] == {
        "number": 1,
        "at": "2026-11-18T11:06:40.000Z",
        "duration_ms": 0.0,
        "outcome": "accepted",
        "http_status": 202,
        "error": None,
        "answer": "thanks",
    }
    assert document["event_id"] == request.headers["webhook-id"]
    assert request.headers["webhook-signature"].startswith("v1,")
    assert request.headers["relay-event-type"] == body["type"] == "relay.test"
    assert set(body["data"].values()) == {None, "This is a test; no task stands behind it."}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (FAILING, "rejected"),
        (httpx.Response(429, headers={"retry-after": "60"}), "rejected"),
        (httpx.ReadTimeout("slow"), "timeout"),
        (BlockedAddress("callbacks may not lead to private addresses", final=False), "blocked"),
    ],
)
async def test_a_test_has_one_try_is_stored_nowhere_and_pauses_nothing(
    relay: RelayInHand, answer: Answer, outcome: str
) -> None:
    hook = relay.world.hook(HOOK, answer)
    before = await relay.stored()

    told = await relay.api.post("/v1/test", json={"callback_url": HOOK})
    await relay.pass_time(3_600)

    assert told.json()["attempt"]["outcome"] == outcome
    assert len(hook.requests) == 1
    assert await relay.stored() == before


async def test_a_test_takes_a_slot_of_its_origin_and_gives_it_back(tmp_path: Path) -> None:
    settings = settings_for(sqlite_url(tmp_path), delivery={"concurrency_per_origin": 1})
    async with open_relay(settings) as relay:
        held = Held(OK)
        hook = relay.world.hook(HOOK, held)
        relay.world.task("task-1", SUCCESS)
        first = asyncio.create_task(relay.api.post("/v1/test", json={"callback_url": HOOK}))
        await held.asked.wait()

        second = await relay.api.post("/v1/test", json={"callback_url": HOOK})
        elsewhere = await relay.api.post("/v1/test", json={"callback_url": "https://elsewhere.test/"})
        registered = await relay.api.post(
            "/v1/registrations", json={"task_id": "task-1", "callback_url": HOOK}
        )
        while not await relay.execute("SELECT * FROM events"):
            pass
        await relay.relay.delivering.run_once()
        meanwhile = len(hook.requests)
        held.go.set()
        await first
        await relay.settle()

        state = (await relay.read(registered.json()["id"]))["state"]
        again = await relay.api.post("/v1/test", json={"callback_url": HOOK})

    assert "slot" in problem(second, 503)["detail"]
    assert second.headers["retry-after"] == "2"
    assert elsewhere.status_code == 200
    assert meanwhile == 1
    assert state == "delivered"
    assert again.status_code == 200


async def test_a_client_that_tests_many_hanging_origins_takes_no_more_than_its_share(
    relay: RelayInHand,
) -> None:
    held = Held(OK)
    urls = [f"https://hangs-{number}.test/" for number in range(17)]
    hooks = [relay.world.hook(url, held) for url in urls]
    first = [asyncio.create_task(relay.api.post("/v1/test", json={"callback_url": url})) for url in urls[:16]]
    async with asyncio.timeout(10):
        while sum(len(hook.requests) for hook in hooks) < 16:  # noqa: ASYNC110 - the hooks are what is asked
            await asyncio.sleep(0)

    before = list(relay.world.looked_up)
    refused = await relay.api.post("/v1/test", json={"callback_url": urls[16]})
    unasked = relay.world.looked_up == before
    others = await relay.other.post("/v1/test", json={"callback_url": "https://quick.test/"})
    held.go.set()
    answers = await asyncio.gather(*first)
    again = await relay.api.post("/v1/test", json={"callback_url": urls[16]})

    assert "other tests" in problem(refused, 503)["detail"]
    assert unasked
    assert {answer.status_code for answer in (*answers, others, again)} == {200}


async def test_a_callback_that_is_refused_takes_no_place_of_a_test(relay: RelayInHand) -> None:
    refused = [
        await relay.api.post("/v1/test", json={"callback_url": "https://10.0.0.1/"})
        for _ in range(MOST_TESTS + 1)
    ]

    sent = await relay.api.post("/v1/test", json={"callback_url": HOOK})

    assert {answer.status_code for answer in refused} == {422}
    assert sent.status_code == 200


async def test_each_clients_names_are_looked_up_for_itself(relay: RelayInHand) -> None:
    await relay.register()
    await relay.other.post("/v1/test", json={"callback_url": HOOK})

    assert relay.world.looked_up_for == {"default", "other"}


async def test_no_test_is_sent_while_the_relay_stops(relay: RelayInHand) -> None:
    relay.relay.begin_drain()

    answer = await relay.api.post("/v1/test", json={"callback_url": HOOK})

    assert "stopping" in problem(answer, 503)["detail"]
    assert relay.world.everything_sent.requests == []
