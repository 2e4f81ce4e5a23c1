"""How things stand now: what is watched, what is late, what is dead, and how each CAMB key fares."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from relay.domain.clients import Client
from relay.domain.deliveries import DeadReason
from relay.domain.instants import HOUR, Instant, Span
from relay.domain.lanes import Lane, LaneName

IDLE: Final = HOUR
"""A key whose pause ended so long ago has nothing to ask, and is not in trouble for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """`more` where counting ended before there were no more."""

    value: int
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """`due` waits for the relay alone, the first of it for `late`; `held` is due as well, and waits for a pause to end."""

    due: Count
    late: Span
    held: Count


class KeyState(StrEnum):
    WELL = "well"
    PAUSED = "paused"
    """CAMB asked for it, or does not answer: polls go on after `paused_until`, one at first."""
    REFUSED = "refused"
    """CAMB answers 401 or 403, so that somebody must put the key right: it is tried once a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHealth:
    """One CAMB key and those of the clients asked about that share it.

    `failures` counts its pauses in a row; `since` is when it was first refused.
    """

    clients: tuple[str, ...]
    state: KeyState
    paused_until: Instant | None
    failures: int
    since: Instant | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """At one moment, `at`."""

    at: Instant
    watching: Count
    delivering: Count
    dead: Count
    tasks: Backlog
    deliveries: Backlog
    keys: tuple[KeyHealth, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadGroup:
    """Registrations that died for one reason at one origin; `more` where there may be others than were counted.

    `newest_at` is when the last of them died.
    """

    reason: DeadReason
    origin: str
    count: int
    more: bool
    newest_at: Instant


def keys_of(clients: Collection[Client]) -> dict[LaneName, tuple[str, ...]]:
    """The names of the clients on each key, in order."""
    found: dict[LaneName, tuple[str, ...]] = {}
    for client in sorted(clients, key=lambda client: client.name):
        found[client.key_lane] = (*found.get(client.key_lane, ()), client.name)
    return found


def health_of(
    keys: Mapping[LaneName, tuple[str, ...]], known: Mapping[LaneName, Lane], now: Instant
) -> tuple[KeyHealth, ...]:
    """In the order of their first clients' names. A key without a row has not been used yet."""
    return tuple(_health(names, known.get(key, Lane(name=key)), now) for key, names in keys.items())


def _health(names: tuple[str, ...], lane: Lane, now: Instant) -> KeyHealth:
    if not lane.failures or now >= lane.paused_until + IDLE:
        return KeyHealth(clients=names, state=KeyState.WELL, paused_until=None, failures=0, since=None)
    return KeyHealth(
        clients=names,
        state=KeyState.PAUSED if lane.failing_since is None else KeyState.REFUSED,
        paused_until=lane.paused_until if now < lane.paused_until else None,
        failures=lane.failures,
        since=lane.failing_since,
    )
