from datetime import UTC, datetime

import httpx
import pytest

from relay.client import NoAnswer, Problem, Registered, RelayClient, Wish
from tests.client.conftest import Spoken
from tests.relays import FAILING, HOOK, OTHER_TOKEN, SUCCESS
from tests.sockets import unused_port


async def test_what_was_registered_can_be_read_listed_and_explained(spoken: Spoken) -> None:
    spoken.relay.world.task("task-1", SUCCESS)

    made = await spoken.say(
        lambda relay: relay.register("task-1", HOOK, metadata={"order": 7}, expires_in=60)
    )
    await spoken.relay.tick()

    found = await spoken.say(lambda relay: relay.get(made["id"]))
    assert (found["state"], found["metadata"], found["callback_url"]) == ("delivered", {"order": 7}, HOOK)
    assert found["event"] is not None
    assert found["event"]["body"]["data"]["task_id"] == "task-1"
    assert [each["id"] for each in await spoken.say(lambda relay: list(relay.registrations()))] == [
        made["id"]
    ]
    assert [step["what"] for step in await spoken.say(lambda relay: relay.timeline(made["id"]))][
        -1
    ] == "delivered"
    (attempt,) = await spoken.say(lambda relay: list(relay.attempts(made["id"])))
    assert attempt["outcome"] == "accepted"


async def test_a_list_is_read_page_by_page_to_its_end(spoken: Spoken) -> None:
    wishes: list[Wish] = [{"task_id": f"task-{number}", "callback_url": HOOK} for number in range(7)]
    made = await spoken.say(lambda relay: list(relay.register_many(wishes)))

    listed = await spoken.say(lambda relay: list(relay.registrations(page=2)))

    ids = [each.registration["id"] for each in made if isinstance(each, Registered)]
    assert {each["id"] for each in listed} == set(ids)
    assert len(listed) == len(ids) == 7


async def test_a_list_can_be_narrowed_by_moments_that_know_their_zone(spoken: Spoken) -> None:
    made = await spoken.say(lambda relay: relay.register("task-1", HOOK))
    moment = datetime.fromisoformat(made["created_at"])

    since = await spoken.say(lambda relay: list(relay.registrations(since=moment.astimezone(UTC))))
    until = await spoken.say(lambda relay: list(relay.registrations(until=made["created_at"])))

    assert ([each["id"] for each in since], until) == ([made["id"]], [])


async def test_of_many_registrations_each_has_its_own_answer(spoken: Spoken) -> None:
    await spoken.say(lambda relay: relay.register("stands", HOOK))
    wishes: list[Wish] = [
        {"task_id": "new", "callback_url": HOOK},
        {"task_id": "stands", "callback_url": HOOK},
        {"task_id": "wrong", "callback_url": "ftp://hooks.test"},
    ]

    new, stands, wrong = await spoken.say(lambda relay: list(relay.register_many(wishes)))

    assert isinstance(new, Registered)
    assert isinstance(stands, Registered)
    assert (new.created, stands.created) == (True, False)
    assert isinstance(wrong, Problem)
    assert (wrong.status, wrong.errors[0]["field"]) == (422, "callback_url")
    assert str(wrong).startswith("callback_url: ")


async def test_more_than_a_batch_holds_goes_out_in_several(spoken: Spoken) -> None:
    wishes: list[Wish] = [{"task_id": f"task-{number}", "callback_url": HOOK} for number in range(1_001)]

    answers = await spoken.say(lambda relay: list(relay.register_many(wishes)))

    assert len(answers) == 1_001
    assert all(isinstance(each, Registered) for each in answers)


async def test_what_is_dead_is_redelivered_and_replayed(spoken: Spoken) -> None:
    spoken.relay.world.task("task-1", SUCCESS)
    spoken.relay.world.hook(HOOK, httpx.Response(410), FAILING, httpx.Response(204))
    made = await spoken.say(lambda relay: relay.register("task-1", HOOK))
    await spoken.relay.tick()

    assert (await spoken.say(lambda relay: relay.get(made["id"])))["state"] == "dead"
    assert await spoken.say(lambda relay: relay.count_replay(origin="https://hooks.test")) == 1
    assert await spoken.say(lambda relay: relay.count_replay(since=datetime(2100, 1, 1, tzinfo=UTC))) == 0
    replay = await spoken.say(lambda relay: relay.replay(kind="text-to-sound"))
    paused = await spoken.say(lambda relay: relay.change_replay(replay["id"], "pause"))
    assert (paused["state"], paused["filter"]["kind"]) == ("paused", "text-to-sound")
    assert (await spoken.say(lambda relay: relay.change_replay(replay["id"], "cancel")))[
        "state"
    ] == "cancelled"
    assert (await spoken.say(lambda relay: relay.get_replay(replay["id"])))["origins"] is not None
    assert [each["id"] for each in await spoken.say(lambda relay: list(relay.replays()))] == [replay["id"]]
    again = await spoken.say(lambda relay: relay.redeliver(made["id"]))
    assert again["state"] == "delivering"
    (origin,) = await spoken.say(lambda relay: list(relay.origins()))
    assert (origin["origin"], origin["waiting"]) == ("https://hooks.test", 1)


async def test_a_registration_is_cancelled_and_a_test_is_sent(spoken: Spoken) -> None:
    made = await spoken.say(lambda relay: relay.register("task-1", HOOK))

    cancelled = await spoken.say(lambda relay: relay.cancel(made["id"]))
    trial = await spoken.say(lambda relay: relay.test(HOOK))

    assert cancelled["state"] == "cancelled"
    assert trial["attempt"]["outcome"] == "accepted"


async def test_a_refusal_carries_what_the_relay_said(spoken: Spoken) -> None:
    made = await spoken.say(lambda relay: relay.register("task-1", HOOK))

    with pytest.raises(Problem) as differs:
        await spoken.say(lambda relay: relay.register("task-1", HOOK, metadata={"order": 8}))
    with pytest.raises(Problem) as unknown:
        await spoken.say(lambda relay: relay.get(made["id"]), OTHER_TOKEN)
    with pytest.raises(Problem) as stranger:
        await spoken.say(lambda relay: relay.get(made["id"]), "nobodys-token")

    assert (differs.value.status, differs.value.location) == (409, f"/v1/registrations/{made['id']}")
    assert [error["field"] for error in differs.value.errors] == ["metadata"]
    assert (unknown.value.status, str(unknown.value)) == (404, "there is no such registration")
    assert (stranger.value.status, stranger.value.passing) == (401, False)
    assert stranger.value.request_id is not None


@pytest.mark.parametrize("strange", ["..", "a/b", "a?b", "%2e"])
async def test_an_id_never_becomes_another_path(spoken: Spoken, strange: str) -> None:
    with pytest.raises(Problem) as problem:
        await spoken.say(lambda relay: relay.get(strange))

    assert problem.value.status == 404


def answering(answer: httpx.Response | Exception) -> RelayClient:
    def handle(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return RelayClient("https://relay.test/base", "token", transport=httpx.MockTransport(handle))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(200, text="<html>welcome"), "says 200 OK"),
        (httpx.Response(404, json=["no"]), "says 404 Not Found"),
        (httpx.Response(502, text="bad gateway"), "says 502 Bad Gateway"),
        (httpx.Response(308, headers={"location": "https://elsewhere.test/"}), "to https://elsewhere.test/"),
        (httpx.Response(400, content=b"\xff"), "says 400 Bad Request"),
    ],
    ids=["a page", "not a problem", "a gateway", "a redirect", "no text"],
)
def test_what_is_no_relay_is_called_so(answer: httpx.Response, words: str) -> None:
    with answering(answer) as relay, pytest.raises(Problem, match="is no relay") as problem:
        relay.get("reg_1")

    assert words in str(problem.value)
    assert problem.value.status == answer.status_code


def test_where_nobody_answers_the_call_may_be_repeated() -> None:
    with (
        RelayClient(f"http://127.0.0.1:{unused_port()}") as relay,
        pytest.raises(NoAnswer, match="no answer from"),
    ):
        relay.register("task-1", HOOK)
    with answering(httpx.ReadTimeout("slow")) as relay, pytest.raises(NoAnswer, match="in time"):
        relay.register("task-1", HOOK)


def test_a_path_before_the_api_is_kept_and_a_token_is_sent_along() -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"data": [], "next_cursor": "c-1"})

    with RelayClient("https://relay.test/base/", "tok", transport=httpx.MockTransport(handle)) as relay:
        page = relay.events("c-0", limit=5, wait=3)

    assert str(seen[0].url) == "https://relay.test/base/v1/events?after=c-0&limit=5&wait=3"
    assert seen[0].headers["authorization"] == "Bearer tok"
    assert (page.data, page.next_cursor) == ((), "c-1")


def test_a_url_without_its_scheme_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="begins with http"):
        RelayClient("localhost:8080")
