import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.console.browsing import Browser, browsing
from tests.relays import RelayInHand, open_relay, settings_for, sqlite_url

OPERATOR_TOKEN = "token-of-an-operator"


@pytest.fixture
async def relay(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[RelayInHand]:
    shutil.copy(sqlite_template, tmp_path)
    settings = settings_for(sqlite_url(tmp_path), operator={"api_tokens": [OPERATOR_TOKEN]})
    async with open_relay(settings) as relay:
        yield relay


@pytest.fixture
async def stranger(relay: RelayInHand) -> AsyncIterator[Browser]:
    async with browsing(relay) as browser:
        yield browser


@pytest.fixture
async def browser(relay: RelayInHand) -> AsyncIterator[Browser]:
    """Signed in as the client `default`."""
    async with browsing(relay) as browser:
        assert (await browser.sign_in()).status_code == 303
        yield browser


@pytest.fixture
async def operator(relay: RelayInHand) -> AsyncIterator[Browser]:
    async with browsing(relay) as browser:
        assert (await browser.sign_in(OPERATOR_TOKEN)).status_code == 303
        yield browser
