from pathlib import Path

import httpx
from structlog.testing import capture_logs

from relay.settings import Settings
from tests.relays import (
    FAILING,
    HOOK,
    OK,
    PENDING,
    SUCCESS,
    HandClock,
    RelayInHand,
    World,
    open_relay,
    settings_for,
    sqlite_url,
)

DAY = 86_400


async def ids(relay: RelayInHand) -> set[str]:
    return {item["id"] for item in (await relay.api.get("/v1/registrations")).json()["data"]}


async def in_every_state(relay: RelayInHand) -> dict[str, str]:
    relay.world.task("ended", SUCCESS)
    relay.world.hook(HOOK + "/gone", httpx.Response(410))
    relay.world.hook(HOOK + "/busy", httpx.Response(503, headers={"retry-after": str(DAY)}))
    made = {
        "delivered": await relay.register("ended"),
        "available": await relay.register("ended", None),
        "dead": await relay.register("ended", HOOK + "/gone"),
        "delivering": await relay.register("ended", HOOK + "/busy"),
        "cancelled": await relay.register("task-1"),
        "watching": await relay.register("task-2", expires_in=30 * DAY),
    }
    await relay.api.post(f"/v1/registrations/{made['cancelled']}/cancel")
    return made


async def test_what_is_finished_is_kept_for_thirty_days_and_what_is_dead_for_ever(relay: RelayInHand) -> None:
    made = await in_every_state(relay)
    relay.hands.advance(30 * DAY)
    await relay.relay.pruning.run_once()
    before = await ids(relay)

    relay.hands.advance(1)
    await relay.relay.pruning.run_once()

    assert before == set(made.values())
    assert await ids(relay) == {made["dead"], made["delivering"], made["watching"]}


async def test_what_is_dead_goes_after_its_own_time_where_one_is_set(tmp_path: Path) -> None:
    settings = settings_for(sqlite_url(tmp_path), retention={"finished": "P60D", "dead": "P1D"})
    async with open_relay(settings) as relay:
        made = await in_every_state(relay)
        relay.hands.advance(DAY + 1)
        await relay.relay.pruning.run_once()

        left = await ids(relay)

    assert left == set(made.values()) - {made["dead"]}


async def test_a_task_goes_with_its_last_registration(relay: RelayInHand) -> None:
    relay.world.task("ended", SUCCESS)
    await relay.register("ended")

    relay.hands.advance(30 * DAY + 1)
    await relay.relay.pruning.run_once()

    stored = await relay.stored()
    for table in ("tasks", "reports", "registrations", "events", "deliveries", "attempts"):
        assert stored[table] == []


async def test_more_than_one_roundful_is_pruned_at_once(relay: RelayInHand) -> None:
    relay.world.task("ended", SUCCESS)
    items = [{"task_id": "ended", "callback_url": f"{HOOK}/{number}"} for number in range(600)]
    await relay.api.post("/v1/registrations/batch", json={"registrations": items})
    await relay.settle()

    relay.hands.advance(30 * DAY + 1)
    await relay.relay.pruning.run_once()

    assert (await relay.stored())["registrations"] == []


async def test_whoever_watches_a_task_that_has_ended_is_counted_and_told(relay: RelayInHand) -> None:
    relay.world.task("task-1", PENDING)
    registration = await relay.register()
    await relay.execute("UPDATE tasks SET state = 'succeeded', next_at = NULL")
    await relay.execute('UPDATE reports SET payload = CAST(\'{"status": "SUCCESS"}\' AS BLOB)')

    with capture_logs() as logs:
        await relay.relay.pruning.run_once()
    found = relay.metric("relay_watching_under_terminal")
    await relay.tick()
    await relay.relay.pruning.run_once()

    assert found == 1
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("watching_under_terminal.healed", "error")
    ]
    assert (await relay.read(registration))["event"]["type"] == "task.succeeded"
    assert relay.metric("relay_watching_under_terminal") == 0


async def test_work_of_a_client_that_is_not_configured_is_held_and_counted(tmp_path: Path) -> None:
    hands = HandClock()
    world = World(hands.clock.now)
    world.task("ended", SUCCESS)
    gone = world.task("pending", PENDING)
    hook = world.hook(HOOK, FAILING, OK)
    everybody = settings_for(sqlite_url(tmp_path))
    async with open_relay(everybody, hands=hands, world=world) as relay:
        for task_id in ("ended", "pending"):
            await relay.other.post(
                "/v1/registrations", json={"task_id": task_id, "callback_url": HOOK, "expires_in": 60}
            )
            await relay.settle()

    async with open_relay(without_other(everybody), hands=hands, world=world) as relay:
        await relay.pass_time(3_600)
        await relay.relay.pruning.run_once()
        await relay.relay.measuring.run_once()
        held = [relay.metric("relay_held", queue=queue) for queue in ("tasks", "deliveries")]
        due = [relay.metric("relay_due", queue=queue) for queue in ("tasks", "deliveries")]
        meanwhile = (len(gone.requests), len(hook.requests))

    async with open_relay(everybody, hands=hands, world=world) as relay:
        await relay.tick()
        states = sorted(item["state"] for item in (await relay.other.get("/v1/registrations")).json()["data"])

    assert held == [1, 1]
    assert due == [0, 0]
    assert meanwhile == (1, 1)
    assert states == ["delivered", "delivered"]


def without_other(settings: Settings) -> Settings:
    clients = {name: section for name, section in settings.clients.items() if name != "other"}
    return settings.model_copy(update={"clients": clients})


async def test_pauses_that_are_long_over_are_forgotten(relay: RelayInHand) -> None:
    relay.world.task("ended", SUCCESS)
    relay.world.hook(HOOK, httpx.Response(429), OK)
    await relay.register("ended")
    await relay.pass_time(5)
    paused = [row[0] for row in await relay.execute("SELECT name FROM lanes")]

    relay.hands.advance(3_601)
    await relay.relay.pruning.run_once()

    left = [row[0] for row in await relay.execute("SELECT name FROM lanes")]
    assert "default https://hooks.test" in paused
    assert [name[:4] for name in left] == ["key:"]


async def test_a_delivery_without_a_callback_that_an_older_worker_made_is_put_right(
    relay: RelayInHand,
) -> None:
    relay.world.task("ended", SUCCESS)
    registration = await relay.register("ended", None)
    await relay.execute(
        "INSERT INTO deliveries (registration, lane, next_at, fence, round, attempts, failures)"
        " SELECT id, 'default ', created_at, 0, 1, 0, 0 FROM registrations"
    )
    await relay.execute("UPDATE registrations SET state = 'delivering', closed_at = NULL")
    await relay.pass_time(1)
    before = (await relay.read(registration))["state"]

    with capture_logs() as logs:
        await relay.relay.pruning.run_once()

    assert (before, (await relay.read(registration))["state"]) == ("delivering", "available")
    assert [log["registrations"] for log in logs if log["event"] == "delivery_without_callback.healed"] == [1]
    assert not relay.world.everything_sent.requests
