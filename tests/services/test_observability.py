import httpx
import structlog
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from tests.relays import FAILING, HOOK, OK, PENDING, SUCCESS, RelayInHand

UNAUTHORIZED = httpx.Response(401)


async def test_every_attempt_is_one_line_and_every_ended_task_is_one_line(relay: RelayInHand) -> None:
    relay.world.task("task-1", PENDING, PENDING, SUCCESS)
    relay.world.hook(HOOK, FAILING, httpx.ConnectError("refused"), OK)

    with capture_logs() as logs:
        registration = await relay.register()
        for _ in range(2):
            await relay.pass_time(2)
        await relay.pass_time(5)
        await relay.pass_time(300)

    assert logs == [
        {
            "event": "task.ended",
            "log_level": "info",
            "client": "default",
            "kind": "text-to-sound",
            "task_id": "task-1",
            "state": "succeeded",
            "status": "SUCCESS",
            "polls": 3,
            "registrations": 1,
        },
        *(
            {
                "event": "delivery.attempted",
                "log_level": "info",
                "registration": registration,
                "event_id": registration.replace("reg_", "evt_"),
                "type": "task.succeeded",
                "attempt": number,
                "applied": True,
                "duration_ms": 0,
                **facts,
            }
            for number, facts in (
                (
                    1,
                    {
                        "outcome": "rejected",
                        "http_status": 500,
                        "error": "the callback answered 500",
                        "next_at": "2026-11-18T11:06:49.000Z",
                    },
                ),
                (
                    2,
                    {
                        "outcome": "connect",
                        "http_status": None,
                        "error": "connect: refused",
                        "next_at": "2026-11-18T11:11:49.000Z",
                    },
                ),
                (3, {"outcome": "accepted", "http_status": 204, "error": None}),
            )
        ),
    ]


async def test_a_delivery_that_is_given_up_is_an_error_with_its_reason(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    relay.world.hook(HOOK, httpx.Response(410))

    with capture_logs() as logs:
        await relay.register()

    (line,) = (line for line in logs if line["event"] == "delivery.attempted")
    assert (line["log_level"], line["dead"], line["http_status"]) == ("error", "gone", 410)


async def test_trouble_upstream_is_told_to_the_operator(relay: RelayInHand) -> None:
    relay.world.task("task-1", UNAUTHORIZED, httpx.Response(503), httpx.Response(200, json="BREWING"))

    with capture_logs() as logs:
        await relay.register()
        await relay.pass_time(60)
        await relay.pass_time(60)

    assert logs == [
        {"event": "poll.unauthorized", "log_level": "warning", "client": "default", "http_status": 401},
        {
            "event": "poll.failed",
            "log_level": "info",
            "client": "default",
            "result": "server_error",
            "http_status": 503,
        },
        {"event": "poll.unknown_status", "log_level": "warning", "status": "BREWING"},
    ]


async def test_a_word_of_any_length_is_cut_short_in_the_log(relay: RelayInHand) -> None:
    relay.world.task("task-1", httpx.Response(200, json={"status": "X" * 10_000}))

    with capture_logs() as logs:
        await relay.register()

    assert [line["status"] for line in logs] == ["X" * 100]


async def test_a_request_that_wakes_the_work_lends_it_no_request_id(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)

    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        await relay.register()

    assert {line["event"] for line in logs} == {"task.ended", "delivery.attempted"}
    assert not any("request_id" in line for line in logs)


async def test_a_test_notification_is_logged_with_its_requests_id(relay: RelayInHand) -> None:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        answer = await relay.api.post(
            "/v1/test", json={"callback_url": HOOK}, headers={"x-request-id": "mine"}
        )

    assert answer.status_code == 200
    assert [(line["event"], line["request_id"], line["outcome"]) for line in logs] == [
        ("test.attempted", "mine", "accepted")
    ]


async def test_the_metrics_tell_what_became_of_everything(relay: RelayInHand) -> None:
    relay.world.task("task-1", PENDING, SUCCESS)
    relay.world.hook(HOOK, FAILING, OK)
    body = {"task_id": "task-1", "callback_url": HOOK}
    await relay.register()
    await relay.api.post("/v1/registrations", json=body)
    await relay.api.post("/v1/registrations", json=body | {"format": "raw"})
    await relay.api.post("/v1/registrations", json=body | {"callback_url": "https://10.0.0.1/"})
    await relay.pass_time(2)
    await relay.pass_time(5)

    metric = relay.metric
    results = ("created", "existing", "conflict", "refused")
    assert [metric("relay_registrations_total", result=result) for result in results] == [1, 1, 1, 1]
    assert metric("relay_polls_total", kind="text-to-sound", result="pending") == 1
    assert metric("relay_polls_total", kind="text-to-sound", result="terminal") == 1
    assert metric("relay_events_total", type="task.succeeded") == 1
    assert metric("relay_attempts_total", outcome="rejected") == 1
    assert metric("relay_attempts_total", outcome="accepted") == 1
    assert metric("relay_detection_window_seconds_sum") == 2
    assert metric("relay_delivery_latency_seconds_sum") == 5
    assert metric("relay_commit_size_count", writes="registrations") == 3
    assert metric("relay_commit_size_count", writes="polls") == 2
    assert metric("relay_commit_size_count", writes="attempts") == 2


async def test_no_label_ever_holds_what_a_caller_or_a_stranger_chose(relay: RelayInHand) -> None:
    relay.world.task("task-canary", httpx.Response(200, json="word-canary"), SUCCESS)
    hook = "https://canary.test/canary?canary"
    relay.world.hook(hook, httpx.Response(599, text="canary"), OK)

    await relay.register("task-canary", hook, metadata={"canary": "canary"})
    await relay.api.get("/v1/registrations?task_id=canary", headers={"x-request-id": "canary"})
    await relay.api.get("/canary")
    await relay.pass_time(2)
    await relay.pass_time(5)
    exposition = (await relay.api.get("/metrics")).text

    families = list(text_string_to_metric_families(exposition))
    labels = {label for family in families for sample in family.samples for label in sample.labels}
    assert "canary" not in exposition
    work = {"result", "kind", "of", "type", "outcome", "reason", "writes", "work", "queue", "le"}
    assert labels <= work | {"version", "role"}
    assert all(family.name.startswith("relay_") for family in families)
