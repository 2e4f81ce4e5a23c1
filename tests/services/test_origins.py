"""How a relay fares with origins that fail: their own slots, their own pauses, and nobody else's."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from relay.domain.instants import SECOND
from tests.relays import (
    FAILING,
    OK,
    SUCCESS,
    Held,
    RelayInHand,
    Scripted,
    open_relay,
    settings_for,
    sqlite_url,
)

DEAD = "https://dead.test"
HOURS_OF_PATIENCE = 101


async def register(relay: RelayInHand, *urls: str) -> list[str]:
    relay.world.task("task-1", SUCCESS)
    items = [{"task_id": "task-1", "callback_url": url} for url in urls]
    answer = await relay.api.post("/v1/registrations/batch", json={"registrations": items})
    await relay.settle()
    return [item["registration"]["id"] for item in answer.json()["data"]]


async def origins(relay: RelayInHand, **query: object) -> dict[str, Any]:
    answer = await relay.api.get("/v1/origins", params={key: str(value) for key, value in query.items()})
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def paused(relay: RelayInHand, count: int = 1) -> tuple[list[str], Scripted]:
    """So many deliveries to an origin that has failed until it was paused."""
    hook = relay.world.hook(f"{DEAD}/0", FAILING)
    hooks = [f"{DEAD}/{number}" for number in range(count)]
    for url in hooks[1:]:
        relay.world.router.route(method="POST", url=url).mock(side_effect=hook)
    ids = await register(relay, *hooks)
    while (await origins(relay))["data"][0]["state"] != "paused":
        await relay.pass_time(400)
    return ids, hook


@pytest.fixture
async def alone(tmp_path: Path) -> Any:  # noqa: ANN401 - an async fixture
    """One slot for each origin, so that the first failure is a pause."""
    settings = settings_for(sqlite_url(tmp_path), delivery={"concurrency_per_origin": 1})
    async with open_relay(settings) as relay:
        yield relay


async def test_failures_take_an_origin_its_slots_and_then_pause_it(relay: RelayInHand) -> None:
    relay.world.hook(f"{DEAD}/0", FAILING)
    await register(relay, f"{DEAD}/0")

    seen = []
    for wait in (0, 5, 300, 1_800):
        await relay.pass_time(wait)
        (origin,) = (await origins(relay))["data"]
        seen.append((origin["state"], origin["slots"], origin["cause"]))

    assert seen == [
        ("slowed", 4, "failing"),
        ("slowed", 2, "failing"),
        ("slowed", 1, "failing"),
        ("paused", 0, "failing"),
    ]
    assert relay.metric("relay_lane_pauses_total", of="origin") == 1


async def test_a_delivery_held_by_its_lane_spends_no_attempt(alone: RelayInHand) -> None:
    ids, hook = await paused(alone, 20)
    before = len(hook.requests)

    for _ in range(12):
        await alone.pass_time(300)

    spent = [len(await alone.attempts(registration)) for registration in ids]
    assert before == 1
    assert len(hook.requests) == sum(spent) <= 1 + 12
    assert max(spent) <= 2
    assert (await origins(alone))["data"][0]["waiting"] == 20


async def test_one_probe_at_a_time_is_made_after_a_pause(alone: RelayInHand) -> None:
    await paused(alone, 5)
    held = Held(FAILING)
    alone.world.router.routes.clear()
    alone.world.router.route(method="POST").mock(side_effect=held)
    until = (await origins(alone))["data"][0]["paused_until"]

    alone.hands.advance(5)
    await alone.relay.delivering.run_once()
    await held.asked.wait()
    await alone.relay.delivering.run_once()
    (origin,) = (await origins(alone))["data"]
    in_flight = alone.metric("relay_in_flight", queue="deliveries")
    held.go.set()
    await alone.settle()

    assert in_flight == 1
    assert (origin["state"], origin["cause"]) == ("probing", "probing")
    assert origin["paused_until"] > until
    assert (await origins(alone))["data"][0]["state"] == "paused"


async def test_how_long_an_origin_takes_is_told_once_it_has_accepted(relay: RelayInHand) -> None:
    relay.world.hook(f"{DEAD}/0", FAILING)
    relay.world.hook("https://quick.test/0", OK)
    await register(relay, f"{DEAD}/0", "https://quick.test/0")

    found = await relay.relay.reading.latencies("default", [DEAD, "https://quick.test"])

    assert [found[DEAD] is None, found["https://quick.test"] is None] == [True, False]


async def test_an_origin_that_is_back_gets_a_ramp_and_no_wave(relay: RelayInHand) -> None:
    _, hook = await paused(relay, 60)
    in_flight, succeeded, most = 0, 0, []

    async def accept(_: httpx.Request) -> httpx.Response:
        nonlocal in_flight, succeeded
        in_flight += 1
        most.append((in_flight, succeeded))
        await asyncio.sleep(0.001)
        in_flight -= 1
        succeeded += 1
        return OK

    hook.answers[:] = [accept]
    while succeeded < 60:
        await relay.pass_time(300)

    assert most[0] == (1, 0)
    assert all(at_once <= done + 1 for at_once, done in most)
    assert max(at_once for at_once, _ in most) == 8
    assert (await origins(relay))["data"] == []


async def test_a_dead_origin_of_a_hundred_delays_none_of_the_others(relay: RelayInHand) -> None:
    await paused(relay, 50)
    others = [f"https://host-{number}.test/" for number in range(99)]

    await register(relay, *others)

    reached = {str(request.url) for request in relay.world.everything_sent.requests}
    assert reached == set(others)
    assert set(relay.world.everything_sent.at) == {relay.relay.clock.now()}


async def test_a_herd_that_waits_for_one_dead_origin_is_as_if_there_were_none(relay: RelayInHand) -> None:
    await paused(relay)
    await relay.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)"
        " INSERT INTO registrations (id, task, client, callback_url, origin, format, metadata, created_at, expires_at,"
        " not_found_before, state) SELECT 'reg_' || printf('%032x', i), task, client, callback_url, origin, format,"
        " metadata, created_at, expires_at, 0, 'delivering' FROM n, registrations"
    )
    await relay.execute(
        "INSERT INTO deliveries (registration, lane, next_at, fence, round, attempts, failures)"
        " SELECT id, client || ' ' || origin, 1, 0, 1, 0, 0 FROM registrations WHERE id < 'reg_0000001'"
    )

    relay.world.task("task-2", SUCCESS)
    fresh = await relay.register("task-2", "https://alive.test/")

    (origin, *_) = (await origins(relay))["data"]
    assert (await relay.read(fresh))["state"] == "delivered"
    assert relay.world.everything_sent.at == [relay.relay.clock.now()]
    assert (origin["origin"], origin["waiting"]) == (DEAD, 10_000)


async def test_a_client_with_many_hanging_origins_leaves_room_for_the_next(tmp_path: Path) -> None:
    settings = settings_for(sqlite_url(tmp_path), delivery={"concurrency": 16, "concurrency_per_origin": 2})
    async with open_relay(settings) as relay:
        held = Held(OK)
        hanging = [f"https://hangs-{number}.test/" for number in range(30)]
        for url in hanging:
            relay.world.hook(url, held)
        relay.world.task("task-1", SUCCESS)
        items = [
            {"task_id": "task-1", "callback_url": f"{url}{path}"} for url in hanging for path in ("", "x")
        ]
        await relay.api.post("/v1/registrations/batch", json={"registrations": items})
        await held.asked.wait()

        answer = await relay.other.post(
            "/v1/registrations", json={"task_id": "task-1", "callback_url": "https://quick.test/"}
        )
        await asyncio.wait_for(_delivered(relay, answer.json()["id"]), 10)
        held.go.set()
        await relay.settle()

    assert len(relay.world.everything_sent.requests) >= 1


async def _delivered(relay: RelayInHand, registration: str) -> None:
    while (await relay.other.get(f"/v1/registrations/{registration}")).json()["state"] != "delivered":
        await relay.relay.polling.run_once()
        await relay.relay.delivering.run_once()
        await asyncio.sleep(0)


async def test_deliveries_to_an_origin_that_never_answers_again_are_dead_when_their_schedule_is_over(
    alone: RelayInHand,
) -> None:
    *_, early = (await paused(alone, 30))[0]
    for _ in range(HOURS_OF_PATIENCE * 2):
        alone.hands.advance(1_800)
        await alone.relay.delivering.run_once()
        await alone.settle()
    await alone.execute("UPDATE deliveries SET next_at = 1 WHERE ended_at IS NULL")
    (late,) = await register(alone, f"{DEAD}/late")

    with capture_logs() as logs:
        await alone.relay.pruning.run_once()

    resource = await alone.read(early)
    assert (resource["state"], resource["delivery"]["dead_reason"]) == ("dead", "exhausted")
    assert (await alone.read(late))["state"] == "delivering"
    given_up = [log["registration"] for log in logs if log["event"] == "delivery.given_up"]
    assert early in given_up
    assert late not in given_up


async def test_what_waits_long_for_an_origin_that_is_back_is_not_given_up(relay: RelayInHand) -> None:
    (registration,) = await register(relay, "https://alive.test/")
    await relay.api.post(f"/v1/registrations/{registration}/redeliver")
    await relay.execute("UPDATE deliveries SET next_at = 1, ended_at = NULL")
    relay.hands.advance(HOURS_OF_PATIENCE * 3_600)

    await relay.relay.pruning.run_once()

    assert relay.metric("relay_deliveries_dead_total", reason="exhausted") == 0


async def test_origins_are_listed_by_name_and_page_by_page(relay: RelayInHand) -> None:
    for name in ("a", "b", "c"):
        relay.world.hook(f"https://{name}.test/", FAILING)
    await register(relay, *(f"https://{name}.test/" for name in ("c", "a", "b")))

    first = await origins(relay, limit=2)
    second = await origins(relay, limit=2, cursor=first["next_cursor"])

    assert [item["origin"] for item in first["data"]] == ["https://a.test", "https://b.test"]
    assert [item["origin"] for item in second["data"]] == ["https://c.test"]
    assert (first["next_cursor"], second["next_cursor"]) == ("https://b.test", None)


async def test_a_client_sees_only_its_own_origins(relay: RelayInHand) -> None:
    await paused(relay)

    answer = await relay.other.get("/v1/origins")

    assert answer.json() == {"data": [], "next_cursor": None}


async def test_an_origin_says_why_it_waits_and_until_when(relay: RelayInHand) -> None:
    relay.world.hook(f"{DEAD}/0", httpx.Response(503, headers={"retry-after": "600"}))
    await register(relay, f"{DEAD}/0")

    (origin,) = (await origins(relay))["data"]

    until = relay.relay.clock.now() + 600 * SECOND
    ((lane_until,),) = await relay.execute("SELECT paused_until FROM lanes WHERE slots = 0")
    assert lane_until == until
    assert origin == {
        "origin": DEAD,
        "state": "paused",
        "cause": "retry-after",
        "slots": 0,
        "paused_until": origin["next_attempt_at"],
        "failing_since": origin["failing_since"],
        "pauses": 0,
        "waiting": 1,
        "next_attempt_at": origin["next_attempt_at"],
    }


async def test_an_origin_without_trouble_is_open_while_something_waits_for_it(relay: RelayInHand) -> None:
    held = Held(OK)
    relay.world.hook("https://slow.test/", held)
    relay.world.task("task-1", SUCCESS)
    await relay.api.post(
        "/v1/registrations", json={"task_id": "task-1", "callback_url": "https://slow.test/"}
    )
    await held.asked.wait()

    (origin,) = (await origins(relay))["data"]
    held.go.set()
    await relay.settle()

    assert (origin["state"], origin["slots"], origin["waiting"]) == ("open", 8, 1)


@pytest.mark.parametrize("cursor", ["nonsense", "https://a.test/\0", "http://" + "a" * 2_041])
async def test_a_cursor_that_no_answer_gave_is_refused(relay: RelayInHand, cursor: str) -> None:
    answer = await relay.api.get("/v1/origins", params={"cursor": cursor})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "cursor"


async def test_the_states_of_origins_and_what_waits_for_them_are_measured(alone: RelayInHand) -> None:
    await paused(alone, 4)

    await alone.relay.measuring.run_once()
    during = alone.metric("relay_origins", state="paused"), alone.metric("relay_waiting_for_origin")
    alone.hands.advance(60)
    await alone.relay.measuring.run_once()
    after = alone.metric("relay_origins", state="probing"), alone.metric("relay_waiting_for_origin")

    assert during == (1, 3)
    assert after == (1, 0)
