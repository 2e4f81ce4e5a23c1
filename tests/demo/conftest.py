import random
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette

from relay.demo.simulator import create_simulator
from tests.demo.hand_clock import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def simulator(clock: HandClock) -> Starlette:
    return create_simulator(
        now=clock.now,
        sleep=clock.sleep,
        rng=random.Random(7),
        accepted_keys={"good", "weak"},
        forbidden_keys={"weak"},
        capacity=1_000,
    )


@pytest.fixture
async def camb(simulator: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the simulated API, with a good key."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(simulator),
        base_url="http://simulator/apis",
        headers={"x-api-key": "good"},
    ) as client:
        yield client


@pytest.fixture
async def backstage(simulator: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(simulator), base_url="http://simulator/_simulator"
    ) as client:
        yield client
