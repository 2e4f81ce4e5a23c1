import signal
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.demo.serving import served
from tests.e2e.neighbours import RECEIVER, SIMULATOR, Neighbours, neighbours_at, own_neighbours

# What a script starts in its background ignores Ctrl-C, and so would the commands that are sent it here.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_urls() -> Iterator[tuple[str, str]]:
    with served(*SIMULATOR) as simulator, served(*RECEIVER) as receiver:
        yield simulator.url, receiver.url


@pytest.fixture
async def neighbours(shared_urls: tuple[str, str]) -> AsyncIterator[Neighbours]:
    """Shared by many tests, so each names its tasks for itself."""
    async with neighbours_at(*shared_urls) as shared:
        yield shared


@pytest.fixture
async def own() -> AsyncIterator[Neighbours]:
    """For a test that counts everything that comes."""
    async with own_neighbours() as neighbours:
        yield neighbours
