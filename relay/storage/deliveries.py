"""Rows of `deliveries`: claim what is due, no more of each origin than it is given at the time."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, bindparam, select

from relay.domain.ids import EventId, RegistrationId, event_id_of
from relay.domain.instants import Instant
from relay.domain.lanes import Lane, LaneName, client_of
from relay.domain.registrations import EventType
from relay.domain.sharing import Rooms, share
from relay.domain.traces import TraceContext
from relay.storage import lanes
from relay.storage.look import Look
from relay.storage.queue import DELIVERIES, Claim, DueLane, Held, Take, more_is_due
from relay.storage.registrations import trace_of
from relay.storage.tables import AnyRow, events, registrations, tasks

MOST_LANES: Final = 2_000
"""Of each client, looked at for one claim; the next claim looks at the next ones."""

_R: Final = registrations.c
_CONTENTS: Final = (
    select(
        _R.id,
        _R.client,
        _R.callback_url,
        _R.traceparent,
        _R.tracestate,
        tasks.c.kind,
        tasks.c.task_id,
        events.c.type,
        events.c.created_at,
        events.c.body,
    )
    .join_from(registrations, tasks, _R.task == tasks.c.ref)
    .join(events, events.c.registration == _R.id)
    .where(_R.id.in_(bindparam("ids", expanding=True)))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryClaim:
    """What one claim may take: `busy` is what this process has under way, of the `slots_per_lane` there are.

    An attempt that has no answer at `answer_by` gets none: until then, and no longer, a probe holds its origin.
    """

    now: Instant
    answer_by: Instant
    leased_until: Instant
    clients: Collection[str]
    busy: Mapping[LaneName, int]
    slots_per_lane: int
    free: int
    quantum: int
    last: LaneName | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedDelivery:
    registration: RegistrationId
    fence: int
    round: int
    number: int
    """Which attempt this is, over all rounds, from 1."""
    failures: int
    lane: LaneName
    held_back: bool
    """Its origin has fewer slots than are configured, so that a success changes something."""
    leased_until: Instant
    client: str
    kind: str
    task_id: str
    callback_url: str
    type: EventType
    announced_at: Instant
    body: bytes
    trace: TraceContext | None
    """Where in its caller's trace its registration stands."""

    @property
    def event(self) -> EventId:
        return event_id_of(self.registration)

    @property
    def held(self) -> Held:
        return Held(key=self.registration, fence=self.fence)


def claim(connection: Connection, wanted: DeliveryClaim, look: Look) -> Claim[ClaimedDelivery]:
    found, partial = _look(connection, wanted, look)
    if not found:
        return Claim(more=partial, unseen=look.unseen, last=wanted.last)
    known = {lane.lane for lane in found} | wanted.busy.keys()
    held_back = lanes.held_back_among(connection, known, wanted.now)
    probing = lanes.lock_free(connection, _to_be_probed(found, held_back, wanted))
    due = {lane.lane: lane for lane in found if _is_open(lane.lane, held_back, probing, wanted.now)}
    shares = share(list(due), _rooms(due, held_back, wanted), last=wanted.last)
    takes = [Take(lane=lane, oldest=due[lane].oldest, count=count) for lane, count in shares.counts.items()]
    rows = DELIVERIES.claim(connection, takes, wanted.now, wanted.leased_until)
    contents = (
        {row.id: row for row in connection.execute(_CONTENTS, {"ids": [row.registration for row in rows]})}
        if rows
        else {}
    )
    claimed = [
        _claimed(row, contents[row.registration], wanted, held_back=row.lane in held_back) for row in rows
    ]
    taken = Counter(item.lane for item in claimed)
    probed = [lane for name, lane in probing.items() if taken[name] and lane.to_be_probed]
    lanes.save(connection, [lane.probed(wanted.answer_by) for lane in probed])
    more = partial or more_is_due(due, takes, taken)
    return Claim(rows=claimed, more=more, unseen=look.unseen, last=shares.last)


def _look(connection: Connection, wanted: DeliveryClaim, look: Look) -> tuple[Sequence[DueLane], bool]:
    """What is due, of each client in so many of its lanes, and whether some of them were left out."""
    found: list[DueLane] = []
    partial = False
    for client in sorted(wanted.clients):
        seen = DELIVERIES.find(
            connection, wanted.now, look.floors(wanted.now, client), look.window(client, MOST_LANES)
        )
        partial = look.ended(client, seen.last) or partial
        found += seen.due
    look.saw(found)
    return found, partial


def _to_be_probed(
    found: Iterable[DueLane], held_back: Mapping[LaneName, Lane], wanted: DeliveryClaim
) -> list[LaneName]:
    return [
        lane.lane
        for lane in found
        if (known := held_back.get(lane.lane)) and known.to_be_probed and known.room(1, wanted.now)
    ]


def _is_open(
    name: LaneName, held_back: Mapping[LaneName, Lane], probing: Mapping[LaneName, Lane], now: Instant
) -> bool:
    """Not paused; and where there is to be a single probe, nobody else is about to make it."""
    lane = probing.get(name, held_back.get(name))
    return lane is None or (lane.room(1, now) > 0 and (not lane.to_be_probed or name in probing))


def _rooms(due: Iterable[LaneName], held_back: Mapping[LaneName, Lane], wanted: DeliveryClaim) -> Rooms:
    def room(name: LaneName) -> int:
        lane = held_back.get(name)
        slots = wanted.slots_per_lane if lane is None else lane.room(wanted.slots_per_lane, wanted.now)
        return slots - wanted.busy.get(name, 0)

    by_client = Counter[str]()
    for name, count in wanted.busy.items():
        by_client[client_of(name)] += count
    return Rooms(
        by_group={name: room(name) for name in due},
        free=wanted.free,
        quantum=wanted.quantum,
        owner_of=client_of,
        busy=by_client if len(wanted.clients) > 1 else None,
        held=wanted.busy,
        doubtful=held_back,
    )


def _claimed(row: AnyRow, content: AnyRow, wanted: DeliveryClaim, *, held_back: bool) -> ClaimedDelivery:
    return ClaimedDelivery(
        registration=row.registration,
        fence=row.fence,
        round=row.round,
        number=row.attempts + 1,
        failures=row.failures,
        lane=row.lane,
        held_back=held_back,
        leased_until=wanted.leased_until,
        client=content.client,
        kind=content.kind,
        task_id=content.task_id,
        callback_url=content.callback_url,
        type=EventType(content.type),
        announced_at=content.created_at,
        body=content.body,
        trace=trace_of(content.traceparent, content.tracestate),
    )
