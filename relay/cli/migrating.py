"""Bring a database's schema up to date."""

from relay.clock import system_clock
from relay.settings import Settings
from relay.storage import schema
from relay.storage.engine import open_database
from relay.storage.filelock import FileLock


async def migrate(settings: Settings) -> tuple[str | None, str | None]:
    """The revisions before and after. Raises DatabaseUnavailable."""
    lock = None if settings.database.file is None else FileLock(settings.database.file)
    if lock is not None:
        lock.acquire()
    database = open_database(
        settings.database.url.get_secret_value(), system_clock(), pool_size=settings.database.pool_size
    )
    try:
        return await database.write(schema.migrate)
    finally:
        await database.close()
        if lock is not None:
            lock.release()
