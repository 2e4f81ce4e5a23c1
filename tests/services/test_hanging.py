"""One client, many origins that hang: what they leave to an origin that does not."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import httpx
import pytest

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
        yield relay


@pytest.fixture
async def hanging(alone: RelayInHand) -> AsyncIterator[Hanging]:
    answer = Hanging()
    alone.world.everything_sent.answers[:] = [answer]
    yield answer
    answer.go.set()
    await alone.settle()


async def register(relay: RelayInHand, urls: Iterable[str]) -> None:
    items = [{"task_id": "task-1", "callback_url": url} for url in urls]
    answer = await relay.api.post("/v1/registrations/batch", json={"registrations": items})
    assert answer.status_code == 200, answer.text


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
