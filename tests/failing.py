"""A database that fails when it is told to."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from relay.storage.engine import SqliteDatabase

T = TypeVar("T")


class FailingReads(SqliteDatabase):
    """Counts what is read, and raises `fault` instead while there is one."""

    reads = 0
    fault: Exception | None = None

    async def _read(self, work: Callable[[Connection], T]) -> T:
        self.reads += 1
        if self.fault is not None:
            raise self.fault
        return await super()._read(work)
