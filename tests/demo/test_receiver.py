import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook
from starlette.applications import Starlette

from relay.clock import system_clock
from relay.demo.hooks import HOOKS, hook_of
from relay.demo.receiver import create_receiver
from relay.domain.instants import seconds
from tests.demo.hand_clock import HandClock

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
STRANGERS = "whsec_cGxlYXNlIGRvIG5vdCBiZWxpZXZlIG1l"
BODY = '{"type":"task.succeeded","data":{"run_id":1.0}}'


@pytest.fixture
def receiver(clock: HandClock) -> Starlette:
    return create_receiver(secrets=[SECRET, OLD_SECRET], now=clock.now, sleep=clock.sleep, capacity=1_000)


@pytest.fixture
async def hooks(receiver: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(receiver), base_url="http://receiver"
    ) as client:
        yield client


def signed(
    webhook_id: str = "evt_1", body: str = BODY, *, secret: str = SECRET, event_type: str = "task.succeeded"
) -> dict[str, str]:
    # the verifier reads the machine's clock, so the signature must too
    moment = datetime.fromtimestamp(int(seconds(system_clock().wall())), tz=UTC)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, moment, body),
        "relay-event-type": event_type,
        "relay-task-id": "a%2Fb",
    }


async def notify(
    hooks: httpx.AsyncClient, path: str, webhook_id: str = "evt_1", body: str = BODY, **signing: str
) -> httpx.Response:
    return await hooks.post(f"/hooks/{path}", content=body, headers=signed(webhook_id, body, **signing))


async def state(hooks: httpx.AsyncClient, **query: str) -> dict[str, Any]:
    answer = await hooks.get("/state", params=query)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def totals(hooks: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await state(hooks))["totals"]
    return found


async def left_without_an_answer(hooks: httpx.AsyncClient) -> None:
    for _ in range(1_000):
        if (await totals(hooks))["unanswered"]:
            return
        await asyncio.sleep(0)
    pytest.fail("nothing was left without an answer")


STATUSES = {
    "ok": [200, 200],
    "ok/anything/else": [200, 200],
    "fail-2": [500, 500, 200, 200],
    "fail": [500, 500, 500],
    "gone-1": [410, 200],
    "gone": [410, 410, 410],
    "busy-2.5": [429, 200],
    "status-404": [404, 404],
    "status-503/x": [503, 503],
    "redirect": [302, 302],
    "slow-20": [200, 200],
    "drip": [200],
    "flood": [200],
}


@pytest.mark.parametrize("path", STATUSES)
async def test_a_notification_is_answered_as_its_path_says(hooks: httpx.AsyncClient, path: str) -> None:
    statuses = [(await notify(hooks, path)).status_code for _ in STATUSES[path]]

    assert statuses == STATUSES[path]


def test_every_behaviour_of_a_path_is_expected_here() -> None:
    patterns = {each.pattern for each in HOOKS}
    expected = {next(each.pattern for each in HOOKS if each.read(path.split("/")[0])) for path in STATUSES}

    assert expected == patterns - {"hang", "hang-N"}


@pytest.mark.parametrize(
    "word", ["", "nonsense", "fail-", "fail-x", "ok-1", "slow", "fail-1-2", "gone--1", "status"]
)
def test_a_word_that_names_no_behaviour_is_none(word: str) -> None:
    assert hook_of(word) is None


async def test_failures_are_counted_for_each_webhook_id(hooks: httpx.AsyncClient) -> None:
    order = ["evt_1", "evt_2", "evt_1", "evt_2"]

    statuses = [(await notify(hooks, "fail-1", webhook_id)).status_code for webhook_id in order]

    assert statuses == [500, 500, 200, 200]


async def test_a_busy_receiver_says_when_to_come_back(hooks: httpx.AsyncClient) -> None:
    assert (await notify(hooks, "busy-2.5")).headers["retry-after"] == "2.5"


async def test_a_redirect_leads_to_a_path_that_accepts(hooks: httpx.AsyncClient) -> None:
    location = (await notify(hooks, "redirect")).headers["location"]

    assert (await hooks.post(location, content=BODY, headers=signed())).status_code == 200


async def test_a_slow_receiver_takes_its_seconds(hooks: httpx.AsyncClient, clock: HandClock) -> None:
    await notify(hooks, "slow-1.5")

    assert clock.slept == [1.5]


async def test_a_dripping_receiver_sends_a_byte_a_second(hooks: httpx.AsyncClient, clock: HandClock) -> None:
    answer = await notify(hooks, "drip")

    assert clock.slept == [1.0] * len(answer.content)


async def test_a_flooding_receiver_sends_ten_megabytes(hooks: httpx.AsyncClient) -> None:
    assert len((await notify(hooks, "flood")).content) == 10 * 1024 * 1024


@pytest.mark.parametrize("path", ["hang", "hang-1"])
async def test_a_hanging_receiver_never_answers(hooks: httpx.AsyncClient, path: str) -> None:
    post = asyncio.create_task(notify(hooks, path))
    await left_without_an_answer(hooks)
    for _ in range(100):
        await asyncio.sleep(0)
    waiting = not post.done()
    post.cancel()

    assert waiting
    assert (await totals(hooks))["accepted"] == 0


async def test_a_receiver_that_hung_once_accepts_the_next_try(hooks: httpx.AsyncClient) -> None:
    post = asyncio.create_task(notify(hooks, "hang-1"))
    await left_without_an_answer(hooks)
    post.cancel()

    assert (await notify(hooks, "hang-1")).status_code == 200


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
async def test_any_of_its_secrets_will_do(hooks: httpx.AsyncClient, secret: str) -> None:
    assert (await notify(hooks, "ok", secret=secret)).status_code == 200
    assert (await totals(hooks))["verified"] == 1


BAD: dict[str, tuple[Callable[[dict[str, str]], None], str]] = {
    "none": (dict.clear, "Missing required headers"),
    "stranger": (lambda headers: headers.update(signed(secret=STRANGERS)), "No matching signature found"),
    "other body": (lambda headers: headers.update(signed(body=BODY + " ")), "No matching signature found"),
    "other id": (lambda headers: headers.update({"webhook-id": "evt_2"}), "No matching signature found"),
    "old": (lambda headers: headers.update({"webhook-timestamp": "1614265330"}), "Message timestamp too old"),
    "no time": (lambda headers: headers.update({"webhook-timestamp": "soon"}), "Invalid Signature Headers"),
    "no value": (lambda headers: headers.update({"webhook-signature": "v1"}), "not enough values to unpack"),
    "no base64": (
        lambda headers: headers.update({"webhook-signature": "v1,a"}),
        "Invalid base64-encoded string",
    ),
    "version": (
        lambda headers: headers.update({"webhook-signature": "v1a,YQ=="}),
        "No matching signature found",
    ),
}


@pytest.mark.parametrize(("altered", "complaint"), BAD.values(), ids=BAD)
async def test_a_bad_signature_is_refused_and_counted(
    hooks: httpx.AsyncClient, altered: Callable[[dict[str, str]], None], complaint: str
) -> None:
    headers = signed()
    altered(headers)

    answer = await hooks.post("/hooks/ok", content=BODY, headers=headers)

    seen = await totals(hooks)
    assert answer.status_code == 401
    assert (seen["received"], seen["verified"], seen["bad_signatures"], seen["events"]) == (1, 0, 1, 0)
    assert seen["complaints"] == {answer.json()["error"]: 1}
    assert answer.json()["error"].startswith(complaint)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/hooks/nonsense", b"", 404),
        ("POST", "/hooks/", b"", 404),
        ("GET", "/hooks/ok", b"", 405),
        ("POST", "/hooks/ok", bytes(1024 * 1024 + 1), 413),
        ("POST", "/elsewhere", b"", 404),
    ],
)
async def test_what_is_no_notification_is_refused(
    hooks: httpx.AsyncClient, method: str, path: str, body: bytes, status: int
) -> None:
    answer = await hooks.request(method, path, content=body)

    assert answer.status_code == status
    assert (await totals(hooks))["received"] == 0


async def test_the_state_tells_what_became_of_each_notification(
    hooks: httpx.AsyncClient, clock: HandClock
) -> None:
    begun = clock.now()
    for _ in range(3):
        await notify(hooks, "fail-1/here")
        clock.advance(1)
    await notify(hooks, "gone", "evt_2", event_type="task.failed")

    seen = await state(hooks)

    first, second = seen["data"]
    assert seen["next_after"] is None
    assert seen["totals"] == {
        "received": 4,
        "verified": 4,
        "bad_signatures": 0,
        "accepted": 2,
        "refused": 2,
        "unanswered": 0,
        "duplicates": 1,
        "bodies_changed": 0,
        "events": 2,
        "accepted_events": 1,
        "by_event_type": {"task.succeeded": 1},
        "complaints": {},
    }
    assert first == {
        "sequence": 1,
        "webhook_id": "evt_1",
        "path": "/hooks/fail-1/here",
        "digest": hashlib.sha256(BODY.encode()).hexdigest(),
        "body": {"type": "task.succeeded", "data": {"run_id": 1.0}},
        "first_at": begun,
        "last_at": begun + 2_000_000,
        "headers": {"relay-event-type": "task.succeeded", "relay-task-id": "a%2Fb"},
        "arrivals": 3,
        "accepted": 2,
        "accepted_at": begun + 1_000_000,
        "duplicates": 1,
        "body_changed": False,
        "answered": [500, 200, 200],
    }
    assert (second["webhook_id"], second["answered"], second["accepted_at"]) == ("evt_2", [410], None)


async def test_a_body_that_changes_under_its_id_is_noticed_once(hooks: httpx.AsyncClient) -> None:
    await notify(hooks, "fail")
    await notify(hooks, "fail", body=BODY + " ")
    await notify(hooks, "fail", body=BODY + "  ")

    seen = await state(hooks)

    assert seen["totals"]["bodies_changed"] == 1
    assert seen["data"][0]["body_changed"]


@pytest.mark.parametrize(("body", "shown"), [('"a"', "a"), ("not JSON", "not JSON")])
async def test_a_body_is_shown_whatever_it_is(hooks: httpx.AsyncClient, body: str, shown: str) -> None:
    await notify(hooks, "ok", body=body)

    assert (await state(hooks))["data"][0]["body"] == shown


async def test_bodies_need_not_be_kept(clock: HandClock) -> None:
    receiver = create_receiver(secrets=[SECRET], now=clock.now, keep_bodies=False)

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(receiver), base_url="http://receiver"
    ) as hooks:
        await notify(hooks, "ok")
        await notify(hooks, "ok", body=BODY + " ")
        seen = (await state(hooks))["data"][0]

    assert (seen["body"], seen["body_changed"]) == (None, True)


async def test_notifications_are_listed_in_pages(hooks: httpx.AsyncClient) -> None:
    for number in range(5):
        await notify(hooks, "ok", f"evt_{number}")

    pages = [await state(hooks, limit="2")]
    while pages[-1]["next_after"] is not None:
        pages.append(await state(hooks, limit="2", after=str(pages[-1]["next_after"])))

    assert [[each["webhook_id"] for each in page["data"]] for page in pages] == [
        ["evt_0", "evt_1"],
        ["evt_2", "evt_3"],
        ["evt_4"],
    ]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"webhook_id": "evt_2"}, ["evt_2"]),
        ({"relay-event-type": "task.failed"}, ["evt_2", "evt_3"]),
        ({"relay-event-type": "task.failed", "webhook_id": "evt_1"}, []),
        ({"relay-kind": "dub"}, []),
    ],
)
async def test_notifications_are_found_by_id_and_by_header(
    hooks: httpx.AsyncClient, query: dict[str, str], found: list[str]
) -> None:
    await notify(hooks, "ok", "evt_1")
    await notify(hooks, "ok", "evt_2", event_type="task.failed")
    await notify(hooks, "ok", "evt_3", event_type="task.failed")

    assert [each["webhook_id"] for each in (await state(hooks, **query))["data"]] == found


async def test_the_totals_can_be_had_without_a_page(hooks: httpx.AsyncClient) -> None:
    await notify(hooks, "ok", "evt_1")

    assert (await state(hooks, limit="0"))["next_after"] is None


async def test_a_page_that_makes_no_sense_is_refused(hooks: httpx.AsyncClient) -> None:
    assert (await hooks.get("/state", params={"after": "-1"})).status_code == 422


async def test_the_first_notification_is_forgotten_first_and_the_totals_never(
    hooks: httpx.AsyncClient,
) -> None:
    for number in range(1_001):
        await notify(hooks, "ok", f"evt_{number}")

    seen = await state(hooks, limit="2000")

    assert (seen["totals"]["events"], len(seen["data"])) == (1_001, 1_000)
    assert seen["data"][0]["webhook_id"] == "evt_1"


async def test_only_the_latest_answers_are_kept(hooks: httpx.AsyncClient) -> None:
    for _ in range(40):
        await notify(hooks, "fail-39")

    answered = (await state(hooks))["data"][0]["answered"]

    assert (len(answered), answered[-2:]) == (32, [500, 200])
