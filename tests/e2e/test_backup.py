"""`relay backup` and `relay restore` as an operator runs them, beside a relay that serves."""

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from relay.cli import exits
from tests.e2e.neighbours import Neighbours
from tests.e2e.processes import COMMAND, environment, run, serving, sqlite_url, until
from tests.postgres import PostgresServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

USAGE = 2
PIPE_BYTES = 65_536
"""What a pipe of Linux holds: pipe(7)."""
IN_A_SCRIPT_S_BACKGROUND = ("/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh")
"""Where Ctrl-C is ignored."""


async def test_a_relay_moves_to_postgresql_in_one_pipe_and_everybody_is_notified_there(
    neighbours: Neighbours, tmp_path: Path, postgres_server: PostgresServer
) -> None:
    environ = environment(neighbours, sqlite_url(tmp_path))
    there = environment(neighbours, postgres_server.url_for(postgres_server.create_database()))

    async with serving(environ, tmp_path) as relay:
        delivered = await relay.register("success-moved-before", neighbours.hook("ok"))
        await relay.reaches(delivered, "delivered")
        watching = await relay.register("success-after-25-moved", neighbours.hook("ok"))
        taking = subprocess.Popen(  # noqa: ASYNC220 - one end of a pipe
            [*COMMAND, "backup", "-"], env=environ, cwd=tmp_path, stdout=subprocess.PIPE
        )
        restored = await asyncio.to_thread(
            subprocess.run,
            [*COMMAND, "restore", "-"],
            env=there,
            cwd=tmp_path,
            stdin=taking.stdout,
            capture_output=True,
            text=True,
            check=False,
        )
        await asyncio.to_thread(taking.communicate)
        while_it_serves = await asyncio.to_thread(
            run, "restore", "relay.db", environ=environ, folder=tmp_path
        )
        exit_codes = (taking.returncode, restored.returncode, await relay.terminate())
    async with serving(there, tmp_path) as successor:
        before = await successor.read(delivered)
        await successor.reaches(watching, "delivered")

    assert exit_codes == (0, 0, 0)
    assert restored.stderr.startswith("2 registrations from a backup at revision ")
    assert (before["state"], before["delivery"]["attempts"]) == ("delivered", 1)
    assert while_it_serves.returncode == exits.UNAVAILABLE
    assert "another process works on this database" in while_it_serves.stderr


def test_a_backup_is_a_file_of_its_owner_s_that_is_never_overwritten_by_mistake(tmp_path: Path) -> None:
    environ = {"RELAY_DATABASE__URL": sqlite_url(tmp_path)}
    run("migrate", environ=environ, folder=tmp_path)

    first = run("backup", "kept", environ=environ, folder=tmp_path)
    again = run("backup", "kept", environ=environ, folder=tmp_path)
    forced = run("backup", "--force", "kept", environ=environ, folder=tmp_path)
    itself = run("backup", "--force", "relay.db", environ=environ, folder=tmp_path)

    assert (first.returncode, first.stdout, again.returncode, forced.returncode) == (0, "", USAGE, 0)
    assert first.stderr.startswith("0 registrations at revision ")
    assert "--force replaces it" in again.stderr
    assert (itself.returncode, itself.stderr) == (exits.UNAVAILABLE, "that file is the database itself\n")
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"relay.db", "relay.db.lock", "kept"}


def test_what_cannot_be_backed_up_or_restored_is_said_in_a_line(tmp_path: Path) -> None:
    environ = {"RELAY_DATABASE__URL": sqlite_url(tmp_path)}
    (tmp_path / "dump.sql").write_text("-- PostgreSQL database dump\n" * 100)

    without = [run("backup", to, environ=environ, folder=tmp_path) for to in ("kept", "-")]
    nowhere = run("backup", "no/such/folder/kept", environ=environ, folder=tmp_path)
    missing = run("restore", "kept", environ=environ, folder=tmp_path)
    no_backup = run("restore", "dump.sql", environ=environ, folder=tmp_path)

    assert [each.returncode for each in without] == [exits.UNAVAILABLE, exits.UNAVAILABLE]
    assert {each.stderr for each in without} == {"there is no database to back up: see database.url\n"}
    assert nowhere.returncode == exits.FAILED
    assert nowhere.stderr == "the backup could not be written: No such file or directory\n"
    assert (missing.returncode, no_backup.returncode) == (USAGE, exits.FAILED)
    assert no_backup.stderr == "the file is no backup, or a damaged one: file is not a database\n"


def begun(folder: Path) -> list[Path]:
    """What a backup on its way to stdout has written beside the database so far."""
    return list(folder.glob(".relay-backup-*"))


@pytest.mark.parametrize("begun_by", [(), IN_A_SCRIPT_S_BACKGROUND], ids=["a person", "a script"])
async def test_a_backup_that_is_interrupted_leaves_nothing_behind(
    tmp_path: Path, begun_by: tuple[str, ...]
) -> None:
    """Nobody reads what it writes: it stands in the middle."""
    environ = {"RELAY_DATABASE__URL": sqlite_url(tmp_path)}
    await asyncio.to_thread(run, "migrate", environ=environ, folder=tmp_path)
    reading, writing = os.pipe()

    taking = subprocess.Popen(  # noqa: ASYNC220 - it is to be signalled
        [*begun_by, *COMMAND, "backup", "-"],
        env=environ,
        cwd=tmp_path,
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)

    async def stands() -> bool:
        """Once a pipe holds what it can."""
        waiting = fcntl.ioctl(reading, termios.FIONREAD, bytes(4))
        return int.from_bytes(waiting, sys.byteorder) >= PIPE_BYTES

    await until(stands)
    taking.send_signal(signal.SIGTERM)
    try:
        _, said = await asyncio.to_thread(taking.communicate, timeout=30)
    finally:
        taking.kill()
        os.close(reading)

    assert taking.returncode == exits.INTERRUPTED
    assert said == b"interrupted: there is no backup\n"
    assert begun(tmp_path) == []
