"""How the receiver treats a notification, said by its path: `/hooks/<behaviour>/<anything>`."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

GRAMMAR: Final = "/hooks/<behaviour>[/<anything>]"


class Reply(Enum):
    """The body of an accepting answer."""

    PLAIN = auto()
    DRIP = auto()
    """One byte a second, after the headers."""
    FLOOD = auto()
    """Ten megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """Each webhook-id is refused `refusals` times (None: always) with `http_status` (None: no answer), then accepted.

    `wait` is in seconds and comes before an accepting answer.
    """

    refusals: int | None = 0
    http_status: int | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    wait: float = 0
    reply: Reply = Reply.PLAIN

    def refuses(self, arrivals: int) -> bool:
        """`arrivals` counts those of its webhook-id before this one."""
        return self.refusals is None or arrivals < self.refusals


@dataclass(frozen=True, slots=True, kw_only=True)
class HookBehaviour:
    """In a `pattern`, N stands for a number, S for seconds and C for a status code."""

    pattern: str
    sentence: str
    hook: Callable[[float], Hook]

    def read(self, word: str) -> Hook | None:
        name, _, argument = self.pattern.rpartition("-")
        if argument not in {"N", "S", "C"}:
            return self.hook(0) if word == self.pattern else None
        match = re.fullmatch(re.escape(name) + r"-([0-9]{1,6}(?:\.[0-9]{1,3})?)", word)
        return None if match is None else self.hook(float(match[1]))


def _fails(times: float) -> Hook:
    return Hook(refusals=int(times), http_status=500)


def _is_gone(times: float) -> Hook:
    return Hook(refusals=int(times), http_status=410)


def _is_busy(seconds: float) -> Hook:
    return Hook(refusals=1, http_status=429, headers=((b"retry-after", f"{seconds:g}".encode()),))


def _answers(status: float) -> Hook:
    return Hook(refusals=None, http_status=int(status))


def _redirects(_: float) -> Hook:
    return Hook(refusals=None, http_status=302, headers=((b"location", b"/hooks/ok/redirected"),))


HOOKS: Final = (
    HookBehaviour(pattern="ok", sentence="Accepts.", hook=lambda _: Hook()),
    HookBehaviour(
        pattern="fail-N", sentence="500 the first N times for each webhook-id, then accepts.", hook=_fails
    ),
    HookBehaviour(pattern="fail", sentence="500 always.", hook=lambda _: _answers(500)),
    HookBehaviour(
        pattern="gone-N", sentence="410 the first N times for each webhook-id, then accepts.", hook=_is_gone
    ),
    HookBehaviour(pattern="gone", sentence="410 always.", hook=lambda _: _answers(410)),
    HookBehaviour(
        pattern="busy-S",
        sentence="429 with Retry-After: S once for each webhook-id, then accepts.",
        hook=_is_busy,
    ),
    HookBehaviour(pattern="status-C", sentence="Status C always, 3 digits from 300 on.", hook=_answers),
    HookBehaviour(pattern="redirect", sentence="302 to a path that accepts, always.", hook=_redirects),
    HookBehaviour(
        pattern="slow-S", sentence="Accepts after S seconds.", hook=lambda seconds: Hook(wait=seconds)
    ),
    HookBehaviour(
        pattern="hang-N",
        sentence="No answer the first N times for each webhook-id, then accepts.",
        hook=lambda times: Hook(refusals=int(times)),
    ),
    HookBehaviour(pattern="hang", sentence="No answer, ever.", hook=lambda _: Hook(refusals=None)),
    HookBehaviour(
        pattern="drip",
        sentence="Accepts, in an answer of one byte a second.",
        hook=lambda _: Hook(reply=Reply.DRIP),
    ),
    HookBehaviour(
        pattern="flood",
        sentence="Accepts, in an answer of ten megabytes.",
        hook=lambda _: Hook(reply=Reply.FLOOD),
    ),
)


def hook_of(word: str) -> Hook | None:
    """None where the word is no behaviour."""
    return next((hook for each in HOOKS if (hook := each.read(word)) is not None), None)
