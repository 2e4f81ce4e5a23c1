"""What a process and its database tell each other before the first claim and after the last."""

from contextlib import suppress

from relay.clock import Clock
from relay.domain.errors import DatabaseUnavailable
from relay.policies import longest_waits
from relay.settings import Settings
from relay.storage import queue, schema
from relay.storage.engine import Database


async def begin(
    database: Database, settings: Settings, clock: Clock, *, works: bool, accept_clock: bool
) -> None:
    """Migrate where that is wanted, set the clock, and put right what the last process left. Raises SchemaMismatch."""
    alone = settings.database.file is not None
    if alone or settings.database.migrate_at_start:
        await database.write(schema.migrate)
    await database.read(schema.check)
    last_seen = None if accept_clock else await database.read(schema.seen_at)
    clock.begin(await database.reference_time(), last_seen)
    if works:
        await database.write(queue.begin, clock.now(), longest_waits(settings), last_seen, alone=alone)
        await note_seen(database, clock)


async def note_seen(database: Database, clock: Clock) -> None:
    """When a worker was last alive is what the next start holds its clock against."""
    with suppress(DatabaseUnavailable):
        await database.write(schema.note_seen, clock.now())
