"""The schema's version and its compatibility epoch.

A migration that only adds leaves the epoch alone, so that processes of the release before go on working beside the new
schema; one that takes something away raises it, and a process that is older than the epoch refuses to serve.
"""

from functools import cache
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, select, text

from relay.domain.errors import SchemaMismatch
from relay.domain.instants import Instant
from relay.storage.tables import facts

EPOCH: Final = 1
"""The epoch this program was written for."""
MIGRATIONS: Final = Path(__file__).parent / "migrations"

_MIGRATION_LOCK: Final = 0x72656C6179  # "relay": one migration at a time on a PostgreSQL server
_SET: Final = text(
    "INSERT INTO facts (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_NAME: Final = text("INSERT INTO facts (name, value) VALUES ('store', :value) ON CONFLICT DO NOTHING")
_FORGET: Final = text("DELETE FROM facts WHERE name = 'store'")


def migrate(connection: Connection, migrations: Path = MIGRATIONS) -> tuple[str | None, str | None]:
    """Bring the schema to this program's revision, in the one transaction; answers with the revisions before and after.

    A schema that a newer program has made is left as it is, where its epoch allows.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
    before = revision(connection)
    if before is not None and not knows(before, migrations):
        check_epoch(connection)
        return before, before
    if before == head(migrations):
        return before, before
    make(connection, "head", migrations)
    return before, revision(connection)


def make(connection: Connection, wanted: str, migrations: Path = MIGRATIONS) -> None:
    """Bring the schema to that revision, in the connection's transaction."""
    config = _config(migrations)
    config.attributes["connection"] = connection
    command.upgrade(config, wanted)


def check(connection: Connection, migrations: Path = MIGRATIONS) -> None:
    """Raises SchemaMismatch where the schema is older than this program, or its epoch newer."""
    current = revision(connection)
    if current is None:
        raise SchemaMismatch("the database holds no schema yet: run `relay migrate`")
    check_epoch(connection)
    if knows(current, migrations) and current != head(migrations):
        raise SchemaMismatch(
            f"the database is at revision {current}, this program needs {head(migrations)}: run `relay migrate`"
        )


def check_epoch(connection: Connection) -> None:
    """Raises SchemaMismatch where a newer program has taken away what this one needs."""
    epoch = fact(connection, "epoch") or EPOCH
    if epoch > EPOCH:
        raise SchemaMismatch(
            f"the database is of epoch {epoch}, this program of {EPOCH}: a newer release has changed the schema; run that one"
        )


def revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def head(migrations: Path = MIGRATIONS) -> str:
    found = _script(migrations).get_current_head()
    if found is None:
        raise SchemaMismatch("this program was installed without its migrations")
    return found


def knows(wanted: str, migrations: Path = MIGRATIONS) -> bool:
    """Whether it is a revision of this program's, and not a newer one's."""
    return any(script.revision == wanted for script in _script(migrations).walk_revisions())


def fact(connection: Connection, name: str) -> int | None:
    return connection.scalar(select(facts.c.value).where(facts.c.name == name))


def seen_at(connection: Connection) -> Instant | None:
    """The last instant at which a worker was alive."""
    value = fact(connection, "seen_at")
    return None if value is None else Instant(value)


def note_seen(connection: Connection, now: Instant) -> None:
    connection.execute(_SET, {"name": "seen_at", "value": now})


def name_store(connection: Connection, random_bits: int) -> None:
    """Unless it has a name: cursors bear it, and are those of no other store."""
    connection.execute(_NAME, {"value": random_bits})


def forget_name(connection: Connection) -> None:
    connection.execute(_FORGET)


def _script(migrations: Path) -> ScriptDirectory:
    return _own() if migrations == MIGRATIONS else ScriptDirectory.from_config(_config(migrations))


@cache
def _own() -> ScriptDirectory:
    """Read once: every look-up in a new one runs each migration's file again."""
    return ScriptDirectory.from_config(_config(MIGRATIONS))


def _config(migrations: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
