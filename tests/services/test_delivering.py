import asyncio
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from relay.clock import system_clock
from relay.domain.instants import SECOND, Instant
from relay.transport import BlockedAddress, NameResolutionError, TlsError
from tests.relays import (
    FAILING,
    HOOK,
    OK,
    SIGNING_SECRET,
    SUCCESS,
    Answer,
    HandClock,
    Held,
    RelayInHand,
    Scripted,
    open_relay,
    settings_for,
    sqlite_url,
)

SCHEDULE = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]


def waits(at: Sequence[Instant]) -> list[float]:
    return [(later - earlier) / SECOND for earlier, later in pairwise(at)]


async def ended_task(relay: RelayInHand, *answers: Answer, hook: str = HOOK) -> tuple[str, Scripted]:
    """A registration of a task that has ended, whose callback answers so."""
    relay.world.task("task-1", SUCCESS)
    scripted = relay.world.hook(hook, *answers)
    return await relay.register("task-1", hook), scripted


async def walk_the_schedule(relay: RelayInHand, registration: str) -> None:
    while (await relay.read(registration))["state"] == "delivering":
        await relay.pass_to_next("deliveries")


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_accepted(relay: RelayInHand, status: int) -> None:
    registration, hook = await ended_task(relay, httpx.Response(status))
    await relay.pass_time(3_600)

    resource = await relay.read(registration)

    assert (resource["state"], resource["delivery"]["last_http_status"]) == ("delivered", status)
    assert len(hook.requests) == 1


async def test_the_schedule_is_walked_exactly_and_then_the_delivery_is_dead(relay: RelayInHand) -> None:
    registration, hook = await ended_task(relay, FAILING)

    await walk_the_schedule(relay, registration)
    await relay.pass_time(10 * 86_400)

    resource = await relay.read(registration)
    assert waits(hook.at) == SCHEDULE
    assert resource["state"] == "dead"
    assert resource["delivery"]["dead_reason"] == "exhausted"
    assert resource["delivery"]["next_attempt_at"] is None
    assert [attempt["number"] for attempt in await relay.attempts(registration)] == list(range(1, 11))
    assert relay.metric("relay_deliveries_dead_total", reason="exhausted") == 1


async def test_the_waits_are_spread(tmp_path: Path) -> None:
    async with open_relay(settings_for(sqlite_url(tmp_path), delivery={"jitter": 0.1})) as relay:
        registration, hook = await ended_task(relay, FAILING)
        await walk_the_schedule(relay, registration)

    spread = [wait / planned for wait, planned in zip(waits(hook.at), SCHEDULE, strict=True)]
    assert all(0.9 <= share <= 1.1 for share in spread)
    assert len(set(spread)) > 5


async def test_id_and_body_never_change_and_every_attempt_is_signed_anew(relay: RelayInHand) -> None:
    registration, hook = await ended_task(relay, FAILING)

    await walk_the_schedule(relay, registration)

    assert {request.content for request in hook.requests} == {hook.requests[0].content}
    assert {request.headers["webhook-id"] for request in hook.requests} == {
        registration.replace("reg_", "evt_")
    }
    assert [int(request.headers["webhook-timestamp"]) for request in hook.requests] == [
        at // SECOND for at in hook.at
    ]
    assert len({request.headers["webhook-signature"] for request in hook.requests}) == 10
    assert [request.headers["relay-attempt"] for request in hook.requests] == [str(n) for n in range(1, 11)]


async def test_what_is_sent_verifies_with_the_standard_library(tmp_path: Path) -> None:
    """Standard Webhooks' own, whose clock is the machine's."""
    hands = HandClock(wall=system_clock().wall())
    async with open_relay(settings_for(sqlite_url(tmp_path)), hands=hands) as relay:
        await ended_task(relay, OK)
        (request,) = [*relay.world.router.calls][-1:]

    document = Webhook(SIGNING_SECRET).verify(request.request.content, dict(request.request.headers))

    assert document["type"] == "task.succeeded"


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        (httpx.Response(302, headers={"location": "https://elsewhere.test/"}), "rejected"),
        (httpx.Response(304), "rejected"),
        (httpx.Response(400), "rejected"),
        (httpx.Response(404), "rejected"),
        (httpx.Response(500), "rejected"),
        (httpx.Response(600), "rejected"),
        (httpx.ReadTimeout("slow"), "timeout"),
        (httpx.ConnectError("refused"), "connect"),
        (NameResolutionError("no such name"), "dns"),
        (TlsError("bad certificate"), "tls"),
        (httpx.RemoteProtocolError("garbage"), "protocol"),
        (BlockedAddress("callbacks may not lead to private addresses", final=False), "blocked"),
    ],
)
async def test_everything_else_is_tried_again(relay: RelayInHand, answer: Answer, label: str) -> None:
    registration, hook = await ended_task(relay, answer, OK)
    meanwhile = await relay.read(registration)

    await relay.pass_time(5)

    assert meanwhile["state"] == "delivering"
    assert (await relay.read(registration))["state"] == "delivered"
    assert [attempt["outcome"] for attempt in await relay.attempts(registration)] == [label, "accepted"]
    assert len(hook.requests) == 2
    assert relay.metric("relay_attempts_total", outcome=label) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(410), "gone"),
        (BlockedAddress("callbacks may not lead to private addresses", final=True), "blocked"),
    ],
)
async def test_what_can_never_succeed_is_dead_at_once(
    relay: RelayInHand, answer: Answer, reason: str
) -> None:
    registration, hook = await ended_task(relay, answer)
    await relay.pass_time(86_400)

    resource = await relay.read(registration)

    assert (resource["state"], resource["delivery"]["dead_reason"]) == ("dead", reason)
    assert len(hook.requests) == 1
    assert relay.metric("relay_deliveries_dead_total", reason=reason) == 1


@pytest.mark.parametrize(
    ("response", "wait"),
    [
        (httpx.Response(503, headers={"retry-after": "120"}), 120),
        (httpx.Response(429, headers={"retry-after": "120"}), 120),
        (httpx.Response(404, headers={"retry-after": "120"}), 120),
        (httpx.Response(503, headers={"retry-after": "Wed, 18 Nov 2026 11:08:40 GMT"}), 120),
        (httpx.Response(503, headers={"retry-after": str(10**9)}), 86_400),
        (httpx.Response(503, headers={"retry-after": "1"}), 5),
        (httpx.Response(503, headers={"retry-after": "0"}), 5),
        (httpx.Response(503, headers={"retry-after": "-5"}), 5),
        (httpx.Response(503, headers={"retry-after": "1.5"}), 5),
        (httpx.Response(503, headers={"retry-after": "Wed, 18 Nov 2020 11:08:40 GMT"}), 5),
        (httpx.Response(503, headers={"retry-after": "tomorrow"}), 5),
        (httpx.Response(429), 5),
    ],
)
async def test_a_retry_after_is_kept_to_exactly_up_to_its_ceiling(
    relay: RelayInHand, response: httpx.Response, wait: float
) -> None:
    _, hook = await ended_task(relay, response, OK)

    await relay.pass_time(wait - 0.001)
    too_early = len(hook.requests)
    await relay.pass_time(0.001)

    assert too_early == 1
    assert waits(hook.at) == [wait]


async def test_a_retry_after_pauses_its_origin_for_that_client_alone(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    relay.world.hook(HOOK, httpx.Response(429, headers={"retry-after": "60"}), OK)
    same_origin = relay.world.hook("https://hooks.test/other", OK)
    other_origin = relay.world.hook("https://elsewhere.test/in", OK)
    await relay.register("task-1", HOOK)
    await relay.register("task-1", "https://hooks.test/other")
    await relay.register("task-1", "https://elsewhere.test/in")
    meanwhile = (len(same_origin.requests), len(other_origin.requests))

    await relay.other.post(
        "/v1/registrations", json={"task_id": "task-1", "callback_url": "https://hooks.test/other"}
    )
    await relay.settle()
    others = len(same_origin.requests)
    await relay.pass_time(60)

    assert meanwhile == (0, 1)
    assert others == 1
    assert len(same_origin.requests) == 2
    assert relay.metric("relay_lane_pauses_total", of="origin") == 1


async def test_a_failing_callback_does_not_hold_up_its_origin(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    relay.world.hook(HOOK, FAILING)
    same_origin = relay.world.hook("https://hooks.test/other", OK)
    await relay.register("task-1", HOOK)

    await relay.register("task-1", "https://hooks.test/other")

    assert len(same_origin.requests) == 1


async def test_an_origin_that_hangs_takes_its_own_slots_and_no_more(tmp_path: Path) -> None:
    settings = settings_for(sqlite_url(tmp_path), delivery={"concurrency_per_origin": 2, "concurrency": 4})
    async with open_relay(settings) as relay:
        relay.world.task("task-1", SUCCESS)
        held = Held(OK)
        slow = [relay.world.hook(f"https://slow.test/{number}", held) for number in range(5)]
        items = [
            {"task_id": "task-1", "callback_url": f"https://{host}.test/{number}"}
            for number in range(5)
            for host in ("slow", "quick")
        ]
        await relay.api.post("/v1/registrations/batch", json={"registrations": items})
        await attempted(relay, 5)
        meanwhile = sum(len(hook.requests) for hook in slow)

        held.go.set()
        await relay.settle()
        in_all = sum(len(hook.requests) for hook in slow)

    assert meanwhile == 2
    assert in_all == 5


async def test_a_stalled_attempt_that_succeeds_late_counts_though_another_has_failed_since(
    relay: RelayInHand,
) -> None:
    held = Held(OK)
    relay.world.task("task-1", SUCCESS)
    relay.world.hook(HOOK, held, FAILING)
    await relay.api.post("/v1/registrations", json={"task_id": "task-1", "callback_url": HOOK})
    await held.asked.wait()

    relay.hands.advance(15 + 15)
    await relay.relay.delivering.run_once()
    await attempted(relay, 1)
    held.go.set()
    await relay.settle()

    (item,) = (await relay.api.get("/v1/registrations")).json()["data"]
    assert item["state"] == "delivered"
    assert len(await relay.attempts(item["id"])) == 2


@pytest.mark.parametrize(
    ("response", "outcome"), [(OK, "accepted"), (httpx.Response(410), "rejected"), (FAILING, "rejected")]
)
async def test_what_arrives_after_a_cancel_changes_nothing_and_is_logged(
    relay: RelayInHand, response: httpx.Response, outcome: str
) -> None:
    held = Held(response)
    relay.world.task("task-1", SUCCESS)
    relay.world.hook(HOOK, held)
    answer = await relay.api.post("/v1/registrations", json={"task_id": "task-1", "callback_url": HOOK})
    registration = answer.json()["id"]
    await held.asked.wait()

    cancelled = await relay.api.post(f"/v1/registrations/{registration}/cancel")
    with capture_logs() as logs:
        held.go.set()
        await relay.settle()

    assert cancelled.status_code == 200
    assert (await relay.read(registration))["state"] == "cancelled"
    assert [(line["event"], line["outcome"], line["applied"]) for line in logs] == [
        ("delivery.attempted", outcome, False)
    ]
    assert relay.metric("relay_deliveries_dead_total", reason="gone") == 0
    assert relay.metric("relay_delivery_latency_seconds_count") == 0


async def test_nothing_is_claimed_after_a_cancel(relay: RelayInHand) -> None:
    registration, hook = await ended_task(relay, FAILING)

    await relay.api.post(f"/v1/registrations/{registration}/cancel")
    await relay.pass_time(3_600)

    assert len(hook.requests) == 1


@pytest.mark.parametrize("first", [OK, httpx.Response(410)])
async def test_redelivering_is_a_new_round_of_the_whole_schedule_with_the_same_event(
    relay: RelayInHand, first: httpx.Response
) -> None:
    registration, hook = await ended_task(relay, first, FAILING)

    answer = await relay.api.post(f"/v1/registrations/{registration}/redeliver")
    await relay.settle()
    await walk_the_schedule(relay, registration)

    resource = await relay.read(registration)
    assert answer.status_code == 202
    assert answer.json()["state"] == "delivering"
    assert waits(hook.at)[1:] == SCHEDULE
    assert len({request.content for request in hook.requests}) == 1
    assert len({request.headers["webhook-id"] for request in hook.requests}) == 1
    assert [request.headers["relay-attempt"] for request in hook.requests] == [str(n) for n in range(1, 12)]
    assert (resource["state"], resource["delivery"]["attempts"]) == ("dead", 11)


async def test_a_dead_delivery_that_is_redelivered_may_still_succeed(relay: RelayInHand) -> None:
    registration, _ = await ended_task(relay, httpx.Response(410), OK)

    await relay.api.post(f"/v1/registrations/{registration}/redeliver")
    await relay.settle()

    resource = await relay.read(registration)
    assert (resource["state"], resource["delivery"]["dead_reason"]) == ("delivered", None)


async def attempted(relay: RelayInHand, count: int) -> None:
    """Wait until so many attempts are recorded."""
    async with asyncio.timeout(10):
        while len(await relay.execute("SELECT * FROM attempts")) < count:
            pass
