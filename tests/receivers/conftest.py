from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.receivers.calling import Caller, calling, relaying
from tests.relays import RelayInHand


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    async with calling() as caller:
        yield caller


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[RelayInHand]:
    async with relaying(tmp_path) as relay:
        yield relay
