"""How much of something there is already, where more of it may be refused."""

from collections.abc import Collection
from typing import Final

import orjson
from sqlalchemy import Connection, bindparam, delete, func, select, text

from relay.domain.ids import Identity, RegistrationId, TaskRef
from relay.storage.tables import registrations

_R: Final = registrations.c
# `verdict_at` is set exactly while a registration watches, and has an index of its own: no row is read.
_SOME_WATCHING: Final = (
    select(_R.client)
    .where(_R.client == bindparam("client"), _R.verdict_at.is_not(None))
    .limit(bindparam("most"))
    .subquery()
)
_WATCHING: Final = select(func.count()).select_from(_SOME_WATCHING)
_STANDING: Final = select(_R.identity).where(_R.identity.in_(bindparam("identities", expanding=True)))
# A row that lies beyond as many as there may be: the work is bounded, and all but nothing for a task with few.
_ONE_TOO_MANY: Final = "EXISTS (SELECT 1 FROM registrations WHERE task = wanted.value LIMIT 1 OFFSET :most)"
_CROWDED: Final = {
    "sqlite": text(f"SELECT wanted.value FROM json_each(:refs) AS wanted WHERE {_ONE_TOO_MANY}"),  # noqa: S608 - made of constants of this module
    "postgresql": text(
        f"SELECT wanted.value FROM unnest(CAST(:refs AS text[])) AS wanted (value) WHERE {_ONE_TOO_MANY}"  # noqa: S608 - made of constants of this module
    ),
}
_KEPT: Final = (
    select(_R.task, func.count().label("kept"))
    .where(_R.task.in_(bindparam("refs", expanding=True)))
    .group_by(_R.task)
)
_TAKE_BACK: Final = delete(registrations).where(_R.id.in_(bindparam("ids", expanding=True)))


def count_watching(connection: Connection, client: str, most: int) -> int:
    """How many registrations of the client watch; counting ends at `most`."""
    return connection.execute(_WATCHING, {"client": client, "most": most}).scalar_one()


def standing(connection: Connection, identities: Collection[Identity]) -> set[Identity]:
    """Those of the identities that a registration bears."""
    return {Identity(found) for found in connection.scalars(_STANDING, {"identities": sorted(identities)})}


def crowded(connection: Connection, refs: Collection[TaskRef], most: int) -> dict[TaskRef, int]:
    """By how many registrations each of the tasks, which the caller has locked, has more than `most`."""
    dialect = connection.dialect.name
    wanted = orjson.dumps(sorted(refs)).decode() if dialect == "sqlite" else sorted(refs)
    found = list(connection.scalars(_CROWDED[dialect], {"refs": wanted, "most": most}))
    kept = connection.execute(_KEPT, {"refs": found}) if found else ()
    return {TaskRef(row.task): row.kept - most for row in kept}


def take_back(connection: Connection, ids: Collection[RegistrationId]) -> None:
    """Forget registrations that this transaction made."""
    connection.execute(_TAKE_BACK, {"ids": sorted(ids)})
