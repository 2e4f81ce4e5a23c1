"""Replays through the whole relay, on a clock moved by hand."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection
from structlog.testing import capture_logs

from relay.domain.replays import MOST_CLOSED, MOST_DUE, MOST_IN_ALL, MOST_SHOWN
from tests.relays import (
    HOOK,
    OK,
    SUCCESS,
    HandClock,
    RelayInHand,
    World,
    open_relay,
    settings_for,
    sqlite_url,
)
from tests.storage.replaying import many

DAY = 86_400
GONE = httpx.Response(410)
BUSY = httpx.Response(503, headers={"retry-after": "3600"})


async def seeded(
    relay: RelayInHand,
    rows: int,
    client: str = "default",
    kind: str = "tts",
    origin: str = "https://hooks.test",
) -> None:
    """So many dead registrations, whose origin is HOOK's in their callbacks."""

    def seed(connection: Connection) -> None:
        many(
            connection,
            rows,
            at=relay.relay.clock.now(),
            origin=origin,
            kind=kind,
            client=client,
        )

    await relay.relay.database.write(seed)
    await relay.execute(f"UPDATE registrations SET callback_url = '{HOOK}'")  # noqa: S608 - a constant of the tests


async def begun(relay: RelayInHand, **wanted: str) -> str:
    answer = await relay.api.post("/v1/replays", json={"filter": wanted})
    assert answer.status_code == 202, answer.text
    replay: str = answer.json()["id"]
    return replay


async def read(relay: RelayInHand, replay: str) -> dict[str, Any]:
    answer = await relay.api.get(f"/v1/replays/{replay}")
    document: dict[str, Any] = answer.json()
    return document


async def ticked(relay: RelayInHand, seconds: float = 1) -> None:
    relay.hands.advance(seconds)
    await relay.relay.replaying.run_once()
    await relay.settle()
    await relay.tick()


async def until_done(relay: RelayInHand, replay: str, ticks: int = 60) -> dict[str, Any]:
    for _ in range(ticks):
        await ticked(relay)
        found = await read(relay, replay)
        if found["state"] == "done":
            return found
    raise AssertionError(await read(relay, replay))


async def states(relay: RelayInHand) -> dict[str, int]:
    return {
        str(state): int(count)
        for state, count in await relay.execute("SELECT state, count(*) FROM registrations GROUP BY state")
    }


async def test_what_a_receiver_missed_is_sent_to_it_again(relay: RelayInHand) -> None:
    relay.world.task("ended", SUCCESS)
    hook = relay.world.hook(HOOK, GONE, OK)
    registration = await relay.register("ended")

    done = await until_done(relay, await begun(relay))

    assert [request.headers["webhook-id"] for request in hook.requests] == ["evt_" + registration[4:]] * 2
    assert (await relay.read(registration))["state"] == "delivered"
    assert (done["matching"], done["replayed"], done["skipped"]) == (1, 1, 0)
    assert relay.metric("relay_replayed_total") == 1


async def test_a_replay_into_a_receiver_that_is_still_dead_waits_and_says_so(relay: RelayInHand) -> None:
    hook = relay.world.hook(HOOK, BUSY)
    await seeded(relay, MOST_DUE + 100)
    replay = await begun(relay)

    for _ in range(5):
        await ticked(relay)
    held = await read(relay, replay)
    tries_while_dead = len(hook.requests)
    waiting = await states(relay)
    hook.answers[:] = [OK]
    relay.hands.advance(2 * 3600)
    done = await until_done(relay, replay)

    assert tries_while_dead <= 8
    assert waiting["dead"] >= 100
    (origin,) = held["origins"]
    assert (origin["origin"], origin["held"], origin["done"]) == ("https://hooks.test", "paused", False)
    assert origin["held_until"] is not None
    assert done["replayed"] == done["matching"] == MOST_DUE + 100
    assert (await states(relay)) == {"delivered": MOST_DUE + 100}


async def test_a_fresh_delivery_waits_behind_no_more_than_a_replay_may_add(relay: RelayInHand) -> None:
    relay.world.task("ended", SUCCESS)
    await seeded(relay, 3 * MOST_DUE)
    replay = await begun(relay)
    relay.world.everything_sent.answers[:] = [BUSY]
    await relay.relay.replaying.run_once()

    due = await relay.execute("SELECT count(*) FROM deliveries WHERE ended_at IS NULL")

    assert due == [(MOST_DUE,)]
    assert (await read(relay, replay))["replayed"] == MOST_DUE


async def test_a_replay_survives_a_restart_in_the_middle(tmp_path: Path) -> None:
    hands = HandClock()
    world = World(hands.clock.now)
    settings = settings_for(sqlite_url(tmp_path))
    async with open_relay(settings, hands=hands, world=world) as relay:
        await seeded(relay, 2 * MOST_DUE + 50)
        replay = await begun(relay)
        await relay.relay.replaying.run_once()
        middle = await read(relay, replay)
    async with open_relay(settings, hands=hands, world=world) as relay:
        done = await until_done(relay, replay)
        found = await states(relay)

    assert middle["state"] == "running"
    assert middle["replayed"] == MOST_DUE
    assert done["replayed"] == 2 * MOST_DUE + 50
    assert found == {"delivered": 2 * MOST_DUE + 50}
    assert len(world.everything_sent.requests) == 2 * MOST_DUE + 50


async def test_a_paused_replay_does_nothing_until_it_is_resumed(relay: RelayInHand) -> None:
    await seeded(relay, 10)
    replay = await begun(relay)
    await relay.api.post(f"/v1/replays/{replay}/pause")

    await ticked(relay)
    while_paused = await read(relay, replay)
    open_ = relay.metric("relay_replays", state="paused")
    await relay.api.post(f"/v1/replays/{replay}/resume")
    done = await until_done(relay, replay)

    assert (while_paused["state"], while_paused["matching"], while_paused["replayed"]) == ("paused", None, 0)
    assert open_ == 1
    assert done["replayed"] == 10
    assert relay.metric("relay_replays", state="paused") == 0


async def test_a_cancelled_replay_leaves_what_it_sent_again_to_go_on(relay: RelayInHand) -> None:
    await seeded(relay, MOST_DUE + 10)
    replay = await begun(relay)
    await relay.relay.replaying.run_once()
    await relay.api.post(f"/v1/replays/{replay}/cancel")

    for _ in range(3):
        await ticked(relay)

    assert await states(relay) == {"delivered": MOST_DUE, "dead": 10}


async def test_a_replay_of_a_client_that_is_not_configured_waits_for_it(tmp_path: Path) -> None:
    settings = settings_for(sqlite_url(tmp_path))
    hands = HandClock()
    async with open_relay(settings, hands=hands) as relay:
        await seeded(relay, 3)
        replay = await begun(relay)
    alone = settings_for(sqlite_url(tmp_path)).model_copy(
        update={"clients": {"other": settings.clients["other"]}}
    )
    async with open_relay(alone, hands=hands) as relay:
        await ticked(relay)
        without = await states(relay)
    async with open_relay(settings, hands=hands) as relay:
        await until_done(relay, replay)
        with_it = await states(relay)

    assert without == {"dead": 3}
    assert with_it == {"delivered": 3}


async def test_a_replay_tells_of_its_way_in_the_log(relay: RelayInHand) -> None:
    await seeded(relay, 2)
    with capture_logs() as logs:
        replay = await begun(relay)
        await relay.api.post(f"/v1/replays/{replay}/pause")
        await relay.api.post(f"/v1/replays/{replay}/resume")
        await until_done(relay, replay)
        other = await begun(relay)
        await relay.api.post(f"/v1/replays/{other}/cancel")

    told = [entry for entry in logs if entry["event"].startswith("replay.")]
    assert [entry["event"].partition(".")[2] for entry in told] == [
        "started",
        "paused",
        "resumed",
        "done",
        "started",
        "cancelled",
    ]
    assert [entry["matching"] for entry in told] == [None, None, None, 2, None, None]
    assert (told[3]["client"], told[3]["replay"], told[3]["replayed"]) == ("default", replay, 2)


async def test_no_step_is_begun_once_the_relay_drains(relay: RelayInHand) -> None:
    await seeded(relay, 5)
    await begun(relay)

    relay.relay.begin_drain()
    await relay.relay.replaying.run_once()

    assert await states(relay) == {"dead": 5}


@pytest.mark.parametrize("table", ["replays", "replay_parts"])
async def test_a_replay_waits_while_the_database_fails(relay: RelayInHand, table: str) -> None:
    await seeded(relay, 3)
    replay = await begun(relay)
    await relay.execute(f"ALTER TABLE {table} RENAME TO elsewhere")

    with capture_logs() as logs:
        await relay.relay.replaying.run_once()
    await relay.execute(f"ALTER TABLE elsewhere RENAME TO {table}")
    done = await until_done(relay, replay)

    assert [entry["event"] for entry in logs] == ["replay.failed"]
    assert done["replayed"] == 3


async def test_one_replay_that_fails_holds_no_other_up(relay: RelayInHand) -> None:
    await seeded(relay, 3)
    broken, whole = await begun(relay), await begun(relay)
    await relay.execute(f"UPDATE replays SET wanted_state = 'watching' WHERE id = '{broken}'")  # noqa: S608 - an id of ours
    await relay.execute("UPDATE registrations SET state = 'watching' WHERE id LIKE '%000002'")

    with capture_logs() as logs:
        await ticked(relay)
        await ticked(relay)

    assert (await read(relay, whole))["state"] == "done"
    assert await relay.execute(f"SELECT state FROM replays WHERE id = '{broken}'") == [("running",)]  # noqa: S608 - an id of ours
    assert relay.metric("relay_errors_total", work="replay") >= 1
    assert {entry["replay"] for entry in logs if entry["event"] == "replay.failed"} == {broken}


async def test_replays_go_with_what_is_finished(relay: RelayInHand) -> None:
    await seeded(relay, 1)
    replay = await begun(relay)
    await until_done(relay, replay)
    relay.hands.advance(30 * DAY)
    await relay.relay.pruning.run_once()
    kept = await relay.api.get(f"/v1/replays/{replay}")

    relay.hands.advance(60)
    await relay.relay.pruning.run_once()

    assert kept.status_code == 200
    assert (await relay.api.get(f"/v1/replays/{replay}")).status_code == 404


async def test_replays_that_are_begun_and_cancelled_over_and_over_do_not_pile_up(relay: RelayInHand) -> None:
    answers: list[httpx.Response] = []
    while not answers or answers[-1].status_code == 202:
        relay.hands.advance(0.01)
        answers.append(await relay.api.post("/v1/replays", json={"filter": {}}))
        if answers[-1].status_code == 202:
            await relay.api.post(f"/v1/replays/{answers[-1].json()['id']}/cancel")
    others = await relay.other.post("/v1/replays", json={"filter": {}})

    await relay.relay.pruning.run_once()
    again = await relay.api.post("/v1/replays", json={"filter": {}})

    assert len(answers) == MOST_IN_ALL + 1
    assert (answers[-1].status_code, answers[-1].headers["retry-after"]) == (429, "60")
    assert (others.status_code, again.status_code) == (202, 202)
    assert await relay.execute("SELECT count(*) FROM replays WHERE client = 'default'") == [
        (MOST_CLOSED + 1,)
    ]
    assert (await read(relay, answers[-2].json()["id"]))["state"] == "cancelled"
    assert (await relay.api.get(f"/v1/replays/{answers[0].json()['id']}")).status_code == 404


async def test_of_a_replay_that_is_over_no_more_origins_are_kept_than_are_shown(relay: RelayInHand) -> None:
    for number in range(MOST_SHOWN + 50):
        await seeded(relay, 1, origin=f"https://{number}.test")
    before = await until_done(relay, await begun(relay))

    await relay.relay.pruning.run_once()

    assert await relay.execute("SELECT count(*) FROM replay_parts") == [(MOST_SHOWN + 1,)]
    assert await read(relay, before["id"]) == before
    assert (len(before["origins"]), before["more_origins"]) == (MOST_SHOWN, True)


async def test_a_client_counts_only_so_much_at_once(relay: RelayInHand) -> None:
    busy = threading.Event()
    reading = asyncio.ensure_future(relay.relay.database.read(lambda _: busy.wait(10)))
    ask = {"filter": {}, "dry_run": True}
    counts = [asyncio.ensure_future(relay.api.post("/v1/replays", json=ask)) for _ in range(2)]
    for _ in range(50):
        await asyncio.sleep(0)

    refused = await relay.api.post("/v1/replays", json=ask)
    other = asyncio.ensure_future(relay.other.post("/v1/replays", json=ask))
    for _ in range(50):
        await asyncio.sleep(0)
    busy.set()
    await reading
    answers = await asyncio.gather(*counts, other)
    again = await relay.api.post("/v1/replays", json=ask)

    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert {answer.status_code for answer in (*answers, again)} == {200}
