"""The main job on PostgreSQL, whose clock is the reference and cannot be moved by hand: short waits, real time."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import asyncpg
import httpx
import orjson
import pytest

from relay.clock import system_clock
from relay.settings import Settings
from tests.postgres import PostgresServer
from tests.relays import (
    FAILING,
    HOOK,
    OK,
    PENDING,
    SUCCESS,
    Held,
    RelayInHand,
    World,
    open_relay,
    settings_for,
)

pytestmark = pytest.mark.postgres

SHORT: Mapping[str, Mapping[str, Any]] = {
    "database": {"migrate_at_start": True},
    "polling": {"min_pace": "PT0.01S", "lost_grace": "PT0.05S"},
    "delivery": {"retry_schedule": ["PT0.01S", "PT0.01S"]},
}


@pytest.fixture
def settings(postgres_server: PostgresServer) -> Settings:
    return settings_for(postgres_server.url_for(postgres_server.create_database()), **SHORT)


def opened(settings: Settings, world: World | None = None) -> AbstractAsyncContextManager[RelayInHand]:
    return open_relay(settings, clock=system_clock(), world=world)


@pytest.fixture
async def relay(settings: Settings) -> AsyncIterator[RelayInHand]:
    async with opened(settings) as relay:
        yield relay


async def state_after(relay: RelayInHand, registration: str, *ends: str) -> str:
    """Work until the registration is in one of those states."""
    async with asyncio.timeout(20):
        while (state := (await relay.read(registration))["state"]) not in ends:
            await relay.tick()
    return str(state)


async def test_a_task_is_polled_to_its_end_and_its_registrations_are_told(relay: RelayInHand) -> None:
    task = relay.world.task("task-1", PENDING, PENDING, SUCCESS)
    hook = relay.world.hook(HOOK, FAILING, OK)
    registration = await relay.register(metadata={"order": 7})
    second = await relay.register("task-1", HOOK + "/second")

    assert await state_after(relay, registration, "delivered") == "delivered"
    assert await state_after(relay, second, "delivered") == "delivered"
    assert len(task.requests) == 3
    assert len({request.content for request in hook.requests}) == 1
    assert [attempt["http_status"] for attempt in await relay.attempts(registration)] == [500, 204]
    assert orjson.loads(hook.requests[0].content)["data"]["metadata"] == {"order": 7}


async def test_a_schedule_comes_to_its_end_and_may_be_walked_again(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    hook = relay.world.hook(HOOK, *[FAILING] * 3, OK)
    registration = await relay.register()
    exhausted = await state_after(relay, registration, "dead", "delivered")

    answer = await relay.api.post(f"/v1/registrations/{registration}/redeliver")

    assert exhausted == "dead"
    assert answer.status_code == 202
    assert await state_after(relay, registration, "dead", "delivered") == "delivered"
    assert len(hook.requests) == 4


async def test_a_missing_task_is_lost_and_a_cancelled_registration_is_let_be(relay: RelayInHand) -> None:
    relay.world.task("task-1", httpx.Response(404))
    lost = await relay.register("task-1")
    cancelled = await relay.register("task-2")
    await relay.api.post(f"/v1/registrations/{cancelled}/cancel")

    await state_after(relay, lost, "delivered")

    assert (await relay.read(lost))["event"]["type"] == "task.lost"
    assert (await relay.read(cancelled))["state"] == "cancelled"


async def test_bytes_that_no_text_may_hold_fail_nothing(relay: RelayInHand) -> None:
    relay.world.task("task-1", httpx.Response(200, content=b'{"status": "SUCCESS", "message": "a\\u0000b"}'))
    relay.world.hook(HOOK, httpx.Response(500, content=b"\x00\xff"), OK)
    registration = await relay.register(metadata={"nul": "a\x00b"})

    assert await state_after(relay, registration, "delivered") == "delivered"
    resource = await relay.read(registration)
    assert resource["metadata"] == {"nul": "a\x00b"}
    assert resource["event"]["body"]["data"]["message"] == "a\x00b"


async def test_two_processes_share_the_work_and_repeat_nothing(settings: Settings) -> None:
    world = World(system_clock().now)
    async with opened(settings, world) as one, opened(settings, world) as two:
        items = [{"task_id": f"task-{number}", "callback_url": f"{HOOK}/{number}"} for number in range(100)]
        world.everything_asked.answers[:] = [SUCCESS]
        await one.api.post("/v1/registrations/batch", json={"registrations": items})
        async with asyncio.timeout(20):
            while len(world.everything_sent.requests) < 100:
                await asyncio.gather(
                    one.relay.polling.run_once(),
                    two.relay.polling.run_once(),
                    one.relay.delivering.run_once(),
                    two.relay.delivering.run_once(),
                )
        await one.settle()
        await two.settle()

    assert len({str(request.url) for request in world.everything_sent.requests}) == 100
    assert len(world.everything_sent.requests) == 100
    assert len(world.everything_asked.requests) == 100


async def test_a_registration_made_through_an_api_process_is_worked_on_by_a_worker(
    settings: Settings,
) -> None:
    world = World(system_clock().now)
    api_settings, worker_settings = (settings.model_copy(update={"role": role}) for role in ("api", "worker"))
    world.task("task-1", SUCCESS)
    async with opened(api_settings, world) as api, opened(worker_settings, world) as worker:
        registration = await api.register()
        alone = (await api.read(registration))["state"]
        await worker.relay.polling.run_once()
        await worker.settle()
        await worker.relay.delivering.run_once()
        await worker.settle()
        with_worker = (await api.read(registration))["state"]
        at_worker = await worker.api.get("/v1/registrations")
        health = [(await process.api.get("/readyz")).status_code for process in (api, worker)]

    assert (alone, with_worker) == ("watching", "delivered")
    assert at_worker.status_code == 404
    assert health == [200, 200]


async def test_a_restart_of_the_database_costs_nothing(settings: Settings) -> None:
    with PostgresServer.running() as server:
        url = server.url_for(server.create_database())
        database = settings.database.model_validate({"url": url, "migrate_at_start": True})
        async with opened(settings.model_copy(update={"database": database})) as relay:
            relay.world.task("task-1", SUCCESS)
            held = Held(OK)
            hook = relay.world.hook(HOOK, held)
            answer = await relay.api.post(
                "/v1/registrations", json={"task_id": "task-1", "callback_url": HOOK}
            )
            await held.asked.wait()

            await asyncio.to_thread(server.stop, "immediate")
            held.go.set()
            await asyncio.to_thread(server.start)
            await relay.settle()

            state = (await relay.read(answer.json()["id"]))["state"]

    assert state == "delivered"
    assert len(hook.requests) == 1


async def test_what_a_stopping_process_gave_back_is_another_s_in_its_next_tick(settings: Settings) -> None:
    """It had claimed the row, and dialled nobody: the lease would have lasted for another 25 s."""
    world = World(system_clock().now)
    task = world.task("task-1", PENDING)
    async with opened(settings, world) as stopping, opened(settings, world) as other:
        await stopping.register()
        polls = len(task.requests)
        await stopping.execute(f"UPDATE tasks SET next_at = {stopping.relay.clock.now()}")  # noqa: S608 - the number is a clock's of ours
        holding = await asyncpg.connect(settings.database.url.get_secret_value())
        async with holding.transaction():
            await holding.execute("LOCK TABLE tasks IN SHARE MODE")
            claiming = asyncio.create_task(stopping.relay.polling.run_once())
            await blocked_by(holding)
            stopping.relay.begin_drain()
        await claiming
        await stopping.relay.drain()
        await holding.close()
        given_back = await stopping.execute("SELECT fence, leased_until FROM tasks")
        await other.relay.polling.run_once()
        await other.settle()

    assert given_back == [(polls + 1, None)]
    assert len(task.requests) == polls + 1


async def blocked_by(connection: asyncpg.Connection) -> None:
    """Wait until another transaction waits for a lock."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    async with asyncio.timeout(20):
        while not await connection.fetchval(waiting):  # noqa: ASYNC110 - only the server knows
            await asyncio.sleep(0.005)
