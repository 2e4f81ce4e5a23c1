import asyncio
from collections.abc import Sequence

import httpx
import orjson
import pytest
from starlette.applications import Starlette

from relay.demo.behaviours import BEHAVIOURS
from relay.domain.kinds import KINDS, Kind
from tests.demo.hand_clock import HandClock

PENDING = (200, b'{"status":"PENDING"}')
DONE = (200, b'{"status":"SUCCESS","run_id":100001}')
NOT_FOUND = (404, b'{"error":"Task not found","status":404}')

ANSWERS: dict[str, Sequence[tuple[int, bytes]]] = {
    "success": [DONE, DONE],
    "success-no-run-id": [(200, b'{"status":"SUCCESS","run_id":null}')],
    "lower-case": [(200, b'{"status":"success","run_id":100001}')],
    "reason-none": [(200, b'{"status":"SUCCESS","run_id":100001,"exception_reason":"NONE"}')],
    "message-object": [
        (200, b'{"status":"SUCCESS","run_id":100001,"message":{"text":"done","seconds":[1,2.50]}}')
    ],
    "verbatim": [
        (
            200,
            b'{ "status":"SUCCESS" ,"run_id" : 100001, "cost":1.10, "cost":1.1000, "exact":12345678901234567890.0 }\n',
        )
    ],
    "nul": [(200, b'{"status":"SUCCESS","run_id":100001,"message":"a\\u0000b"}')],
    "run-id-early": [(200, b'{"status":"PENDING","run_id":100001}'), DONE],
    "bare-string": [(200, b'"SUCCESS"')],
    "list": [(200, b'[{"status":"SUCCESS","run_id":100001}]')],
    "unknown-word": [(200, b'{"status":"PROCESSING"}'), DONE],
    "no-status": [(200, b'{"run_id":100001}'), DONE],
    "error": [
        (200, b'{"status":"ERROR","run_id":null,"exception_reason":"INTERNAL_ERROR","message":"It broke."}'),
    ],
    "failed": [(200, b'{"status":"FAILED","exception_reason":"HARMFUL_CONTENT_DETECTED"}')],
    "timeout": [(200, b'{"status":"TIMEOUT"}')],
    "payment-required": [(200, b'{"status":"PAYMENT_REQUIRED","exception_reason":"PAYMENT_REQUIRED"}')],
    "never": [PENDING] * 5,
    "lost": [NOT_FOUND] * 5,
    "late-404": [NOT_FOUND, NOT_FOUND, DONE],
    "rate-limited": [(429, b'{"error":"Too many requests","status":429}'), DONE],
    "server-errors": [
        (500, b'{"error":"Internal server error","status":500}'),
        (502, b"<html><h1>502 Bad Gateway</h1></html>"),
        (503, b"upstream connect error"),
        DONE,
    ],
    "html": [(200, b"<!doctype html><title>Sign in</title>"), DONE],
    "empty": [(200, b""), DONE],
    "huge": [(200, b" " * 10 * 1024 * 1024 + PENDING[1]), DONE],
    "invalid-utf8": [(200, b'{"status":"PENDING","message":"\xff\xfe"}'), DONE],
    "nul-bytes": [(200, b'{"status":"PENDING"}\0\0\0'), DONE],
    "redirect": [(302, b""), DONE],
    "drip": [PENDING, DONE],
}


async def poll(camb: httpx.AsyncClient, path: str) -> tuple[int, bytes]:
    answer = await camb.get(path)
    return answer.status_code, answer.content


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_every_kind_has_its_status_route(camb: httpx.AsyncClient, kind: Kind) -> None:
    assert await poll(camb, kind.status_path("success-1")) == DONE


def test_every_behaviour_is_expected_here() -> None:
    assert {*ANSWERS, "hang"} == set(BEHAVIOURS)


@pytest.mark.parametrize("behaviour", ANSWERS)
async def test_a_task_answers_as_its_behaviour_says(camb: httpx.AsyncClient, behaviour: str) -> None:
    answers = [await poll(camb, f"/tts/{behaviour}-1") for _ in ANSWERS[behaviour]]

    assert answers == ANSWERS[behaviour]


@pytest.mark.parametrize("behaviour", sorted({*ANSWERS} - {"never", "lost"}))
async def test_a_task_ends_as_soon_as_its_seconds_have_passed(
    camb: httpx.AsyncClient, clock: HandClock, behaviour: str
) -> None:
    path = f"/tts/{behaviour}-after-30-1"
    for _ in BEHAVIOURS[behaviour].opening or (None,):
        await camb.get(path)

    clock.advance(29.999)
    just_before = await poll(camb, path)
    clock.advance(0.001)
    then = await poll(camb, path)

    assert just_before != then
    assert then == ANSWERS[behaviour][-1]


async def test_an_opening_is_repeated_as_often_as_the_id_says(camb: httpx.AsyncClient) -> None:
    statuses = [(await poll(camb, "/tts/server-errors-times-2-x"))[0] for _ in range(7)]

    assert statuses == [500, 502, 503, 500, 502, 503, 200]


async def test_too_many_requests_says_when_to_come_back(camb: httpx.AsyncClient) -> None:
    answer = await camb.get("/tts/rate-limited-1")

    assert answer.headers["retry-after"] == "1"


async def test_who_follows_a_redirect_is_counted(
    camb: httpx.AsyncClient, backstage: httpx.AsyncClient
) -> None:
    await camb.get("/tts/redirect-1")
    obedient = (await backstage.get("/state")).json()["redirects_followed"]
    await camb.get("/tts/redirect-2", follow_redirects=True)

    assert obedient == 0
    assert (await backstage.get("/state")).json()["redirects_followed"] == 1


async def test_a_dripping_answer_takes_a_second_a_byte(camb: httpx.AsyncClient, clock: HandClock) -> None:
    await camb.get("/tts/drip-1")

    assert clock.slept == [1.0] * len(PENDING[1])


async def test_a_hanging_answer_never_comes_and_the_next_one_does(camb: httpx.AsyncClient) -> None:
    first = asyncio.create_task(poll(camb, "/tts/hang-1"))
    for _ in range(100):
        await asyncio.sleep(0)
    waiting = not first.done()
    first.cancel()

    assert waiting
    assert await poll(camb, "/tts/hang-1") == DONE


async def test_an_id_that_nobody_submitted_is_not_found(camb: httpx.AsyncClient) -> None:
    assert await poll(camb, "/tts/5f0c1d") == NOT_FOUND


@pytest.mark.parametrize(
    "task_id", ["success-a/b?c", "success-..", "success-%2e%2e", "success-ü", "success- #;"]
)
async def test_an_id_is_one_segment_and_comes_back_as_it_was_meant(
    camb: httpx.AsyncClient, backstage: httpx.AsyncClient, task_id: str
) -> None:
    answer = await poll(camb, KINDS["tts"].status_path(task_id))

    assert answer == DONE
    shown = (await backstage.get("/state", params={"task_id": task_id})).json()["tasks"]
    assert [(task["task_id"], task["polls"]) for task in shown] == [(task_id, 1)]


@pytest.mark.parametrize(
    ("key", "status"),
    [({}, 401), ({"x-api-key": ""}, 401), ({"x-api-key": "wrong"}, 401), ({"x-api-key": "weak"}, 403)],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/tts/success-1"), ("POST", "/tts"), ("GET", "/tts-result/1")]
)
async def test_a_bad_key_is_refused_at_every_door(
    simulator: Starlette, key: dict[str, str], status: int, method: str, path: str
) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(simulator)) as client:
        answer = await client.request(method, "http://simulator/apis" + path, headers=key)

    assert answer.status_code == status
    assert orjson.loads(answer.content)["status"] == status


async def test_keys_can_be_changed_while_it_runs(
    camb: httpx.AsyncClient, backstage: httpx.AsyncClient
) -> None:
    before = (await camb.get("/tts/never-1")).status_code
    await backstage.post("/keys", json={"accepted": ["other"]})
    revoked = (await camb.get("/tts/never-1")).status_code
    await backstage.post("/keys", json={"accepted": None, "forbidden": ["good"]})
    forbidden = (await camb.get("/tts/never-1")).status_code

    assert (before, revoked, forbidden) == (200, 401, 403)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nothing"),
        ("GET", "/"),
        ("POST", "/tts/success-1"),
        ("DELETE", "/tts/x"),
        ("GET", "/translation/x"),
    ],
)
async def test_a_route_that_camb_does_not_have_is_not_found(
    camb: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await camb.request(method, path)

    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


async def test_the_state_tells_what_was_asked_and_when(
    camb: httpx.AsyncClient, backstage: httpx.AsyncClient, clock: HandClock
) -> None:
    begun = clock.now()
    await camb.get("/dub/success-after-2-a")
    clock.advance(2)
    await camb.get("/dub/success-after-2-a")
    clock.advance(1)
    await camb.get("/tts/lost-b")

    state = (await backstage.get("/state")).json()

    assert state["requests"] == {"GET /dub/{task_id}": 2, "GET /tts/{task_id}": 1}
    assert state["answers"] == {"200": 2, "404": 1}
    assert state["tasks_seen"] == 2
    assert [task["task_id"] for task in state["tasks"]] == ["lost-b", "success-after-2-a"]
    assert state["tasks"][1] == {
        "task_id": "success-after-2-a",
        "route": "dub",
        "behaviour": "success",
        "run_id": 100_001,
        "first_seen_at": begun,
        "ends_at": begun + 2_000_000,
        "polls": 2,
        "last_poll_at": begun + 2_000_000,
        "ended_at": begun + 2_000_000,
        "ending": "succeeded",
    }


async def test_the_state_shows_as_many_tasks_as_wanted(
    camb: httpx.AsyncClient, backstage: httpx.AsyncClient
) -> None:
    for number in range(4):
        await camb.get(f"/tts/never-{number}")

    shown = (await backstage.get("/state", params={"limit": 2})).json()
    refused = await backstage.get("/state", params={"limit": "many"})

    assert [task["task_id"] for task in shown["tasks"]] == ["never-3", "never-2"]
    assert refused.status_code == 422


async def test_the_least_recently_polled_task_is_forgotten_first(
    camb: httpx.AsyncClient, backstage: httpx.AsyncClient
) -> None:
    for number in range(1_000):
        await camb.get(f"/tts/never-{number}")
    await camb.get("/tts/never-0")
    await camb.get("/tts/never-new")

    state = (await backstage.get("/state", params={"limit": 2_000})).json()
    names = {task["task_id"] for task in state["tasks"]}

    assert state["tasks_seen"] == 1_000
    assert "never-0" in names
    assert "never-1" not in names
