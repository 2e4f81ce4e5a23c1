"""The composition root: what is opened, in which order, and what a relay does by itself once it is."""

import asyncio
import random
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from relay import __version__
from relay.app import Relay
from relay.clock import system_clock
from relay.domain.errors import DatabaseUnavailable, SchemaMismatch
from relay.outside import Outside
from relay.ports import create_app
from relay.settings import ConfigurationError, Settings
from tests.postgres import PostgresServer
from tests.relays import (
    HOOK,
    OK,
    PENDING,
    SUCCESS,
    HandClock,
    Held,
    World,
    open_relay,
    settings_for,
    sqlite_url,
)


def test_importing_it_opens_nothing_and_reads_no_environment(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import relay.ports"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[1]), "RELAY_NONSENSE": "1"},
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert list(tmp_path.iterdir()) == []


def test_building_it_opens_nothing(tmp_path: Path) -> None:
    Relay(
        settings_for(sqlite_url(tmp_path)),
        World(system_clock().now).outside(),
        clock=system_clock(),
        rng=random.Random(7),
    )

    assert list(tmp_path.iterdir()) == []


def test_it_cannot_be_built_without_what_it_needs() -> None:
    with pytest.raises(ConfigurationError, match="RELAY_CAMB_API_KEY"):
        Relay(
            Settings(),
            World(system_clock().now).outside(),
            clock=system_clock(),
            rng=random.Random(7),
        )


async def test_it_works_by_itself_once_it_is_open(tmp_path: Path) -> None:
    settings = settings_for(sqlite_url(tmp_path), polling={"tick": "PT0.01S", "min_pace": "PT0.01S"})
    accepted = Held(OK)
    accepted.go.set()
    async with open_relay(settings, clock=system_clock()) as relay:
        relay.world.task("task-1", PENDING, PENDING, SUCCESS)
        relay.world.hook(HOOK, accepted)
        await relay.api.post("/v1/registrations", json={"task_id": "task-1", "callback_url": HOOK})

        async with asyncio.timeout(20):
            await accepted.asked.wait()


async def test_what_was_due_while_it_was_away_is_done_when_it_is_back(tmp_path: Path) -> None:
    hands = HandClock()
    world = World(hands.clock.now)
    world.task("task-1", PENDING, SUCCESS)
    settings = settings_for(sqlite_url(tmp_path))
    async with open_relay(settings, hands=hands, world=world) as relay:
        registration = await relay.register()
    hands.advance(600)

    async with open_relay(settings, hands=hands, world=world) as relay:
        resource = await relay.read(registration)

    assert resource["state"] == "delivered"


async def test_due_times_beyond_the_longest_step_become_due_at_start(tmp_path: Path) -> None:
    """A clock that ran ahead has written them."""
    hands = HandClock()
    world = World(hands.clock.now)
    settings = settings_for(sqlite_url(tmp_path))
    async with open_relay(settings, hands=hands, world=world) as relay:
        await relay.register()
        await relay.execute("UPDATE tasks SET next_at = next_at + 864000000000")
    hands.advance(1)

    async with open_relay(settings, hands=hands, world=world):
        pass

    assert len(world.everything_asked.requests) == 2


async def test_one_file_is_one_process_s_own(tmp_path: Path) -> None:
    settings = settings_for(sqlite_url(tmp_path))
    async with open_relay(settings) as relay:
        with pytest.raises(DatabaseUnavailable, match="another process works on this database"):
            async with open_relay(settings):
                pass

        still = await relay.api.get("/v1/registrations")

    assert still.status_code == 200
    async with open_relay(settings):
        pass


async def test_a_clock_that_fell_behind_is_not_believed_until_somebody_says_so(tmp_path: Path) -> None:
    settings = settings_for(sqlite_url(tmp_path))
    async with open_relay(settings) as relay:
        await relay.relay.pruning.run_once()
        seen = relay.relay.clock.now()
    behind = seen - 2 * 3_600 * 1_000_000

    async with open_relay(settings, hands=HandClock(wall=behind)) as doubting:
        halted, now = doubting.relay.clock.halted, doubting.relay.clock.now()
    async with open_relay(settings, hands=HandClock(wall=behind), accept_clock=True) as believing:
        accepted, then = not believing.relay.clock.halted, believing.relay.clock.now()

    assert (halted, now) == (True, seen)
    assert (accepted, then) == (True, behind)


async def test_it_says_what_it_is_when_it_starts_and_that_it_has_stopped(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with open_relay(settings_for(sqlite_url(tmp_path))):
            pass

    assert logs == [
        {
            "event": "relay.started",
            "log_level": "info",
            "version": __version__,
            "role": "all",
            "database": "sqlite",
            "clients": 2,
        },
        {"event": "relay.stopped", "log_level": "info"},
    ]


async def test_an_unwritable_folder_is_a_database_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises((DatabaseUnavailable, OSError)):
        async with open_relay(settings_for(f"sqlite:///{tmp_path}/file/relay.db")):
            pass


@pytest.mark.postgres
async def test_on_postgresql_a_missing_schema_is_refused_unless_it_may_be_made(
    postgres_server: PostgresServer,
) -> None:
    url = postgres_server.url_for(postgres_server.create_database())

    with pytest.raises(SchemaMismatch, match="relay migrate"):
        async with open_relay(settings_for(url)):
            pass

    async with open_relay(settings_for(url, database={"migrate_at_start": True}), clock=system_clock()):
        pass
    async with open_relay(settings_for(url), clock=system_clock()) as relay:
        assert (await relay.api.get("/readyz")).status_code == 200


@pytest.mark.postgres
async def test_it_stops_although_its_database_is_gone() -> None:
    with PostgresServer.running() as server:
        url = server.url_for(server.create_database())
        held = Held(OK)
        settings = settings_for(
            url,
            database={"migrate_at_start": True},
            server={"drain": "PT1S"},
            delivery={"deadline": "PT1S"},
            camb={"deadline": "PT1S"},
        )
        async with asyncio.timeout(20):
            async with open_relay(settings, clock=system_clock()) as relay:
                relay.world.task("task-1", SUCCESS)
                relay.world.hook(HOOK, held)
                await relay.api.post("/v1/registrations", json={"task_id": "task-1", "callback_url": HOOK})
                await held.asked.wait()
                await asyncio.to_thread(server.stop, "immediate")
                held.go.set()

        await asyncio.to_thread(server.start)
        async with open_relay(settings_for(url), clock=system_clock()) as relay:
            (item,) = (await relay.api.get("/v1/registrations")).json()["data"]

    assert item["state"] == "delivering"


async def test_the_real_outside_is_made_without_touching_it(tmp_path: Path) -> None:
    settings = settings_for(sqlite_url(tmp_path))
    relay = Relay(settings, Outside.real(settings), clock=system_clock(), rng=random.Random(7))

    async with relay:
        app = create_app(relay)

    assert {"/livez", "/readyz", "/metrics"} <= {getattr(route, "path", "") for route in app.routes}
