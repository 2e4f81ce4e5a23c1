"""Whether every promise held: what was accepted, held against what the receiver got."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from relay.api.schemas import EventResource, RegistrationResource
from relay.demo.observed import SeenArrival, SeenArrivals, SeenTasks
from relay.demo.scenario import PlannedTask
from relay.domain.instants import Instant, Span, instant_of, seconds
from relay.domain.registrations import Format, RegistrationState


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """The SIGKILL, and what it met."""

    killed_at: Instant
    back_at: Instant
    registrations_unanswered: int
    polls_under_way: int
    deliveries_under_way: int

    def overlap(self, begin: int, end: int) -> int:
        """How many microseconds of that stretch the relay was dead."""
        return max(0, min(end, self.back_at) - max(begin, self.killed_at))


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """From the end of a task to the answer that told the relay, `dead` of it without a relay; in seconds."""

    task_id: str
    took: float
    dead: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """`notified` counts registrations whose callback accepted the right event, `given_up` those that died as they should.

    `broken` has a sentence for each promise that did not hold.
    """

    tasks: int
    accepted: int
    notified: int
    given_up: int
    missed: int
    verified: int
    bad_signatures: int
    duplicated: int
    bodies_changed: int
    attempts: int
    crash: Crash | None
    slowest_detection: Detection | None
    broken: tuple[str, ...]

    @property
    def held(self) -> bool:
        return not self.broken


def judge(
    planned: int,
    accepted: Mapping[str, PlannedTask],
    listed: Mapping[str, RegistrationResource],
    arrived: SeenArrivals,
    tasks: SeenTasks,
    crash: Crash | None,
) -> Summary:
    """`accepted` and `listed` are by registration id; whatever is not accounted for is broken."""
    by_registration: dict[str, list[SeenArrival]] = {}
    for arrival in arrived.data:
        by_registration.setdefault(arrival.registration, []).append(arrival)
    complaints = {
        id_: complaint
        for id_, task in accepted.items()
        if (complaint := _complaint(task, listed.get(id_), by_registration.get(id_, []))) is not None
    }
    given_up = sum(task.dead_reason is not None and id_ not in complaints for id_, task in accepted.items())
    totals = arrived.totals
    broken = [f"{accepted[id_].task_id} ({id_}): {complaint}" for id_, complaint in complaints.items()]
    if len(accepted) < planned:
        broken.append(f"{planned - len(accepted)} registrations were never answered")
    if totals.bad_signatures:
        broken.append(f"{totals.bad_signatures} notifications had no valid signature")
    if totals.bodies_changed:
        broken.append(f"{totals.bodies_changed} events changed their body")
    if totals.duplicates and crash is None:
        broken.append(f"{totals.duplicates} notifications came again after they had been accepted")
    return Summary(
        tasks=planned,
        accepted=len(accepted),
        notified=len(accepted) - len(complaints) - given_up,
        given_up=given_up,
        missed=len(complaints),
        verified=totals.verified,
        bad_signatures=totals.bad_signatures,
        duplicated=totals.duplicates,
        bodies_changed=totals.bodies_changed,
        attempts=totals.received,
        crash=crash,
        slowest_detection=_slowest(accepted, by_registration, tasks, crash),
        broken=tuple(broken),
    )


def _complaint(
    task: PlannedTask, registration: RegistrationResource | None, arrivals: list[SeenArrival]
) -> str | None:
    """What is wrong with how one accepted registration ended, None if nothing is."""
    if registration is None:
        return "the relay has forgotten it"
    if not arrivals or registration.event is None:
        return f"never notified, and {registration.state}"
    if len(arrivals) > 1:
        return f"notified of {len(arrivals)} different events"
    return _of_the_notification(task, registration.event, arrivals[0]) or _of_the_end(
        task, registration, arrivals[0]
    )


def _of_the_notification(task: PlannedTask, event: EventResource, arrival: SeenArrival) -> str | None:
    if (arrival.webhook_id, arrival.event_type) != (event.id, task.expects):
        return f"notified of {arrival.event_type} ({arrival.webhook_id}), not of {task.expects}"
    if task.format is Format.STANDARD and (said := arrival.body["data"]["status"]) != task.status:
        return f"told that CAMB said {said}, not {task.status}"
    return None


def _of_the_end(task: PlannedTask, registration: RegistrationResource, arrival: SeenArrival) -> str | None:
    reason = None if registration.delivery is None else registration.delivery.dead_reason
    expected = RegistrationState.DELIVERED if task.dead_reason is None else RegistrationState.DEAD
    if (registration.state, reason) != (expected, task.dead_reason):
        return f"{registration.state} ({reason or 'no reason'})"
    if bool(arrival.accepted) is not (task.dead_reason is None):
        return f"{registration.state}, and accepted {arrival.accepted} times"
    return None


def _slowest(
    accepted: Mapping[str, PlannedTask],
    by_registration: Mapping[str, list[SeenArrival]],
    tasks: SeenTasks,
    crash: Crash | None,
) -> Detection | None:
    ended = {task.task_id: task.ends_at for task in tasks.tasks}
    found = []
    for id_, task in accepted.items():
        for arrival in by_registration.get(id_, []):
            if task.ends_by_the_clock and (seen := _first_seen_terminal(task, arrival)) is not None:
                begin = ended[task.task_id]
                dead = 0 if crash is None else crash.overlap(begin, seen)
                found.append(
                    Detection(
                        task_id=task.task_id, took=seconds(Span(seen - begin)), dead=seconds(Span(dead))
                    )
                )
    return max(found, key=lambda detection: detection.took, default=None)


def _first_seen_terminal(task: PlannedTask, arrival: SeenArrival) -> Instant | None:
    match task.format:
        case Format.STANDARD:
            moment = arrival.body["data"]["first_seen_terminal_at"]
            return None if moment is None else instant_of(datetime.fromisoformat(moment))
        case Format.RAW:  # the bytes are CAMB's, and say nothing of when
            return None
        case _:
            assert_never(task.format)
