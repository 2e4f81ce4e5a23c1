import httpx
import pytest


async def test_a_task_can_be_scripted_answer_by_answer(
    camb: httpx.AsyncClient, backstage: httpx.AsyncClient
) -> None:
    made = await backstage.post(
        "/tasks",
        json={
            "task_id": "5f0c",
            "kind": "dub",
            "answers": [
                {"http_status": 429, "headers": {"Retry-After": "7"}, "json": {"detail": "slow down"}},
                {"body": "<html>", "headers": {"content-type": "text/html"}},
                {"json": {"status": "SUCCESS", "run_id": 5}},
            ],
        },
    )
    answers = [await camb.get("/dub/5f0c") for _ in range(4)]

    assert made.status_code == 201
    assert [(each.status_code, each.text) for each in answers] == [
        (429, '{"detail":"slow down"}'),
        (200, "<html>"),
        (200, '{"status":"SUCCESS","run_id":5}'),
        (200, '{"status":"SUCCESS","run_id":5}'),
    ]
    assert [answers[0].headers["retry-after"], answers[1].headers["content-type"]] == ["7", "text/html"]
    shown = (await backstage.get("/state", params={"task_id": "5f0c"})).json()["tasks"][0]
    assert (shown["behaviour"], shown["ending"]) == ("scripted", "succeeded")


async def test_a_task_can_be_given_a_script_in_words(
    camb: httpx.AsyncClient, backstage: httpx.AsyncClient
) -> None:
    await backstage.post("/tasks", json={"task_id": "5f0c", "script": "late-404-times-2"})

    statuses = [(await camb.get("/text-to-sound/5f0c")).status_code for _ in range(5)]

    assert statuses == [404, 404, 404, 404, 200]


async def test_a_scripted_task_is_of_one_kind(camb: httpx.AsyncClient, backstage: httpx.AsyncClient) -> None:
    await backstage.post("/tasks", json={"task_id": "5f0c", "kind": "dub", "script": "error"})

    assert (await camb.get("/tts/5f0c")).status_code == 404
    assert (await camb.get("/dub/5f0c")).json()["status"] == "ERROR"


async def test_scripting_a_task_again_begins_it_anew(
    camb: httpx.AsyncClient, backstage: httpx.AsyncClient
) -> None:
    await backstage.post("/tasks", json={"task_id": "x", "script": "never"})
    before = (await camb.get("/text-to-sound/x")).json()["status"]
    await backstage.post("/tasks", json={"task_id": "x", "answers": [{"json": {"status": "ERROR"}}]})
    after = (await camb.get("/text-to-sound/x")).json()["status"]
    shown = (await backstage.get("/state", params={"task_id": "x"})).json()["tasks"]

    assert (before, after) == ("PENDING", "ERROR")
    assert [(task["polls"], task["ending"]) for task in shown] == [(1, "failed")]


@pytest.mark.parametrize(
    "spec",
    [
        {"script": "success"},
        {"task_id": ""},
        {"task_id": "x"},
        {"task_id": "x", "answers": []},
        {"task_id": "x", "script": "success", "answers": [{"json": 1}]},
        {"task_id": "x", "script": "nonsense"},
        {"task_id": "x", "script": "success", "kind": "opera"},
        {"task_id": "x", "script": "success", "surprise": 1},
        {"task_id": "x", "answers": [{"http_status": 99}]},
        {"task_id": "x", "answers": [{"surprise": 1}]},
    ],
)
async def test_a_script_that_makes_no_sense_is_refused(
    backstage: httpx.AsyncClient, spec: dict[str, object]
) -> None:
    answer = await backstage.post("/tasks", json=spec)

    assert answer.status_code == 422
    assert (await backstage.get("/state")).json()["tasks_seen"] == 0


async def test_keys_that_make_no_sense_are_refused(backstage: httpx.AsyncClient) -> None:
    assert (await backstage.post("/keys", content=b"[]")).status_code == 422
