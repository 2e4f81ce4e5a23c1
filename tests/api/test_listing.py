import httpx
import pytest

from relay.domain.registrations import RegistrationState
from tests.relays import HOOK, SUCCESS, RelayInHand


async def ids(relay: RelayInHand, query: str = "") -> list[str]:
    answer = await relay.api.get(f"/v1/registrations{query}")
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["data"]]


async def test_registrations_are_listed_newest_first_page_by_page(relay: RelayInHand) -> None:
    made = []
    for number in range(5):
        made.append(await relay.register(f"task-{number}"))
        relay.hands.advance(0.01)

    pages = [(await relay.api.get("/v1/registrations?limit=2")).json()]
    while (cursor := pages[-1]["next_cursor"]) is not None:
        pages.append((await relay.api.get(f"/v1/registrations?limit=2&cursor={cursor}")).json())

    assert [len(page["data"]) for page in pages] == [2, 2, 1]
    assert [item["id"] for page in pages for item in page["data"]] == made[::-1]


async def test_a_page_that_holds_the_rest_has_no_cursor(relay: RelayInHand) -> None:
    await relay.register("task-1")
    await relay.register("task-2")

    answer = await relay.api.get("/v1/registrations?limit=2")

    assert len(answer.json()["data"]) == 2
    assert answer.json()["next_cursor"] is None


async def test_a_page_holds_fifty_unless_asked_for_more(relay: RelayInHand) -> None:
    items = [{"task_id": f"task-{number}", "callback_url": HOOK} for number in range(201)]
    await relay.api.post("/v1/registrations/batch", json={"registrations": items})

    assert len(await ids(relay)) == 50
    assert len(await ids(relay, "?limit=200")) == 200


async def test_a_list_leaves_the_bodies_out(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    await relay.register()

    (item,) = (await relay.api.get("/v1/registrations")).json()["data"]

    assert item["event"]["type"] == "task.succeeded"
    assert item["event"]["body"] is None


async def test_a_list_can_be_narrowed(relay: RelayInHand) -> None:
    relay.world.task("ended", SUCCESS)
    relay.world.hook(HOOK + "/gone", httpx.Response(410))
    relay.world.hook(HOOK + "/broken", httpx.Response(500))
    made = {
        RegistrationState.WATCHING: await relay.register("task-1", kind="dub"),
        RegistrationState.CANCELLED: await relay.register("task-1", kind="tts"),
        RegistrationState.DELIVERED: await relay.register("ended"),
        RegistrationState.DEAD: await relay.register("ended", HOOK + "/gone"),
        RegistrationState.DELIVERING: await relay.register("ended", HOOK + "/broken"),
    }
    await relay.api.post(f"/v1/registrations/{made[RegistrationState.CANCELLED]}/cancel")

    for state, registration in made.items():
        assert await ids(relay, f"?state={state}") == [registration]
    assert await ids(relay, "?kind=dub") == [made[RegistrationState.WATCHING]]
    assert set(await ids(relay, "?task_id=task-1")) == {
        made[RegistrationState.WATCHING],
        made[RegistrationState.CANCELLED],
    }
    assert await ids(relay, "?task_id=task-1&kind=tts") == [made[RegistrationState.CANCELLED]]
    assert await ids(relay, "?task_id=task-1&state=dead") == []
    assert await ids(relay, "?task_id=unheard-of") == []


async def test_of_a_kind_that_nobody_has_the_pages_come_to_an_end(relay: RelayInHand) -> None:
    oldest = await relay.register("task-1", kind="dub")
    await relay.execute(
        "INSERT INTO registrations (id, task, client, callback_url, origin, format, metadata, created_at, expires_at,"
        " not_found_before, state)"
        " WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted LIMIT 10000)"
        " SELECT printf('reg_f%031x', n), task, client, '', '', 'standard', metadata, 0, 0, 0, 'cancelled'"
        " FROM counted, registrations"
    )

    first, rare = [
        (await relay.api.get(f"/v1/registrations?kind={kind}")).json() for kind in ("dub", "story")
    ]
    last = (await relay.api.get(f"/v1/registrations?kind=story&cursor={rare['next_cursor']}")).json()

    assert len(first["data"]) == 50
    assert rare == {"data": [], "next_cursor": f"reg_f{1:031x}"}
    assert last == {"data": [], "next_cursor": None}
    assert await ids(relay, f"?cursor={rare['next_cursor']}") == [oldest]


async def test_what_is_dead_is_found_by_its_origin_its_reason_and_its_time(relay: RelayInHand) -> None:
    elsewhere = "https://elsewhere.test/in"
    relay.world.task("ended", SUCCESS)
    relay.world.hook(HOOK, httpx.Response(410))
    relay.world.hook(elsewhere, httpx.Response(410))
    first = await relay.register("ended")
    relay.hands.advance(3_600)
    second = await relay.register("ended", elsewhere)
    accepted = await relay.register("ended", HOOK + "/fine")

    assert await ids(relay, "?dead_reason=gone") == [second, first]
    assert await ids(relay, "?dead_reason=exhausted") == []
    assert set(await ids(relay, "?origin=https://hooks.test")) == {first, accepted}
    assert await ids(relay, "?origin=https://Hooks.Test:443&state=dead") == [first]
    assert await ids(relay, "?dead_reason=gone&origin=https://elsewhere.test/") == [second]
    assert await ids(relay, "?dead_reason=gone&since=2026-11-18T12:00:00Z") == [second]
    assert await ids(relay, "?dead_reason=gone&until=2026-11-18T12:00:00Z") == [first]


@pytest.mark.parametrize("origin", [HOOK, "https://[hooks.test", "hooks.test"])
async def test_an_origin_that_can_be_none_is_refused(relay: RelayInHand, origin: str) -> None:
    answer = await relay.api.get("/v1/registrations", params={"origin": origin})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "origin"


async def test_a_time_that_is_none_is_refused(relay: RelayInHand) -> None:
    answer = await relay.api.get("/v1/registrations?since=yesterday")

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "since"


async def test_a_registration_shows_why_its_newest_attempt_failed(relay: RelayInHand) -> None:
    relay.world.task("ended", SUCCESS)
    relay.world.hook(HOOK, httpx.Response(503), httpx.Response(204))
    registration = await relay.register("ended")
    failing = (await relay.read(registration))["delivery"]["last_error"]
    await relay.pass_to_next("deliveries")

    assert failing == "the callback answered 503"
    assert (await relay.read(registration))["delivery"]["last_error"] is None
