import subprocess
import sys
from pathlib import Path

import pytest

from relay.domain.errors import DatabaseUnavailable
from relay.storage.filelock import FileLock
from tests.storage.store import Store

HOLDING = """
import pathlib, sys
from relay.storage.filelock import FileLock
lock = FileLock(pathlib.Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_until_the_first_one_is_gone(tmp_path: Path) -> None:
    database = tmp_path / "relay.db"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDING, database],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    mine = FileLock(database)

    with pytest.raises(DatabaseUnavailable, match=r"another process works on this database: relay\.db\.lock"):
        mine.acquire()
    other.kill()
    other.communicate()

    mine.acquire()
    mine.release()


def test_a_lock_that_was_given_back_can_be_taken_again(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "relay.db"), FileLock(tmp_path / "relay.db")
    first.acquire()
    first.release()

    second.acquire()
    with pytest.raises(DatabaseUnavailable):
        first.acquire()
    second.release()


def test_giving_back_what_was_never_taken_changes_nothing(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "relay.db")

    lock.release()

    assert not (tmp_path / "relay.db.lock").exists()


def test_the_folder_of_a_new_database_is_made(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "new" / "folder" / "relay.db")

    lock.acquire()
    lock.release()

    assert (tmp_path / "new" / "folder" / "relay.db.lock").is_file()


async def test_the_lock_keeps_no_reader_and_no_backup_out(sqlite: Store) -> None:
    lock = FileLock(Path(sqlite.url.removeprefix("sqlite:///")))

    lock.acquire()
    registration = await sqlite.accept(sqlite.wanted())
    async with sqlite.another_process() as other:
        view = await other.view(registration)
    lock.release()

    assert view.registration == registration


def test_a_file_has_one_lock_however_it_is_spelled(tmp_path: Path) -> None:
    (tmp_path / "relay.db").touch()
    (tmp_path / "link.db").symlink_to("relay.db")
    first = FileLock(tmp_path / "relay.db")
    first.acquire()

    with pytest.raises(DatabaseUnavailable, match="another process"):
        FileLock(tmp_path / "link.db").acquire()
    first.release()


def test_a_folder_that_cannot_be_written_is_the_databases_fault_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(
        DatabaseUnavailable, match=r"cannot write .*/relay\.db\.lock as user \d+, group \d+: "
    ):
        FileLock(tmp_path / "file" / "relay.db").acquire()
