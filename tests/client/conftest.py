import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from relay.client import RelayClient
from relay.ports import create_app
from tests.relays import TOKEN, RelayInHand, open_relay, settings_for, sqlite_url
from tests.serving import HOST, serving

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A relay in hand on a real port, and its client in a thread."""

    relay: RelayInHand
    url: str

    async def say(self, call: Callable[[RelayClient], T], token: str = TOKEN) -> T:
        def said() -> T:
            with RelayClient(self.url, token) as client:
                return call(client)

        answer = await asyncio.to_thread(said)
        await self.relay.settle()
        return answer


@pytest.fixture
async def spoken(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Spoken]:
    shutil.copy(sqlite_template, tmp_path)
    async with (
        open_relay(settings_for(sqlite_url(tmp_path))) as relay,
        serving(create_app(relay.relay)) as served,
    ):
        yield Spoken(relay=relay, url=f"http://{HOST}:{served.port}")
