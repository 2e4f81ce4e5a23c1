"""What the receiver remembers of each notification, the one that came first forgotten first."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Final

import orjson

from relay.domain.instants import Instant

_STATUSES_KEPT: Final = 32


@dataclass(slots=True, kw_only=True)
class Arrival:
    """One webhook-id, over all its verified tries; it changes with each, so it is no value."""

    sequence: int
    webhook_id: str
    path: str
    digest: str
    """SHA-256 of the first body."""
    body: bytes | None
    first_at: Instant
    last_at: Instant
    headers: Mapping[str, str]
    """The `relay-` ones of the latest try."""
    arrivals: int = 0
    accepted: int = 0
    accepted_at: Instant | None = None
    duplicates: int = 0
    """Tries that came after an accepted one."""
    body_changed: bool = False
    answered: list[int] = field(default_factory=list)
    """The latest status codes it was answered with."""

    def snapshot(self) -> dict[str, object]:
        """Instants in microseconds since 1970."""
        return {
            "sequence": self.sequence,
            "webhook_id": self.webhook_id,
            "path": self.path,
            "digest": self.digest,
            "body": _shown(self.body),
            "first_at": self.first_at,
            "last_at": self.last_at,
            "headers": self.headers,
            "arrivals": self.arrivals,
            "accepted": self.accepted,
            "accepted_at": self.accepted_at,
            "duplicates": self.duplicates,
            "body_changed": self.body_changed,
            "answered": self.answered,
        }


@dataclass(slots=True, kw_only=True)
class Totals:
    """Over everything that ever came, forgotten or not."""

    received: int = 0
    verified: int = 0
    bad_signatures: int = 0
    accepted: int = 0
    refused: int = 0
    unanswered: int = 0
    duplicates: int = 0
    bodies_changed: int = 0
    events: int = 0
    """Different webhook-ids."""
    accepted_events: int = 0
    by_event_type: Counter[str] = field(default_factory=Counter)
    """Accepted webhook-ids by `relay-event-type`."""
    complaints: Counter[str] = field(default_factory=Counter)
    """Bad signatures by what the verifier said."""


class Arrivals:
    def __init__(self, *, capacity: int, keep_bodies: bool) -> None:
        self._capacity = capacity
        self._keep_bodies = keep_bodies
        self._known: dict[str, Arrival] = {}
        self._sequence = count(1)
        self.totals = Totals()

    def refused_unverified(self, complaint: str) -> None:
        self.totals.received += 1
        self.totals.bad_signatures += 1
        self.totals.complaints[complaint] += 1

    def came(
        self, webhook_id: str, path: str, body: bytes, headers: Mapping[str, str], now: Instant
    ) -> Arrival:
        """Note one verified try, before it is known how it is answered."""
        digest = hashlib.sha256(body).hexdigest()
        arrival = self._known.get(webhook_id)
        if arrival is None:
            arrival = self._add(
                Arrival(
                    sequence=next(self._sequence),
                    webhook_id=webhook_id,
                    path=path,
                    digest=digest,
                    body=body if self._keep_bodies else None,
                    first_at=now,
                    last_at=now,
                    headers=headers,
                )
            )
        self.totals.received += 1
        self.totals.verified += 1
        arrival.arrivals += 1
        arrival.last_at = now
        arrival.headers = headers
        if arrival.digest != digest and not arrival.body_changed:
            arrival.body_changed = True
            self.totals.bodies_changed += 1
        if arrival.accepted:
            arrival.duplicates += 1
            self.totals.duplicates += 1
        return arrival

    def _add(self, arrival: Arrival) -> Arrival:
        self._known[arrival.webhook_id] = arrival
        self.totals.events += 1
        if len(self._known) > self._capacity:
            del self._known[next(iter(self._known))]
        return arrival

    def accepted(self, arrival: Arrival, status: int, now: Instant) -> None:
        self._answered(arrival, status)
        self.totals.accepted += 1
        arrival.accepted += 1
        if arrival.accepted_at is None:
            arrival.accepted_at = now
            self.totals.accepted_events += 1
            self.totals.by_event_type[arrival.headers.get("relay-event-type", "")] += 1

    def refused(self, arrival: Arrival, status: int) -> None:
        self._answered(arrival, status)
        self.totals.refused += 1

    def unanswered(self) -> None:
        self.totals.unanswered += 1

    def select(self, *, wanted: Callable[[Arrival], bool], after: int, limit: int) -> list[Arrival]:
        """In the order of their first coming, beyond the `after`th."""
        known = (each for each in self._known.values() if each.sequence > after and wanted(each))
        return list(islice(known, limit))

    def _answered(self, arrival: Arrival, status: int) -> None:
        del arrival.answered[: 1 - _STATUSES_KEPT]
        arrival.answered.append(status)


def _shown(body: bytes | None) -> object:
    """JSON as it came, else text."""
    if body is None:
        return None
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode(errors="replace")
    return orjson.Fragment(body)
