from typing import Any

import httpx
import pytest

from relay.domain.replays import MOST_OPEN
from tests.api.problems import problem, rules
from tests.relays import HOOK, SUCCESS, RelayInHand

ORIGIN = HOOK.removesuffix("/in")


async def asked(relay: RelayInHand, **wanted: object) -> httpx.Response:
    return await relay.api.post("/v1/replays", json={"filter": wanted})


async def counted(relay: RelayInHand, **wanted: object) -> httpx.Response:
    return await relay.api.post("/v1/replays", json={"filter": wanted, "dry_run": True})


async def begun(relay: RelayInHand, **wanted: object) -> dict[str, Any]:
    answer = await asked(relay, **wanted)
    assert answer.status_code == 202, answer.text
    replay: dict[str, Any] = answer.json()
    return replay


async def dead_and_delivered(relay: RelayInHand) -> None:
    relay.world.task("ended", SUCCESS)
    relay.world.task("ended", SUCCESS, route="dub")
    relay.world.hook(HOOK + "/gone", httpx.Response(410))
    relay.world.hook("https://elsewhere.test/gone", httpx.Response(410))
    await relay.register("ended", HOOK + "/gone")
    relay.hands.advance(3600)
    await relay.register("ended", "https://elsewhere.test/gone", kind="dub")
    await relay.register("ended")


async def test_a_replay_is_begun_and_answered_with_where_to_find_it(relay: RelayInHand) -> None:
    await dead_and_delivered(relay)

    answer = await asked(relay, kind="dub", since="2020-01-01T00:00:00+02:00")
    replay = answer.json()
    await relay.relay.replaying.run_once()
    await relay.settle()
    found = await relay.api.get(answer.headers["location"])

    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/replays/{replay['id']}"
    assert replay["state"] == "running"
    assert replay["filter"] == {
        "state": "dead",
        "kind": "dub",
        "origin": None,
        "since": "2019-12-31T22:00:00.000Z",
        "until": None,
    }
    assert (replay["matching"], replay["replayed"], replay["origins"]) == (None, 0, [])
    assert found.json() | {"state": "", "closed_at": ""} == replay | {
        "state": "",
        "closed_at": "",
        "matching": 1,
        "replayed": 1,
        "origins": [
            {
                "origin": "https://elsewhere.test",
                "done": True,
                "matching": 1,
                "replayed": 1,
                "held": None,
                "held_until": None,
            }
        ],
    }


@pytest.mark.parametrize(
    ("wanted", "matching"),
    [
        ({}, 2),
        ({"state": "delivered"}, 1),
        ({"kind": "dub"}, 1),
        ({"origin": ORIGIN}, 1),
        ({"origin": "HTTPS://Hooks.test:443/"}, 1),
        ({"origin": "https://nobody.test"}, 0),
        ({"since": "9999-12-31T23:59:59Z"}, 0),
        ({"until": "1970-01-01T00:00:00.5+00:00"}, 0),
    ],
)
async def test_a_dry_run_counts_and_changes_nothing(
    relay: RelayInHand, wanted: dict[str, object], matching: int
) -> None:
    await dead_and_delivered(relay)
    before = await relay.stored()

    answer = await counted(relay, **wanted)

    assert answer.status_code == 200
    assert answer.json() == {"matching": matching}
    assert await relay.stored() == before


@pytest.mark.parametrize(
    ("body", "field", "rule"),
    [
        ({}, "filter", "Field required"),
        ([], "", "must be a JSON object"),
        ({"filter": {}, "dryrun": True}, "dryrun", "Extra inputs are not permitted"),
        ({"filter": {}, "dry_run": 1}, "dry_run", "valid boolean"),
        ({"filter": {"status": "dead"}}, "filter.status", "Extra inputs are not permitted"),
        ({"filter": {"state": "watching"}}, "filter.state", "'dead' or 'delivered'"),
        ({"filter": {"kind": "dubs"}}, "filter.kind", "must be one of"),
        ({"filter": {"origin": HOOK}}, "filter.origin", "without path or query"),
        ({"filter": {"origin": ORIGIN + "?a=1"}}, "filter.origin", "without path or query"),
        ({"filter": {"origin": "hooks.test"}}, "filter.origin", "must begin with https://"),
        ({"filter": {"origin": "https://user@hooks.test"}}, "filter.origin", "user name"),
        ({"filter": {"since": "yesterday"}}, "filter.since", "with an offset"),
        ({"filter": {"since": "2026-11-23T13:00:00"}}, "filter.since", "with an offset"),
        ({"filter": {"since": "2026-11-23"}}, "filter.since", "with an offset"),
        ({"filter": {"since": "2026-02-30T13:00:00Z"}}, "filter.since", "that there is"),
        ({"filter": {"since": "2026-11-23T13:00:00." + "1" * 60 + "Z"}}, "filter.since", "64 characters"),
        ({"filter": {"until": 1_795_000_000}}, "filter.until", "valid string"),
        (
            {"filter": {"since": "2026-11-23T13:00:00Z", "until": "2026-11-23T14:00:00+01:00"}},
            "filter",
            "until must be later than since",
        ),
    ],
)
async def test_a_replay_that_breaks_a_rule_is_refused_with_the_rule(
    relay: RelayInHand, body: object, field: str, rule: str
) -> None:
    before = await relay.stored()

    answer = await relay.api.post("/v1/replays", json=body)

    assert rule in rules(answer)[field]
    assert await relay.stored() == before


async def test_replays_are_listed_newest_first_page_by_page(relay: RelayInHand) -> None:
    made = []
    for _ in range(3):
        made.append((await begun(relay))["id"])
        relay.hands.advance(1)

    first = (await relay.api.get("/v1/replays?limit=2")).json()
    rest = (await relay.api.get(f"/v1/replays?limit=2&cursor={first['next_cursor']}")).json()

    assert [replay["id"] for replay in (*first["data"], *rest["data"])] == made[::-1]
    assert {replay["origins"] for replay in first["data"]} == {None}
    assert rest["next_cursor"] is None


@pytest.mark.parametrize("cursor", ["", "1", "reg_" + "0" * 32])
async def test_a_cursor_that_is_none_is_refused(relay: RelayInHand, cursor: str) -> None:
    answer = await relay.api.get(f"/v1/replays?cursor={cursor}")

    assert rules(answer) == {"cursor": "must be the next_cursor of an earlier answer"}


async def test_a_replay_is_paused_resumed_and_cancelled_as_often_as_one_likes(relay: RelayInHand) -> None:
    replay = (await begun(relay))["id"]

    states = []
    for change in ("pause", "pause", "resume", "resume", "pause", "cancel", "cancel"):
        answer = await relay.api.post(f"/v1/replays/{replay}/{change}")
        states.append((answer.status_code, answer.json()["state"], answer.json()["closed_at"] is None))
    refused = [await relay.api.post(f"/v1/replays/{replay}/{change}") for change in ("pause", "resume")]

    assert states == [
        *[(200, "paused", True)] * 2,
        *[(200, "running", True)] * 2,
        (200, "paused", True),
        *[(200, "cancelled", False)] * 2,
    ]
    assert [problem(answer, 409)["detail"] for answer in refused] == [
        "a replay that is cancelled cannot be paused",
        "a replay that is cancelled cannot be resumed",
    ]


async def test_a_replay_that_is_done_is_not_cancelled(relay: RelayInHand) -> None:
    replay = (await begun(relay))["id"]
    await relay.relay.replaying.run_once()

    answer = await relay.api.post(f"/v1/replays/{replay}/cancel")

    assert problem(answer, 409)["detail"] == "a replay that is done cannot be cancelled"


async def test_a_client_has_only_so_many_replays_open(relay: RelayInHand) -> None:
    for _ in range(MOST_OPEN):
        await begun(relay)

    answer = await asked(relay)
    of_another = await relay.other.post("/v1/replays", json={"filter": {}})
    count = await counted(relay)

    assert "10 replays are open already" in problem(answer, 409)["detail"]
    assert (of_another.status_code, count.status_code) == (202, 200)


async def test_another_clients_replay_is_not_there(relay: RelayInHand) -> None:
    await dead_and_delivered(relay)
    replay = (await begun(relay))["id"]
    before = await relay.stored()

    answers = [
        await relay.other.get(f"/v1/replays/{replay}"),
        *[
            await relay.other.post(f"/v1/replays/{replay}/{change}")
            for change in ("pause", "resume", "cancel")
        ],
        await relay.api.get("/v1/replays/rpl_" + "0" * 32),
        await relay.api.get("/v1/replays/reg_" + "0" * 32),
        await relay.api.get("/v1/replays/1"),
    ]
    count = await relay.other.post("/v1/replays", json={"filter": {}, "dry_run": True})

    assert [problem(answer, 404)["detail"] for answer in answers] == ["there is no such replay"] * 7
    assert (await relay.other.get("/v1/replays")).json()["data"] == []
    assert count.json() == {"matching": 0}
    assert await relay.stored() == before
