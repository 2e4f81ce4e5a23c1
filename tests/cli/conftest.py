import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog
from typer.testing import CliRunner, Result

from relay.cli.operate import app
from relay.ports import create_app
from tests.relays import TOKEN, RelayInHand, open_relay, settings_for, sqlite_url
from tests.serving import HOST, serving


def lines_of(result: Result) -> list[dict[str, Any]]:
    """What --json printed."""
    return [orjson.loads(line) for line in result.stdout.splitlines()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """A relay in hand on a real port, and the command line in a thread beside it, with nothing but this environment."""

    relay: RelayInHand
    url: str
    home: Path

    async def run(self, *arguments: str, stdin: str = "", **environ: str | None) -> Result:
        known: dict[str, str | None] = {
            "RELAY_URL": self.url,
            "RELAY_TOKEN": TOKEN,
            "RELAY_PROFILE": None,
            "XDG_CONFIG_HOME": str(self.home),
            **environ,
        }
        result = await asyncio.to_thread(CliRunner().invoke, app, arguments, input=stdin, env=known)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result


@pytest.fixture
async def shell(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Shell]:
    shutil.copy(sqlite_template, tmp_path)
    with structlog.testing.capture_logs():  # the relay shares the command's stdout
        async with (
            open_relay(settings_for(sqlite_url(tmp_path))) as relay,
            serving(create_app(relay.relay)) as served,
        ):
            yield Shell(relay=relay, url=f"http://{HOST}:{served.port}", home=tmp_path)
