"""One process at a time writes an SQLite file."""

import fcntl
import os
from pathlib import Path
from typing import IO

from relay.domain.errors import DatabaseUnavailable


class FileLock:
    """Held on `<file>.lock`, for closing any second descriptor of the database itself would drop SQLite's own locks.

    Backups and health checks only read, and do not take it. The system gives it back when a process dies.
    """

    def __init__(self, database: Path) -> None:
        database = database.resolve()  # one lock, however the file is spelled
        self._path = database.with_name(database.name + ".lock")
        self._file: IO[bytes] | None = None

    def acquire(self) -> None:
        """Raises DatabaseUnavailable where another process holds it, or the folder cannot be written."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("ab")
        except OSError as error:
            raise DatabaseUnavailable(
                f"cannot write {self._path} as user {os.geteuid()}, group {os.getegid()}: {error.strerror}"
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise DatabaseUnavailable(
                f"another process works on this database: {self._path.name} is locked; stop that one first"
            ) from None
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
