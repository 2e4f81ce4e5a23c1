import httpx
import pytest

from tests.api.problems import problem
from tests.relays import FAILING, HOOK, OK, PENDING, SUCCESS, RelayInHand

GONE = httpx.Response(410)

BODY = {"task_id": "task-1", "callback_url": HOOK, "metadata": {"order": 7, "a": 1}, "expires_in": 600}


async def test_a_registration_is_answered_201_with_its_location(relay: RelayInHand) -> None:
    answer = await relay.api.post("/v1/registrations", json=BODY)

    resource = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/registrations/{resource['id']}"
    assert resource == {
        "id": resource["id"],
        "task_id": "task-1",
        "kind": "text-to-sound",
        "callback_url": HOOK,
        "format": "standard",
        "state": "watching",
        "metadata": {"a": 1, "order": 7},
        "created_at": "2026-11-18T11:06:40.000Z",
        "expires_at": "2026-11-18T11:16:40.000Z",
        "trace_id": None,
        "task": {
            "state": "watching",
            "status": None,
            "run_id": None,
            "polls": 0,
            "last_poll": None,
            "next_poll_at": "2026-11-18T11:06:40.000Z",
        },
        "event": None,
        "delivery": None,
    }


async def test_the_same_registration_again_is_answered_200_with_what_stands(relay: RelayInHand) -> None:
    first = await relay.api.post("/v1/registrations", json=BODY)
    await relay.settle()
    before = await relay.stored()

    again = await relay.api.post("/v1/registrations", json=BODY | {"metadata": {"a": 1, "order": 7}})

    assert again.status_code == 200
    assert again.headers["location"] == first.headers["location"]
    assert again.json()["id"] == first.json()["id"]
    assert again.json()["task"]["polls"] == 1
    assert await relay.stored() == before


@pytest.mark.parametrize(
    ("other", "fields"),
    [
        ({"metadata": {}}, ["metadata"]),
        ({"expires_in": 601}, ["expires_in"]),
        ({"expires_in": None}, ["expires_in"]),
        ({"format": "raw"}, ["format"]),
        ({"metadata": {"order": 8}, "expires_in": 60, "format": "raw"}, ["metadata", "expires_in", "format"]),
    ],
)
async def test_the_same_registration_with_other_options_is_answered_409_with_what_differs(
    relay: RelayInHand, other: dict[str, object], fields: list[str]
) -> None:
    first = await relay.api.post("/v1/registrations", json=BODY)
    await relay.settle()
    before = await relay.stored()

    answer = await relay.api.post("/v1/registrations", json=BODY | other)

    errors = problem(answer, 409)["errors"]
    assert answer.headers["location"] == first.headers["location"]
    assert [error["field"] for error in errors] == fields
    assert {error["rule"] for error in errors} == {"differs from what stands"}
    assert await relay.stored() == before


@pytest.mark.parametrize("other", [{"task_id": "task-2"}, {"kind": "dub"}, {"callback_url": HOOK + "?a=1"}])
async def test_another_task_kind_or_callback_is_another_registration(
    relay: RelayInHand, other: dict[str, object]
) -> None:
    first = await relay.api.post("/v1/registrations", json=BODY)

    second = await relay.api.post("/v1/registrations", json=BODY | other)

    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]


async def test_the_single_resource_shows_task_event_and_delivery(relay: RelayInHand) -> None:
    relay.world.task("task-1", PENDING, SUCCESS)
    relay.world.hook(HOOK, FAILING)
    registration = await relay.register(metadata={"order": 7})
    await relay.pass_time(2)

    resource = await relay.read(registration)

    assert resource["state"] == "delivering"
    assert resource["task"] == {
        "state": "succeeded",
        "status": "SUCCESS",
        "run_id": 7,
        "polls": 2,
        "last_poll": {
            "at": "2026-11-18T11:06:42.000Z",
            "result": "terminal",
            "http_status": 200,
            "hint": None,
        },
        "next_poll_at": None,
    }
    event = resource["event"]
    assert event["id"] == registration.replace("reg_", "evt_")
    assert (event["type"], event["created_at"]) == ("task.succeeded", "2026-11-18T11:06:42.000Z")
    assert event["body"]["data"]["payload"] == {"status": "SUCCESS", "run_id": 7}
    assert event["body"]["data"]["metadata"] == {"order": 7}
    assert resource["delivery"] == {
        "attempts": 1,
        "last_http_status": 500,
        "last_error": "the callback answered 500",
        "next_attempt_at": "2026-11-18T11:06:47.000Z",
        "delivered_at": None,
        "dead_reason": None,
    }


async def test_every_attempt_is_told_with_the_beginning_of_its_answer(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    relay.world.hook(HOOK, FAILING)
    registration = await relay.register()
    await relay.pass_time(5)

    attempts = await relay.attempts(registration)

    assert [attempt["number"] for attempt in attempts] == [1, 2]
    assert attempts[1] == {
        "number": 2,
        "at": "2026-11-18T11:06:45.000Z",
        "duration_ms": 0.0,
        "outcome": "rejected",
        "http_status": 500,
        "error": "the callback answered 500",
        "answer": "the callback is broken",
    }


async def test_cancelling_may_be_repeated(relay: RelayInHand) -> None:
    registration = await relay.register()

    answers = [await relay.api.post(f"/v1/registrations/{registration}/cancel") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert [answer.json()["state"] for answer in answers] == ["cancelled", "cancelled"]


@pytest.mark.parametrize(
    ("hook_status", "state", "refused"), [(204, "delivered", "cancel"), (410, "dead", "cancel")]
)
async def test_what_is_over_cannot_be_cancelled(
    relay: RelayInHand, hook_status: int, state: str, refused: str
) -> None:
    relay.world.task("task-1", SUCCESS)
    relay.world.hook(HOOK, OK if hook_status == 204 else GONE)
    registration = await relay.register()
    before = await relay.stored()

    answer = await relay.api.post(f"/v1/registrations/{registration}/{refused}")

    assert problem(answer, 409)["detail"] == f"a registration that is {state} cannot be cancelled"
    assert await relay.stored() == before


async def test_only_what_is_delivered_or_dead_can_be_redelivered(relay: RelayInHand) -> None:
    relay.world.task("ended", SUCCESS)
    relay.world.hook(HOOK, FAILING)
    watching = await relay.register("task-1")
    delivering = await relay.register("ended")
    cancelled = await relay.register("task-2")
    await relay.api.post(f"/v1/registrations/{cancelled}/cancel")
    before = await relay.stored()

    answers = {
        state: await relay.api.post(f"/v1/registrations/{registration}/redeliver")
        for state, registration in (
            ("watching", watching),
            ("delivering", delivering),
            ("cancelled", cancelled),
        )
    }

    for state, answer in answers.items():
        assert problem(answer, 409)["detail"] == f"a registration that is {state} cannot be redelivered"
        assert "location" not in answer.headers
    assert await relay.stored() == before


async def test_a_task_that_camb_does_not_know_is_shown_with_a_hint(relay: RelayInHand) -> None:
    relay.world.task("task-1", httpx.Response(404), route="dub")
    registration = await relay.register(kind="dub")

    last_poll = (await relay.read(registration))["task"]["last_poll"]

    assert last_poll["result"] == "not_found"
    assert last_poll["http_status"] == 404
    assert last_poll["hint"] == "not found under kind dub; was it another kind?"


async def test_registering_on_a_task_that_has_ended_answers_with_its_end(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    await relay.register()

    answer = await relay.api.post(
        "/v1/registrations", json={"task_id": "task-1", "callback_url": HOOK + "/late"}
    )
    await relay.settle()

    resource = answer.json()
    assert answer.status_code == 201
    assert resource["state"] == "delivering"
    assert (resource["task"]["state"], resource["task"]["run_id"]) == ("succeeded", 7)
    assert resource["event"]["type"] == "task.succeeded"
    assert (await relay.read(resource["id"]))["state"] == "delivered"
