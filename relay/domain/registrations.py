"""The wish to be told when a task ends: its states, its facts, and the event it gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from relay.domain.errors import BrokenRule
from relay.domain.ids import Identity, RegistrationId, TaskRef, identity_of, task_ref
from relay.domain.instants import Instant
from relay.domain.lanes import LaneName, origin_lane
from relay.domain.traces import TraceContext


class RegistrationState(StrEnum):
    WATCHING = "watching"
    DELIVERING = "delivering"
    AVAILABLE = "available"
    """It has no callback: its event is there to be pulled."""
    DELIVERED = "delivered"
    DEAD = "dead"
    CANCELLED = "cancelled"


class RegistrationChange(StrEnum):
    ANNOUNCED = "announced"
    """Its event exists, and its callback is to be told."""
    PUBLISHED = "published"
    """Its event exists, and there is no callback."""
    ACCEPTED = "accepted"
    """The callback answered 2xx; counts even after the relay had given up."""
    GIVEN_UP = "given up"
    CANCELLED = "cancelled"
    REDELIVERED = "redelivered"


_S, _C = RegistrationState, RegistrationChange

REGISTRATION_TRANSITIONS: Final[Mapping[tuple[RegistrationState, RegistrationChange], RegistrationState]] = (
    MappingProxyType(
        {
            (_S.WATCHING, _C.ANNOUNCED): _S.DELIVERING,
            (_S.WATCHING, _C.PUBLISHED): _S.AVAILABLE,
            (_S.WATCHING, _C.CANCELLED): _S.CANCELLED,
            # Announced by a release that knew of no other way.
            (_S.DELIVERING, _C.PUBLISHED): _S.AVAILABLE,
            (_S.DELIVERING, _C.ACCEPTED): _S.DELIVERED,
            (_S.DELIVERING, _C.GIVEN_UP): _S.DEAD,
            (_S.DELIVERING, _C.CANCELLED): _S.CANCELLED,
            (_S.DELIVERED, _C.ACCEPTED): _S.DELIVERED,
            (_S.DELIVERED, _C.REDELIVERED): _S.DELIVERING,
            (_S.DEAD, _C.ACCEPTED): _S.DELIVERED,
            (_S.DEAD, _C.REDELIVERED): _S.DELIVERING,
            (_S.CANCELLED, _C.CANCELLED): _S.CANCELLED,
        }
    )
)


def allows(state: RegistrationState, change: RegistrationChange) -> bool:
    return (state, change) in REGISTRATION_TRANSITIONS


def after_change(state: RegistrationState, change: RegistrationChange) -> RegistrationState:
    """Raises BrokenRule where the table has no such transition."""
    try:
        return REGISTRATION_TRANSITIONS[state, change]
    except KeyError:
        raise BrokenRule(f"a registration that is {state} cannot be {change}") from None


class Format(StrEnum):
    STANDARD = "standard"
    """The envelope of Standard Webhooks."""
    RAW = "raw"
    """CAMB's bytes alone; the facts are in the headers."""


class EventType(StrEnum):
    TASK_SUCCEEDED = "task.succeeded"
    TASK_FAILED = "task.failed"
    TASK_LOST = "task.lost"
    REGISTRATION_EXPIRED = "registration.expired"
    RELAY_TEST = "relay.test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What was accepted. `metadata` is JSON text; `expires_in` is in seconds, as given, None where it was left out.

    Without `callback_url`, and then without `origin`, its event is pulled only.
    """

    id: RegistrationId
    client: str
    kind: str
    task_id: str
    callback_url: str | None
    origin: str | None
    format: Format
    metadata: bytes
    expires_in: int | None
    created_at: Instant
    expires_at: Instant
    trace: TraceContext | None = None
    """Where in its caller's trace it stands: no part of what makes two registrations the same one."""

    @property
    def task(self) -> TaskRef:
        return task_ref(self.client, self.kind, self.task_id)

    @property
    def identity(self) -> Identity:
        return identity_of(self.client, self.kind, self.task_id, self.callback_url)

    @property
    def lane(self) -> LaneName | None:
        return None if self.origin is None else origin_lane(self.client, self.origin)
