import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Final

import pytest
from playwright.sync_api import Browser, StorageState, sync_playwright

from tests.browser.relays import OPERATOR, SHOP, STUDIO, Running, running
from tests.browser.seeding import Seeded, seed
from tests.browser.visiting import DESKTOP, Look, Visitor, signed_in, visiting

CHROMIUM: Final = "chromium"
_ARGUMENTS: Final = (
    "--no-sandbox",  # Chromium has none for root, as whom CI runs
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)

Visit = Callable[..., AbstractContextManager[Visitor]]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which(CHROMIUM), args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("relay")) as relay:
        yield relay


@pytest.fixture(scope="session")
def seeded(relay: Running) -> Seeded:
    """What there is to look at. Nothing of it is changed by a test."""
    return seed(relay)


@pytest.fixture(scope="session")
def sessions(browser: Browser, relay: Running) -> dict[str, StorageState]:
    return {token: signed_in(browser, relay, token) for token in (SHOP, STUDIO, OPERATOR)}


@pytest.fixture
def visit(browser: Browser, relay: Running, sessions: dict[str, StorageState]) -> Visit:
    """A visitor, of the shop if nothing else is said; `token=None` has not signed in."""

    def visit(
        look: Look = DESKTOP, *, token: str | None = SHOP, scripts: bool = True
    ) -> AbstractContextManager[Visitor]:
        session = None if token is None else sessions[token]
        return visiting(browser, relay, look, session=session, scripts=scripts)

    return visit
