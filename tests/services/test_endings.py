"""Every shape of answer that CAMB is known to give, and what the callback is told."""

from typing import Any

import httpx
import orjson
import pytest

from relay.domain.kinds import KINDS
from tests.relays import CAMB_URL, HOOK, OK, PENDING, SUCCESS, RelayInHand


def body(content: object) -> httpx.Response:
    return httpx.Response(200, content=content if isinstance(content, bytes) else orjson.dumps(content))


async def told(relay: RelayInHand) -> dict[str, Any]:
    """The one notification that was sent."""
    (request,) = relay.world.everything_sent.requests
    document: dict[str, Any] = orjson.loads(request.content)
    assert request.headers["relay-event-type"] == document["type"]
    return document


@pytest.mark.parametrize(
    ("answer", "type_", "status", "run_id"),
    [
        ({"status": "SUCCESS", "run_id": 123}, "task.succeeded", "SUCCESS", 123),
        ({"status": "SUCCESS"}, "task.succeeded", "SUCCESS", None),
        ({"status": "success", "run_id": None}, "task.succeeded", "success", None),
        ({"status": "SUCCESS", "run_id": "123"}, "task.succeeded", "SUCCESS", None),
        ({"status": "ERROR", "exception_reason": "SOURCE_TOO_LONG"}, "task.failed", "ERROR", None),
        ({"status": "FAILED"}, "task.failed", "FAILED", None),
        ({"status": "TIMEOUT"}, "task.failed", "TIMEOUT", None),
        ({"status": "PAYMENT_REQUIRED"}, "task.failed", "PAYMENT_REQUIRED", None),
        ("SUCCESS", "task.succeeded", "SUCCESS", None),
        ("ERROR", "task.failed", "ERROR", None),
        ([{"status": "SUCCESS", "run_id": 5}], "task.succeeded", "SUCCESS", 5),
        (["ERROR"], "task.failed", "ERROR", None),
    ],
)
async def test_every_ending_is_told_as_what_it_is(
    relay: RelayInHand, answer: object, type_: str, status: str, run_id: int | None
) -> None:
    relay.world.task("task-1", body(answer))

    await relay.register()

    document = await told(relay)
    assert (document["type"], document["data"]["status"]) == (type_, status)
    assert document["data"]["run_id"] == run_id
    assert document["data"]["payload"] == answer


@pytest.mark.parametrize(
    "answer",
    [
        {"status": "PENDING"},
        {"status": "PENDING", "run_id": 7},
        {"status": "PROCESSING"},
        {"status": "DONE"},
        {"run_id": 7},
        {"status": None},
        {"status": ["SUCCESS"]},
        {"status": {"status": "SUCCESS"}},
        {"detail": "SUCCESS"},
        "PENDING",
        [{"status": "PENDING"}],
    ],
)
async def test_no_other_answer_ends_a_task(relay: RelayInHand, answer: object) -> None:
    relay.world.task("task-1", body(answer), SUCCESS)
    registration = await relay.register()
    meanwhile = (await relay.read(registration))["state"]

    await relay.pass_time(2)

    assert meanwhile == "watching"
    assert (await relay.read(registration))["state"] == "delivered"


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (httpx.Response(200, content=b""), "invalid"),
        (httpx.Response(200, html="<html>SUCCESS</html>"), "invalid"),
        (httpx.Response(200, content=b'{"status": "SUCC\xff"}'), "invalid"),
        (httpx.Response(200, content=b'{"status": "SUCCESS", "x": NaN}'), "invalid"),
        (httpx.Response(200, content=b'{"status": "SUCCESS"}\0'), "invalid"),
        (httpx.Response(200, json=[]), "invalid"),
        (httpx.Response(200, json=[{"status": "SUCCESS"}, {"status": "SUCCESS"}]), "invalid"),
        (httpx.Response(200, json=7), "invalid"),
        (httpx.Response(200, content=b'{"status": "SUCCESS", "pad": "' + b"x" * 262_144 + b'"}'), "invalid"),
        (httpx.Response(204), "invalid"),
        (httpx.Response(302, headers={"location": "https://elsewhere.test/"}), "unexpected_status"),
        (httpx.Response(400, json={"detail": "no"}), "unexpected_status"),
        (httpx.Response(404, json={"status": "SUCCESS"}), "not_found"),
        (httpx.Response(422, json={"detail": []}), "unexpected_status"),
        (httpx.Response(429, json={"status": "SUCCESS"}), "rate_limited"),
        (httpx.Response(500, text="oops"), "server_error"),
        (httpx.ReadTimeout("slow"), "timeout"),
        (httpx.ConnectError("nobody there"), "unreachable"),
        (httpx.RemoteProtocolError("garbage"), "unreachable"),
    ],
)
async def test_an_answer_of_any_other_shape_costs_one_poll_and_nothing_else(
    relay: RelayInHand, answer: httpx.Response | Exception, result: str
) -> None:
    relay.world.task("task-1", answer, SUCCESS)
    registration = await relay.register()
    meanwhile = await relay.read(registration)

    await relay.pass_time(2)

    assert meanwhile["state"] == "watching"
    assert meanwhile["task"]["last_poll"]["result"] == result
    assert relay.metric("relay_polls_total", kind="text-to-sound", result=result) == 1
    assert (await relay.read(registration))["state"] == "delivered"


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_is_polled_at_its_own_route(relay: RelayInHand, kind: str) -> None:
    task = relay.world.task("task-1", SUCCESS, route=KINDS[kind].status)

    await relay.register(kind=kind)

    data = (await told(relay))["data"]
    path = KINDS[kind].result_path(7)
    assert len(task.requests) == 1
    assert data["kind"] == kind
    assert data["result_url"] == (None if path is None else CAMB_URL + path)


async def test_the_notification_says_when_the_end_was_seen(relay: RelayInHand) -> None:
    relay.world.task("task-1", PENDING, SUCCESS)
    registration = await relay.register(metadata={"order": 7})
    await relay.pass_time(2)

    document = await told(relay)

    assert document["timestamp"] == "2026-11-18T11:06:42.000Z"
    assert document["data"] | {"payload": None} == {
        "task_id": "task-1",
        "kind": "text-to-sound",
        "status": "SUCCESS",
        "run_id": 7,
        "exception_reason": None,
        "message": None,
        "result_url": f"{CAMB_URL}/text-to-sound-result/7",
        "registration_id": registration,
        "metadata": {"order": 7},
        "last_seen_pending_at": "2026-11-18T11:06:40.000Z",
        "first_seen_terminal_at": "2026-11-18T11:06:42.000Z",
        "payload": None,
    }


async def test_cambs_bytes_are_passed_on_unchanged(relay: RelayInHand) -> None:
    exotic = b'{ "status":"SUCCESS","run_id":1,"x":1.00,"big":123456789012345678901234567890,"x":2 }'
    relay.world.task("task-1", body(exotic))
    await relay.register("task-1")
    await relay.register("task-1", HOOK + "/raw", format="raw")

    standard, raw = relay.world.everything_sent.requests

    assert exotic in standard.content
    assert raw.content == exotic


async def test_a_raw_notification_has_its_facts_in_the_headers(relay: RelayInHand) -> None:
    relay.world.task("a%2Fb%3Fc", SUCCESS)
    registration = await relay.register("a/b?c", format="raw")

    (request,) = relay.world.everything_sent.requests

    facts = {name: request.headers[name] for name in request.headers if name.startswith("relay-")}
    assert facts == {
        "relay-event-type": "task.succeeded",
        "relay-attempt": "1",
        "relay-registration-id": registration,
        "relay-task-id": "a%2Fb%3Fc",
        "relay-kind": "text-to-sound",
    }


async def test_an_unknown_word_is_told_once_and_counted_once(relay: RelayInHand) -> None:
    relay.world.task("task-1", body({"status": "PROCESSING"}))
    relay.world.task("task-2", body({"status": "PROCESSING"}), body({"status": "QUEUED"}))
    await relay.register("task-1")
    await relay.register("task-2")
    await relay.pass_time(2)

    assert relay.metric("relay_unknown_statuses_total") == 2
    assert relay.metric("relay_polls_total", kind="text-to-sound", result="unknown_status") == 4


async def test_words_beyond_counting_are_not_remembered(relay: RelayInHand) -> None:
    relay.world.task("task-1", *[body({"status": f"WORD-{number}"}) for number in range(110)])
    await relay.register()
    for _ in range(110):
        await relay.pass_to_next("tasks")

    assert relay.metric("relay_unknown_statuses_total") == 100


async def test_who_comes_after_the_end_is_told_from_what_is_stored(relay: RelayInHand) -> None:
    task = relay.world.task("task-1", PENDING, SUCCESS)
    relay.world.hook(HOOK, OK)
    await relay.register()
    await relay.pass_time(2)
    await relay.pass_time(600)

    await relay.register("task-1", HOOK + "/late")

    document = await told(relay)
    assert len(task.requests) == 2
    assert document["type"] == "task.succeeded"
    assert document["timestamp"] == "2026-11-18T11:06:42.000Z"
    assert relay.metric("relay_events_total", type="task.succeeded") == 2


async def test_who_comes_after_a_failure_is_told_and_counted_as_well(relay: RelayInHand) -> None:
    relay.world.task("task-1", body({"status": "ERROR"}))
    await relay.register()

    await relay.register("task-1", HOOK + "/late")

    assert relay.metric("relay_events_total", type="task.failed") == 2
