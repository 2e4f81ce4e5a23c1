"""Rows of `rollups`: added to by every process, read as charts, dropped once no chart shows them."""

from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import BigInteger, Connection, bindparam, cast, delete, func, select, text, tuple_

from relay.domain.instants import SECOND, Instant
from relay.domain.rollups import ChartSpan, Slot, SlotCount
from relay.storage.many import Many
from relay.storage.tables import rollups

_C: Final = rollups.c
_KEY: Final = (_C.client, _C.span, _C.at, _C.measure, _C.bucket)
_ADD: Final = Many(
    text(
        "INSERT INTO rollups (client, span, at, measure, bucket, count)"
        " VALUES (:client, :span, :at, :measure, :bucket, :count)"
        " ON CONFLICT (client, span, at, measure, bucket) DO UPDATE SET count = rollups.count + excluded.count"
    )
)
_READ: Final = (
    select(_C.at, _C.measure, _C.bucket, cast(func.sum(_C.count), BigInteger).label("number"))
    .where(_C.client.in_(bindparam("clients", expanding=True)), _C.span == bindparam("span"))
    .where(_C.at >= bindparam("since"))
    .group_by(_C.at, _C.measure, _C.bucket)
)
_OVER: Final = (
    select(*_KEY)
    .where(_C.span == bindparam("span"), _C.at < bindparam("before"))
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)


def add(connection: Connection, counts: Mapping[Slot, int]) -> None:
    """In the order of the rows' keys: processes that add to the same rows at once wait for each other, and never in a ring."""
    _ADD.run(connection, [{**slot._asdict(), "count": counts[slot]} for slot in sorted(counts)])


def read(
    connection: Connection, clients: Collection[str], span: ChartSpan, since: Instant
) -> list[SlotCount]:
    """Slots that begin at `since` or later, summed over the clients."""
    values = {"clients": sorted(clients), "span": span.slot // SECOND, "since": since}
    return [
        SlotCount(Instant(row.at), row.measure, row.bucket, row.number)
        for row in connection.execute(_READ, values)
    ]


def prune(connection: Connection, span: ChartSpan, before: Instant, most: int) -> int:
    """Delete up to `most` counts of slots that began before then; answers how many went."""
    values = {"span": span.slot // SECOND, "before": before, "most": most}
    found = [tuple(row) for row in connection.execute(_OVER, values)]
    if found:
        connection.execute(delete(rollups).where(tuple_(*_KEY).in_(found)))
    return len(found)
