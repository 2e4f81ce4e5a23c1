"""Where those who wait for a task stand in their callers' traces."""

from collections import defaultdict
from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, bindparam, func, or_, select

from relay.domain.ids import TaskRef
from relay.domain.registrations import RegistrationState
from relay.domain.traces import TraceContext
from relay.storage.tables import registrations

_R: Final = registrations.c
# The last digit of a traceparent as we write it is odd where its trace is sampled.
_SAMPLED: Final = or_(_R.traceparent.like("%1"), _R.traceparent.like("%3"))
_NUMBERED: Final = (
    select(
        _R.task,
        _R.traceparent,
        _R.tracestate,
        func.row_number().over(partition_by=_R.task, order_by=_R.id).label("number"),
    )
    .where(_R.task.in_(bindparam("refs", expanding=True)), _R.state == RegistrationState.WATCHING, _SAMPLED)
    .subquery()
)
_WATCHING: Final = (
    select(_NUMBERED.c.task, _NUMBERED.c.traceparent, _NUMBERED.c.tracestate)
    .where(_NUMBERED.c.number <= bindparam("most"))
    .order_by(_NUMBERED.c.task, _NUMBERED.c.number)
)


def watching(
    connection: Connection, refs: Collection[TaskRef], most: int
) -> dict[TaskRef, tuple[TraceContext, ...]]:
    """Of each task the sampled contexts of the `most` oldest registrations that watch it and have one."""
    if not most or not refs:
        return {}
    found: dict[TaskRef, list[TraceContext]] = defaultdict(list)
    for row in connection.execute(_WATCHING, {"refs": sorted(refs), "most": most}):
        found[row.task].append(TraceContext(traceparent=row.traceparent, tracestate=row.tracestate))
    return {ref: tuple(contexts) for ref, contexts in found.items()}
