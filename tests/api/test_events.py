"""Events to be pulled: what a callback gets, in order, with a place to go on from."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from relay.domain.cursors import Cursor, parse_cursor
from relay.domain.instants import DAY, SECOND
from tests.api.problems import problem
from tests.relays import HOOK, SIGNING_SECRET, SUCCESS, RelayInHand

KEPT = 30 * DAY / SECOND


async def pulled(relay: RelayInHand, query: str = "") -> dict[str, Any]:
    answer = await relay.api.get(f"/v1/events{query}")
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def available(relay: RelayInHand, task_id: str = "ended", **more: object) -> dict[str, Any]:
    """A registration without a callback of a task that has ended."""
    relay.world.task(task_id, SUCCESS)
    answer = await relay.api.post("/v1/registrations", json={"task_id": task_id, **more})
    assert answer.status_code == 201, answer.text
    await relay.settle()
    return await relay.read(answer.json()["id"])


async def test_a_registration_without_a_callback_is_available_once_its_task_has_ended(
    relay: RelayInHand,
) -> None:
    watching = await relay.api.post("/v1/registrations", json={"task_id": "task-1", "callback_url": None})
    found = await available(relay)
    listed = (await relay.api.get("/v1/registrations?state=available")).json()["data"]

    assert (watching.status_code, watching.json()["state"]) == (201, "watching")
    assert (found["state"], found["callback_url"], found["delivery"]) == ("available", None, None)
    assert found["event"]["type"] == "task.succeeded"
    assert [each["id"] for each in listed] == [found["id"]]
    assert not relay.world.everything_sent.requests


async def test_a_batch_takes_both_sorts_and_judges_the_callbacks_that_there_are(relay: RelayInHand) -> None:
    wishes = [
        {"task_id": "a"},
        {"task_id": "a", "callback_url": "https://10.0.0.1/"},
        {"task_id": "a", "callback_url": None},
        {"task_id": "a", "callback_url": HOOK},
    ]

    answer = await relay.api.post("/v1/registrations/batch", json={"registrations": wishes})

    items = answer.json()["data"]
    assert [item["http_status"] for item in items] == [201, 422, 200, 201]
    assert items[0]["registration"]["id"] == items[2]["registration"]["id"]
    assert items[3]["registration"]["callback_url"] == HOOK


@pytest.mark.parametrize("change", ["cancel", "redeliver"])
async def test_what_is_available_is_neither_cancelled_nor_redelivered(
    relay: RelayInHand, change: str
) -> None:
    found = await available(relay)

    answer = await relay.api.post(f"/v1/registrations/{found['id']}/{change}")

    assert "a registration that is available cannot be" in problem(answer, 409)["detail"]


async def test_its_timeline_ends_with_the_event(relay: RelayInHand) -> None:
    found = await available(relay)

    steps = (await relay.api.get(f"/v1/registrations/{found['id']}/timeline")).json()["data"]

    assert [step["what"] for step in steps] == ["registered", "polled", "seen", "available"]
    assert (await relay.attempts(found["id"])) == []


async def test_an_event_is_pulled_as_its_callback_gets_it(relay: RelayInHand) -> None:
    relay.world.task("a b/c", SUCCESS, route="dub")
    registration = await relay.register("a b/c", kind="dub")
    (sent,) = relay.world.everything_sent.requests

    (item,) = (await pulled(relay))["data"]

    assert item["body"].encode() == sent.content
    assert item["headers"] == {
        name: value
        for name, value in sent.headers.items()
        if name not in {"host", "content-length", "relay-attempt"}
    }
    assert item | {"body": "", "headers": {}, "cursor": ""} == {
        "id": sent.headers["webhook-id"],
        "cursor": "",
        "type": "task.succeeded",
        "created_at": "2026-11-18T11:06:40.000Z",
        "registration_id": registration,
        "task_id": "a b/c",
        "kind": "dub",
        "headers": {},
        "body": "",
    }


async def test_it_is_signed_when_it_is_pulled_as_a_receiver_would_sign_it(relay: RelayInHand) -> None:
    await available(relay, format="raw")
    relay.hands.jump(DAY / SECOND)

    (item,) = (await pulled(relay))["data"]

    stamped = int(item["headers"]["webhook-timestamp"])
    expected = Webhook(SIGNING_SECRET).sign(item["id"], datetime.fromtimestamp(stamped, UTC), item["body"])
    assert item["headers"]["webhook-signature"] == expected
    assert stamped == relay.relay.clock.wall() // SECOND
    assert item["body"].encode() == SUCCESS.content


async def test_pages_follow_each_other_in_order_and_the_last_cursor_leads_to_what_is_new(
    relay: RelayInHand,
) -> None:
    ids = [(await available(relay, f"t-{number}"))["event"]["id"] for number in range(3)]

    first = await pulled(relay, "?limit=2")
    second = await pulled(relay, f"?limit=2&after={first['next_cursor']}")
    nothing = await pulled(relay, f"?after={second['next_cursor']}")
    ids.append((await available(relay, "t-3"))["event"]["id"])
    third = await pulled(relay, f"?after={nothing['next_cursor']}")

    assert [[item["id"] for item in page["data"]] for page in (first, second, nothing, third)] == [
        ids[:2],
        ids[2:3],
        [],
        ids[3:],
    ]
    assert [page["next_cursor"] == page["data"][-1]["cursor"] for page in (first, second, third)] == [
        True
    ] * 3
    assert nothing["next_cursor"] == second["next_cursor"]


async def test_latest_is_behind_all_there_is(relay: RelayInHand) -> None:
    await available(relay, "t-1")

    latest = await pulled(relay, "?after=latest")
    found = await available(relay, "t-2")
    after = await pulled(relay, f"?after={latest['next_cursor']}")

    assert latest["data"] == []
    assert [item["registration_id"] for item in after["data"]] == [found["id"]]


async def test_a_client_pulls_its_own_events_alone(relay: RelayInHand) -> None:
    await available(relay)

    answer = await relay.other.get("/v1/events")

    assert answer.json()["data"] == []
    assert parse_cursor(answer.json()["next_cursor"]) is not None


def gone(answer: httpx.Response) -> tuple[str, str]:
    document = problem(answer, 410)
    return document["detail"], document["oldest"]


async def test_a_cursor_below_what_retention_has_dropped_is_gone_and_the_oldest_one_named(
    relay: RelayInHand,
) -> None:
    await available(relay, "t-1")
    beginning = parse_cursor((await pulled(relay, "?limit=1"))["next_cursor"])
    assert beginning is not None
    await available(relay, "t-2")
    relay.hands.advance(KEPT + 1)
    await relay.relay.probing.run_once()
    await relay.relay.pruning.run_once()
    left = await available(relay, "t-3")

    detail, oldest = gone(await relay.api.get(f"/v1/events?after={beginning.text}"))
    rest = await pulled(relay, f"?after={oldest}")

    assert detail.startswith("what comes next after the cursor was dropped by retention")
    assert [item["registration_id"] for item in rest["data"]] == [left["id"]]
    assert (await pulled(relay))["data"][0]["cursor"] == rest["data"][0]["cursor"]


async def test_a_cursor_of_another_store_or_beyond_the_last_event_is_gone(relay: RelayInHand) -> None:
    await available(relay)
    here = parse_cursor((await pulled(relay))["next_cursor"])
    assert here is not None

    other = gone(await relay.api.get(f"/v1/events?after={Cursor(store=here.store ^ 1, position=1).text}"))
    beyond = gone(await relay.api.get(f"/v1/events?after={Cursor(store=here.store, position=2).text}"))

    assert other[0].startswith("the cursor is of another store")
    assert beyond[0].startswith("the cursor lies beyond the last event")
    assert other[1] == beyond[1] == Cursor(store=here.store, position=0).text


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("after=", "after"),
        ("after=7", "after"),
        ("after=LATEST", "after"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("cursor=0000000000000abc-7", "cursor"),
    ],
)
async def test_what_is_no_cursor_is_refused(relay: RelayInHand, query: str, field: str) -> None:
    document = problem(await relay.api.get(f"/v1/events?{query}"), 422)

    assert [error["field"] for error in document["errors"]] == [field]
