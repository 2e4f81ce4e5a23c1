import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.relays import RelayInHand, open_relay, settings_for, sqlite_url


@pytest.fixture
async def relay(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[RelayInHand]:
    shutil.copy(sqlite_template, tmp_path)
    async with open_relay(settings_for(sqlite_url(tmp_path))) as relay:
        yield relay
