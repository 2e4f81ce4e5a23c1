from typing import Any

import pytest

from relay.api.schemas import MAX_BATCH
from tests.api.problems import rules
from tests.relays import HOOK, SUCCESS, RelayInHand

PATH = "/v1/registrations/batch"


def items(count: int) -> list[dict[str, Any]]:
    return [{"task_id": f"task-{number}", "callback_url": HOOK} for number in range(count)]


async def test_a_batch_is_answered_item_by_item_in_order(relay: RelayInHand) -> None:
    await relay.register("stands")
    asked = [
        {"task_id": "new", "callback_url": HOOK},
        {"task_id": "stands", "callback_url": HOOK},
        {"task_id": "", "callback_url": HOOK},
        {"task_id": "stands", "callback_url": HOOK, "format": "raw"},
        {"task_id": "blocked", "callback_url": "https://10.0.0.1/"},
        "task-1",
        {"task_id": "last", "callback_url": HOOK},
    ]

    answer = await relay.api.post(PATH, json={"registrations": asked})

    data = answer.json()["data"]
    assert answer.status_code == 200
    assert [item["http_status"] for item in data] == [201, 200, 422, 409, 422, 422, 201]
    assert [item["registration"]["task_id"] for item in data if "registration" in item] == [
        "new",
        "stands",
        "last",
    ]
    problems = [item["problem"] for item in data if "problem" in item]
    assert [[error["field"] for error in problem["errors"]] for problem in problems] == [
        ["task_id"],
        ["format"],
        ["callback_url"],
        [""],
    ]
    assert {problem["request_id"] for problem in problems} == {answer.headers["x-request-id"]}
    assert len((await relay.stored())["registrations"]) == 3


async def test_equal_items_behave_as_if_sent_one_after_the_other(relay: RelayInHand) -> None:
    item = {"task_id": "task-1", "callback_url": HOOK}

    answer = await relay.api.post(PATH, json={"registrations": [item, item, item | {"expires_in": 60}]})

    first, second, third = answer.json()["data"]
    assert [first["http_status"], second["http_status"], third["http_status"]] == [201, 200, 409]
    assert first["registration"]["id"] == second["registration"]["id"]
    assert len((await relay.stored())["registrations"]) == 1


async def test_a_batch_of_nothing_but_refusals_stores_nothing(relay: RelayInHand) -> None:
    before = await relay.stored()

    answer = await relay.api.post(PATH, json={"registrations": [{}, {"task_id": 7}]})

    assert [item["http_status"] for item in answer.json()["data"]] == [422, 422]
    assert await relay.stored() == before


async def test_a_thousand_are_taken_at_once(relay: RelayInHand) -> None:
    answer = await relay.api.post(PATH, json={"registrations": items(MAX_BATCH)})

    data = answer.json()["data"]
    assert [item["http_status"] for item in data] == [201] * MAX_BATCH
    assert [item["registration"]["task_id"] for item in data] == [f"task-{n}" for n in range(MAX_BATCH)]
    await relay.settle()
    assert len((await relay.stored())["registrations"]) == MAX_BATCH


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (
            {"registrations": items(MAX_BATCH + 1)},
            "List should have at most 1000 items after validation, not 1001",
        ),
        ({"registrations": []}, "List should have at least 1 item after validation, not 0"),
        ({"registrations": {}}, "Input should be a valid list"),
        ({}, "Field required"),
    ],
)
async def test_a_batch_of_the_wrong_size_is_refused_whole(
    relay: RelayInHand, body: dict[str, Any], rule: str
) -> None:
    before = await relay.stored()

    answer = await relay.api.post(PATH, json=body)

    assert rules(answer) == {"registrations": rule}
    assert await relay.stored() == before


async def test_each_name_in_a_batch_is_looked_up_once(relay: RelayInHand) -> None:
    asked = [{"task_id": f"task-{n}", "callback_url": f"https://host-{n % 3}.test/in"} for n in range(30)]

    await relay.api.post(PATH, json={"registrations": asked})

    assert sorted(relay.world.looked_up) == ["host-0.test", "host-1.test", "host-2.test"]


async def test_a_batch_that_names_an_ended_task_is_announced(relay: RelayInHand) -> None:
    from_other = relay.world.task("ended", SUCCESS)
    await relay.register("ended")

    answer = await relay.api.post(
        PATH,
        json={"registrations": [*items(1), {"task_id": "ended", "callback_url": HOOK + "/late"}]},
    )
    await relay.settle()

    fresh, late = (item["registration"] for item in answer.json()["data"])
    assert (fresh["state"], late["state"]) == ("watching", "delivering")
    assert (await relay.read(late["id"]))["state"] == "delivered"
    assert len(from_other.requests) == 1
