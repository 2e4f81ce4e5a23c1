"""Take a backup of the database in the settings, or restore one into it."""

import asyncio
import hashlib
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from relay.cli.console import err
from relay.clock import system_clock
from relay.domain.errors import DatabaseUnavailable
from relay.settings import Settings
from relay.storage import backup
from relay.storage.backup import Backup, Told
from relay.storage.engine import Database, open_database
from relay.storage.filelock import FileLock

_BLOCK: Final = 1 << 20
_NOTHING: Final = "there is no database to back up: see database.url"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """`size` is in bytes, `digest` the file's SHA-256."""

    registrations: int
    revision: str
    size: int
    digest: str


def back_up(settings: Settings, file: Path) -> Done:
    """The file bears its name once it is whole. Raises DatabaseUnavailable and OSError."""
    database = settings.database.file
    if database is not None and file.exists() and database.exists() and file.samefile(database):
        raise DatabaseUnavailable("that file is the database itself")
    folder = file.absolute().parent
    with _stopped_by_sigterm(), _scratch(folder) as scratch:
        done = asyncio.run(_taken(settings, scratch))
        scratch.replace(file)
        _flush(folder)
    return done


def back_up_to_stream(settings: Settings, stream: BinaryIO) -> Done:
    """By way of a file beside SQLite's, else in TMPDIR. Raises DatabaseUnavailable and OSError."""
    folder = _folder(settings)
    if not folder.is_dir():
        raise DatabaseUnavailable(_NOTHING)
    with _stopped_by_sigterm(), _scratch(folder) as scratch:
        done = asyncio.run(_taken(settings, scratch))
        with scratch.open("rb") as file:
            shutil.copyfileobj(file, stream, _BLOCK)
        stream.flush()
    return done


def restore_file(settings: Settings, file: Path) -> Backup:
    """Raises CannotRestore and DatabaseUnavailable."""
    target = settings.database.file
    with _stopped_by_sigterm(), nullcontext() if target is None else _locked(FileLock(target)):
        return asyncio.run(_restored(settings, file))


def restore_stream(settings: Settings, stream: BinaryIO) -> Backup:
    """By way of such a file, too. Raises CannotRestore, DatabaseUnavailable and OSError."""
    folder = _folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    with _stopped_by_sigterm(), _scratch(folder) as scratch:
        with scratch.open("wb") as file:
            shutil.copyfileobj(stream, file, _BLOCK)
        return restore_file(settings, scratch)


async def _taken(settings: Settings, scratch: Path) -> Done:
    source = settings.database.file
    if source is not None and not source.exists():
        raise DatabaseUnavailable(_NOTHING)
    async with _opened(settings) as database, _shown("backing up") as told:
        taken = await backup.take(database, scratch, told)
    with scratch.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = scratch.stat().st_size  # noqa: ASYNC240 - nothing else runs here
    return Done(registrations=taken.registrations, revision=taken.revision, size=size, digest=digest)


async def _restored(settings: Settings, file: Path) -> Backup:
    async with _opened(settings) as database, _shown("restoring") as told:
        return await backup.restore(database, file, await database.reference_time(), told)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Database]:
    url = settings.database.url.get_secret_value()
    database = open_database(url, system_clock(), pool_size=settings.database.pool_size)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def _shown(what: str) -> AsyncIterator[Told]:
    """A bar, on a terminal. A thread that goes on after its caller was cancelled is ended by what it tells."""
    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    given_up = False
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        bar = progress.add_task(what, total=None)

        def told(done: int, total: int) -> None:
            if given_up:
                raise InterruptedError
            progress.update(bar, completed=done, total=total)

        try:
            yield told
        finally:
            given_up = True


def _folder(settings: Settings) -> Path:
    """Where there is room for as much as the database holds."""
    database = settings.database.file
    return Path(tempfile.gettempdir()) if database is None else database.absolute().parent


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """As by Ctrl-C, so that what was begun is cleared away; also where that is ignored, as in a script's background."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """An empty file that only its owner may read; what is left of it is removed."""
    descriptor, name = tempfile.mkstemp(prefix=".relay-backup-", dir=folder)
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _locked(lock: FileLock) -> Iterator[None]:
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _flush(folder: Path) -> None:
    """A name is in its folder, and durable once that is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
