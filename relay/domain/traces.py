"""W3C Trace Context, https://www.w3.org/TR/trace-context/: where in its caller's trace a registration stands."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from relay.domain.ids import RegistrationId

MOST_MEMBERS: Final = 32
LONGEST_STATE: Final = 512
LONG_MEMBER: Final = 128
"""A `tracestate` that is too long loses the members beyond this first, then its last ones (§3.3.1.5)."""

TRACE_BITS: Final = 128
SPAN_BITS: Final = 64
SPAN_DIGITS: Final = 16

_SAMPLED: Final = 0x01
_KNOWN_FLAGS: Final = 0x03  # sampled, and level 2's random-trace-id, which is handed on as it came
_FORBIDDEN_VERSION: Final = "ff"
_LENGTH: Final = 55
_TRACEPARENT: Final = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
)
_MEMBER: Final = re.compile(
    r"(?P<key>[a-z0-9][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceContext:
    """A span's address. `traceparent` is in the words of version 00, whatever the caller's was."""

    traceparent: str
    tracestate: str | None = None

    @property
    def trace_id(self) -> str:
        return self.traceparent[3:35]

    @property
    def span_id(self) -> str:
        return self.traceparent[36:52]

    @property
    def flags(self) -> int:
        return int(self.traceparent[53:], 16)

    @property
    def sampled(self) -> bool:
        return bool(self.flags & _SAMPLED)

    def with_span(self, span_id: str) -> "TraceContext":
        """Another span of the same trace, sampled as it is."""
        return replace(self, traceparent=f"{self.traceparent[:36]}{span_id}{self.traceparent[52:]}")


def new_trace(trace_bits: int, span_bits: int, *, sampled: bool) -> TraceContext:
    """A trace nobody began before; zeros, which name nothing, become ones."""
    return TraceContext(traceparent=f"00-{trace_bits or 1:032x}-{span_bits or 1:016x}-{int(sampled):02x}")


def event_span_id(registration: RegistrationId) -> str:
    """The span of a registration's one event: the end of its UUID, which is random and never all zeros.

    Whoever tries to deliver, days later and in another process, knows it without asking.
    """
    return registration[-SPAN_DIGITS:]


def parse_trace_context(parents: Sequence[str], states: Sequence[str]) -> TraceContext | None:
    """What the headers of a request say, each as often as it came. Anything malformed is as if it were not there.

    Without a `traceparent` a `tracestate` means nothing; a malformed `tracestate` takes nothing from the `traceparent`.
    """
    if len(parents) != 1:
        return None
    text = parents[0].strip(" \t")
    found = _TRACEPARENT.match(text)
    if found is None or found["version"] == _FORBIDDEN_VERSION:
        return None
    beyond = text[_LENGTH:]
    if beyond and (found["version"] == "00" or not beyond.startswith("-")):
        return None
    flags = int(found["flags"], 16) & _KNOWN_FLAGS
    return TraceContext(
        traceparent=f"00-{found['trace']}-{found['span']}-{flags:02x}", tracestate=_state(",".join(states))
    )


def _state(text: str) -> str | None:
    members = [member for each in text.split(",") if (member := each.strip(" \t"))]
    if not members or len(members) > MOST_MEMBERS:
        return None
    keys = [found["key"] for member in members if (found := _MEMBER.fullmatch(member))]
    if len(set(keys)) < len(members):
        return None
    if len(",".join(members)) > LONGEST_STATE:
        members = [member for member in members if len(member) <= LONG_MEMBER]
    while len(",".join(members)) > LONGEST_STATE:
        members.pop()
    return ",".join(members) or None
