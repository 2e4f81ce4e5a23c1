"""How the console puts things: lengths of time, moments, states, and what may be shown of a URL."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from relay.domain.chain import spoken
from relay.domain.instants import DAY, SECOND, Instant, text

_MASK: Final = "…"


class Tone(StrEnum):
    """What a colour and a shape stand for; never the only sign of it."""

    GOOD = "good"
    BUSY = "busy"
    WARNING = "warning"
    BAD = "bad"
    QUIET = "quiet"


@dataclass(frozen=True, slots=True)
class Label:
    word: str
    tone: Tone
    meaning: str


UNKNOWN: Final = Label("Unknown", Tone.QUIET, "")
REGISTRATION_LABELS: Final[Mapping[str, Label]] = MappingProxyType(
    {
        "watching": Label("Watching", Tone.BUSY, "CAMB is asked until the task has ended"),
        "delivering": Label("Delivering", Tone.BUSY, "the notification is on its way"),
        "delivered": Label("Delivered", Tone.GOOD, "the callback accepted it"),
        "available": Label("Available", Tone.GOOD, "it waits to be pulled from the event stream"),
        "dead": Label("Dead", Tone.BAD, "given up: kept, and can be sent again"),
        "cancelled": Label("Cancelled", Tone.QUIET, "taken back on request"),
    }
)
ORIGIN_LABELS: Final[Mapping[str, Label]] = MappingProxyType(
    {
        "open": Label("Open", Tone.GOOD, "all its slots are there"),
        "slowed": Label("Slowed", Tone.WARNING, "it has fewer slots than usual, one more for each success"),
        "paused": Label("Paused", Tone.BAD, "nothing is sent to it for now"),
        "probing": Label("Probing", Tone.WARNING, "the next attempt finds out whether it is back"),
    }
)
REPLAY_LABELS: Final[Mapping[str, Label]] = MappingProxyType(
    {
        "running": Label("Running", Tone.BUSY, "it goes on in the background"),
        "paused": Label("Paused", Tone.WARNING, "it goes on once it is resumed"),
        "done": Label("Done", Tone.GOOD, "everything that it found was looked at"),
        "cancelled": Label("Cancelled", Tone.QUIET, "it was ended before its end"),
    }
)
OUTCOME_LABELS: Final[Mapping[str, Label]] = MappingProxyType(
    {
        "accepted": Label("Accepted", Tone.GOOD, "a 2xx"),
        "rejected": Label("Rejected", Tone.BAD, "an answer that is no 2xx"),
        "dns": Label("No name", Tone.BAD, "the host's name leads nowhere"),
        "connect": Label("No connection", Tone.BAD, "nobody took the connection"),
        "tls": Label("TLS failed", Tone.BAD, "the certificate or the handshake"),
        "timeout": Label("Timed out", Tone.BAD, "no answer within the deadline"),
        "protocol": Label("No HTTP", Tone.BAD, "what came back was no HTTP answer"),
        "blocked": Label("Blocked", Tone.BAD, "the relay may not call there"),
    }
)
DEAD_LABELS: Final[Mapping[str, Label]] = MappingProxyType(
    {
        "exhausted": Label("Exhausted", Tone.BAD, "every attempt of the schedule failed"),
        "gone": Label("Gone", Tone.BAD, "the callback answered 410"),
        "blocked": Label("Blocked", Tone.BAD, "the relay may not call there"),
    }
)


def relative(at: Instant, now: Instant) -> str:
    """As `in 4 min` or `12 s ago`; console.js says the same while a page stands open."""
    span = at - now
    if abs(span) < SECOND:
        return "now"
    return f"in {spoken(span)}" if span > 0 else f"{spoken(-span)} ago"


def moment(at: Instant, now: Instant) -> str:
    """In UTC, with the day where it is another one than today."""
    day, _, clock = text(at).partition("T")
    short = clock[:8]
    return short if at // DAY == now // DAY else f"{day} {short}"


def shown_url(url: str | None) -> str:
    """Without the query, in which people put secrets."""
    if url is None:
        return ""
    path, mark, _ = url.partition("?")
    return f"{path}?{_MASK}" if mark else path


def short(error: str | None) -> str:
    """Why an attempt failed, where a whole column says so of callbacks."""
    return (error or "").removeprefix("the callback ")
