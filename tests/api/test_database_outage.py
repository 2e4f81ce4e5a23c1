import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from relay.clock import system_clock
from tests.api.problems import problem
from tests.postgres import PostgresServer
from tests.relays import HOOK, SUCCESS, RelayInHand, open_relay, settings_for

pytestmark = pytest.mark.postgres

BODY = {"task_id": "task-1", "callback_url": HOOK}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One of our own: it is going to be stopped."""
    with PostgresServer.running() as server:
        yield server


@pytest.fixture
async def relay(server: PostgresServer) -> AsyncIterator[RelayInHand]:
    settings = settings_for(
        server.url_for(server.create_database()),
        database={"migrate_at_start": True},
        polling={"tick": "PT1M"},
    )
    async with open_relay(settings, clock=system_clock()) as relay:
        yield relay


async def test_without_a_database_everything_is_answered_503_and_work_resumes_by_itself(
    relay: RelayInHand, server: PostgresServer
) -> None:
    relay.world.task("task-1", SUCCESS)
    before = await relay.stored()
    await asyncio.to_thread(server.stop, "immediate")

    refused = [
        await relay.api.post("/v1/registrations", json=BODY),
        await relay.api.post("/v1/registrations/batch", json={"registrations": [BODY] * 2}),
        await relay.api.get("/v1/registrations"),
        await relay.api.get("/v1/registrations/reg_" + "0" * 32),
        await relay.api.post("/v1/registrations/reg_" + "0" * 32 + "/cancel"),
        await relay.api.post("/v1/registrations/reg_" + "0" * 32 + "/redeliver"),
    ]
    await asyncio.to_thread(server.start)
    after = await relay.stored()
    accepted = await relay.register()

    for answer in refused:
        assert "database" in problem(answer, 503)["detail"]
        assert answer.headers["retry-after"] == "2"
        assert "127.0.0.1" not in answer.text
    assert after == before
    assert (await relay.read(accepted))["state"] == "delivered"


async def test_readiness_says_so_while_the_database_does_not_answer(server: PostgresServer) -> None:
    settings = settings_for(server.url_for(server.create_database()), database={"migrate_at_start": True})
    async with open_relay(settings) as relay:
        await asyncio.to_thread(server.stop, "immediate")
        await relay.relay.probing.run_once()
        relay.hands.advance(5.1)
        without = await relay.api.get("/readyz")
        await asyncio.to_thread(server.start)
        await relay.relay.probing.run_once()
        again = await relay.api.get("/readyz")
        alive = await relay.api.get("/livez")

    assert (without.status_code, without.json()["reasons"]) == (503, ["database: no answer lately"])
    assert again.json() == {"status": "ok", "reasons": []}
    assert alive.status_code == 200
