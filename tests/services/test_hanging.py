"""One client, many origins that hang: what they leave to an origin that does not."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import httpx
import pytest

from relay.services.work import MOST_LOOKS_IN_VAIN
from relay.storage.deliveries import MOST_LANES
from tests.relays import OK, SUCCESS, RelayInHand, open_relay, settings_for, sqlite_url

FRESH = "https://fresh.test/"
SLOTS = 512


class Hanging:
    """Answers nobody but FRESH until it is let go; those that `time_out` do so at once."""

    def __init__(self) -> None:
        self.time_out = False
        self.under_way = 0
        self.go = asyncio.Event()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if str(request.url) == FRESH:
            return OK
        if self.time_out:
            raise httpx.ReadTimeout("slow")
        self.under_way += 1
        await self.go.wait()
        self.under_way -= 1
        return OK


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[RelayInHand]:
    """A relay of a single client, at its defaults."""
    settings = settings_for(sqlite_url(tmp_path))
    only = {"default": settings.clients["default"]}
    async with open_relay(settings.model_copy(update={"clients": only})) as relay:
        relay.world.task("task-1", SUCCESS)
        relay.world.task("task-2", SUCCESS)
        yield relay


@pytest.fixture
async def hanging(alone: RelayInHand) -> AsyncIterator[Hanging]:
    answer = Hanging()
    alone.world.everything_sent.answers[:] = [answer]
    yield answer
    answer.go.set()
    await alone.settle()


async def register(relay: RelayInHand, urls: Iterable[str], task_id: str = "task-1") -> None:
    items = [{"task_id": task_id, "callback_url": url} for url in urls]
    answer = await relay.api.post("/v1/registrations/batch", json={"registrations": items})
    assert {item["http_status"] for item in answer.json()["data"]} == {201}


async def until_no_more_leave(relay: RelayInHand, hanging: Hanging) -> None:
    """As many as may are under way, and hang."""
    async with asyncio.timeout(30):
        before = -1
        while not hanging.under_way or hanging.under_way != before:
            before = hanging.under_way
            await relay.relay.polling.run_once()
            await relay.relay.delivering.run_once()
            await asyncio.sleep(0.2)


async def left_at_once(relay: RelayInHand) -> bool:
    """Whether a fresh delivery to an origin that does not hang leaves without anybody's time passing."""
    await register(relay, [FRESH])
    for _ in range(20):
        await relay.relay.delivering.run_once()
        await asyncio.sleep(0.02)
    return any(str(request.url) == FRESH for request in relay.world.everything_sent.requests)


REGISTRATIONS = (
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
    " INSERT INTO registrations (id, task, client, callback_url, origin, format, metadata, created_at, expires_at,"
    " not_found_before, state) SELECT 'reg_' || printf('%032x', i), task, client, callback_url,"
    " 'https://' || printf('%05d', i) || '.test', format, metadata, created_at, expires_at, 0, 'delivering'"
    " FROM n, registrations"
)
DELIVERIES = (
    "INSERT INTO deliveries (registration, lane, next_at, fence, round, attempts, failures)"
    " SELECT id, client || ' ' || origin, 1, 0, 1, 0, 0 FROM registrations WHERE id < 'reg_0000001'"
)
LANES = (
    "INSERT INTO lanes (name, spent_until, paused_until, paused_at, failures, slots)"
    " SELECT lane, 0, 9000000000000000, 0, 1, 0 FROM deliveries WHERE registration < 'reg_0000001'"
)


async def paused_origins(relay: RelayInHand, count: int) -> None:
    """Each with a delivery that is due."""
    await relay.register()
    for statement in (REGISTRATIONS.format(count=count), DELIVERIES, LANES):
        await relay.execute(statement)


async def test_many_paused_origins_of_a_client_delay_no_fresh_delivery(alone: RelayInHand) -> None:
    await paused_origins(alone, 3 * MOST_LANES)

    await register(alone, [FRESH], "task-2")
    await alone.settle()

    assert str(alone.world.everything_sent.requests[-1].url) == FRESH


async def test_a_look_ends_although_more_origins_are_paused_than_are_looked_at(alone: RelayInHand) -> None:
    await paused_origins(alone, (MOST_LOOKS_IN_VAIN + 1) * MOST_LANES)
    sent = len(alone.world.everything_sent.requests)

    await register(alone, [FRESH], "task-2")
    await alone.settle()
    at_once = len(alone.world.everything_sent.requests)
    await alone.pass_time(1)

    assert (at_once, len(alone.world.everything_sent.requests)) == (sent, sent + 1)


@pytest.mark.parametrize("origins", [64, 100])
async def test_hanging_origins_of_one_client_hold_up_no_other_of_its_origins(
    alone: RelayInHand, hanging: Hanging, origins: int
) -> None:
    await register(
        alone, (f"https://hangs-{number}.test/{path}" for number in range(origins) for path in range(8))
    )
    await until_no_more_leave(alone, hanging)

    assert await left_at_once(alone)
    assert origins <= hanging.under_way < SLOTS


async def test_origins_that_are_known_to_hang_leave_a_quarter_however_many_they_are(
    alone: RelayInHand, hanging: Hanging
) -> None:
    hanging.time_out = True
    await register(alone, (f"https://hangs-{number}.test/" for number in range(700)))
    await alone.settle()
    await alone.tick()
    hanging.time_out = False
    alone.hands.advance(5)
    await until_no_more_leave(alone, hanging)

    assert hanging.under_way == SLOTS * 3 // 4
    assert await left_at_once(alone)
