"""Names for things: ordered by birth where we make them, derived where they must come out the same twice."""

import hashlib
from typing import NewType

from relay.domain.instants import MILLISECOND, Instant

RegistrationId = NewType("RegistrationId", str)
EventId = NewType("EventId", str)
ReplayId = NewType("ReplayId", str)
TaskRef = NewType("TaskRef", str)
"""Our name for a task row, derived from (client, kind, task id), so that it is known before the row is read."""
Identity = NewType("Identity", bytes)
"""SHA-256 of what makes two registrations the same one."""

RANDOM_BITS = 74
_HEX_DIGITS = 32
_REGISTRATION = "reg_"
_EVENT = "evt_"
_REPLAY = "rpl_"
_TASK = "tsk_"
_SEPARATOR = "\0"  # refused in every part, so that no two different tuples join to one text


def uuid7_hex(now: Instant, random_bits: int) -> str:
    """RFC 9562 UUIDv7 as 32 hex digits; `random_bits` holds RANDOM_BITS bits. Not in 3.11's standard library."""
    milliseconds = (now // MILLISECOND) & (2**48 - 1)
    head = random_bits >> 62
    tail = random_bits & (2**62 - 1)
    return f"{milliseconds << 80 | 0x7 << 76 | head << 64 | 0b10 << 62 | tail:032x}"


def registration_id(now: Instant, random_bits: int) -> RegistrationId:
    return RegistrationId(_REGISTRATION + uuid7_hex(now, random_bits))


def first_registration_id(since: Instant) -> RegistrationId:
    """The lowest id of whatever is registered then or later; an id knows its moment to the millisecond."""
    return registration_id(Instant(-(-since // MILLISECOND) * MILLISECOND), 0)


def parse_registration_id(text: str) -> RegistrationId | None:
    return RegistrationId(text) if _is_id(text, _REGISTRATION) else None


def replay_id(now: Instant, random_bits: int) -> ReplayId:
    return ReplayId(_REPLAY + uuid7_hex(now, random_bits))


def parse_replay_id(text: str) -> ReplayId | None:
    return ReplayId(text) if _is_id(text, _REPLAY) else None


def event_id_of(registration: RegistrationId) -> EventId:
    """The same registration always makes the same event id, so that a repeated batch repeats nothing."""
    return EventId(_EVENT + registration.removeprefix(_REGISTRATION))


def test_event_id(now: Instant, random_bits: int) -> EventId:
    return EventId(_EVENT + uuid7_hex(now, random_bits))


def task_ref(client: str, kind: str, task_id: str) -> TaskRef:
    return TaskRef(_TASK + _digest(client, kind, task_id).hex()[:_HEX_DIGITS])


def identity_of(client: str, kind: str, task_id: str, callback_url: str | None) -> Identity:
    return Identity(_digest(client, kind, task_id, callback_url or ""))


def _is_id(text: str, prefix: str) -> bool:
    digits = text.removeprefix(prefix)
    return len(digits) == _HEX_DIGITS and text != digits and set(digits) <= set("0123456789abcdef")


def _digest(*parts: str) -> bytes:
    return hashlib.sha256(_SEPARATOR.join(parts).encode()).digest()
