"""What the image says where it cannot run."""

from pathlib import Path

import pytest

from relay.cli import exits
from tests.image.conftest import Start
from tests.image.test_running import SECRETS, USERS

pytestmark = [pytest.mark.image, pytest.mark.timeout(600)]


@pytest.fixture
def volume_of_root(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path


async def test_a_missing_secret_is_named(start: Start) -> None:
    container = start(API_TOKENS="a-token-and-nothing-else")

    assert await container.ended() == exits.CONFIGURATION
    assert "RELAY_CAMB_API_KEY is not set" in container.logs
    assert "RELAY_SIGNING_SECRETS is not set" in container.logs


async def test_a_volume_that_may_only_be_read_is_named(start: Start) -> None:
    container = start(options=("--volume=read-only:/data:ro",), **SECRETS)

    assert await container.ended() == exits.UNAVAILABLE
    assert "cannot write /data/relay.db.lock as user " in container.logs
    assert "Traceback" not in container.logs


@pytest.mark.parametrize("user", USERS)
async def test_a_volume_of_somebody_else_is_named(
    start: Start, volume_of_root: Path, user: tuple[str, ...]
) -> None:
    container = start(options=(*user, f"--volume={volume_of_root}:/data"), **SECRETS)

    assert await container.ended() == exits.UNAVAILABLE
    assert "cannot write /data/relay.db.lock as user " in container.logs
    assert "Traceback" not in container.logs
