"""What a task of the simulator does, read from the first words of its id.

An id is `<behaviour>[-after-<seconds>][-times-<n>][-<anything>]`, as in `success-after-2.5-order-17`. A task gives its
behaviour's opening answers first, `times` over (once if not said); then it is pending until `after` seconds have passed
since it was first seen (none if not said); and from then on it gives the last answer, for ever.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from types import MappingProxyType
from typing import Final

import orjson

from relay.domain.instants import SECOND, Span

GRAMMAR: Final = "<behaviour>[-after-<seconds>][-times-<n>][-<anything>]"

RUN_ID: Final = b"{run_id}"
"""Stands in a body for the task's own run_id."""

Headers = tuple[tuple[bytes, bytes], ...]

JSON: Final[Headers] = ((b"content-type", b"application/json"),)
HTML: Final[Headers] = ((b"content-type", b"text/html; charset=utf-8"),)
REDIRECTED: Final = "/_simulator/redirected"


class Manner(Enum):
    AT_ONCE = auto()
    DRIP = auto()
    """One byte a second."""
    HANG = auto()
    """Nothing at all, until the caller goes away."""


class Ending(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`padding` counts the spaces sent ahead of the body; `ending` is what it says of the task, None while that goes on."""

    body: bytes = b""
    http_status: int = 200
    headers: Headers = JSON
    padding: int = 0
    manner: Manner = Manner.AT_ONCE
    ending: Ending | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    name: str
    sentence: str
    ending: Answer
    opening: tuple[Answer, ...] = ()
    meanwhile: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A behaviour with its two numbers."""

    behaviour: Behaviour
    after: Span = Span(0)
    times: int = 1

    def answer(self, polls: int, age: int) -> Answer:
        """The answer to one more poll after `polls` of them, `age` microseconds after the task was first seen."""
        opening = self.behaviour.opening
        if polls < len(opening) * self.times:
            return opening[polls % len(opening)]
        return self.behaviour.meanwhile if age < self.after else self.behaviour.ending


def error_body(http_status: int, message: str) -> bytes:
    """One of the shapes in which CAMB says no; FastAPI's `detail` is the other."""
    return orjson.dumps({"error": message, "status": http_status})


def failure(http_status: int, message: str, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(http_status=http_status, body=error_body(http_status, message), headers=(*JSON, *headers))


PENDING: Final = Answer(body=b'{"status":"PENDING"}')
NOT_FOUND: Final = failure(404, "Task not found")
_SUCCESS: Final = Answer(body=b'{"status":"SUCCESS","run_id":{run_id}}', ending=Ending.SUCCEEDED)
_TOO_MANY: Final = failure(429, "Too many requests", (b"retry-after", b"1"))
_HUGE: Final = 10 * 1024 * 1024


def _said(body: bytes) -> Answer:
    return Answer(body=body)


def _succeeded(body: bytes) -> Answer:
    return Answer(body=body, ending=Ending.SUCCEEDED)


def _failed(body: bytes) -> Answer:
    return Answer(body=body, ending=Ending.FAILED)


def _does(
    name: str,
    sentence: str,
    ending: Answer = _SUCCESS,
    *,
    opening: tuple[Answer, ...] = (),
    meanwhile: Answer = PENDING,
) -> Behaviour:
    return Behaviour(name=name, sentence=sentence, ending=ending, opening=opening, meanwhile=meanwhile)


_BEHAVIOURS: Final = (
    _does("success", "SUCCESS with a run_id."),
    _does(
        "success-no-run-id", "SUCCESS without a run_id.", _succeeded(b'{"status":"SUCCESS","run_id":null}')
    ),
    _does(
        "lower-case",
        "Pending and success in small letters.",
        _succeeded(b'{"status":"success","run_id":{run_id}}'),
        meanwhile=_said(b'{"status":"pending"}'),
    ),
    _does(
        "reason-none",
        "SUCCESS whose exception_reason is NONE, which is no failure.",
        _succeeded(b'{"status":"SUCCESS","run_id":{run_id},"exception_reason":"NONE"}'),
    ),
    _does(
        "message-object",
        "SUCCESS whose message is an object.",
        _succeeded(b'{"status":"SUCCESS","run_id":{run_id},"message":{"text":"done","seconds":[1,2.50]}}'),
    ),
    _does(
        "verbatim",
        "SUCCESS with odd spacing, a repeated name, a field of no fame and numbers that rounding would change.",
        _succeeded(
            b'{ "status":"SUCCESS" ,"run_id" : {run_id}, "cost":1.10, "cost":1.1000, "exact":12345678901234567890.0 }\n'
        ),
    ),
    _does(
        "nul",
        "SUCCESS whose message holds a NUL character, properly escaped.",
        _succeeded(b'{"status":"SUCCESS","run_id":{run_id},"message":"a\\u0000b"}'),
    ),
    _does(
        "run-id-early",
        "PENDING with a run_id already, at least once, then SUCCESS.",
        opening=(_said(b'{"status":"PENDING","run_id":{run_id}}'),),
        meanwhile=_said(b'{"status":"PENDING","run_id":{run_id}}'),
    ),
    _does(
        "bare-string",
        'The status as a bare JSON string and nothing else: "PENDING", then "SUCCESS".',
        _succeeded(b'"SUCCESS"'),
        meanwhile=_said(b'"PENDING"'),
    ),
    _does(
        "list",
        "The status object in a list of one.",
        _succeeded(b'[{"status":"SUCCESS","run_id":{run_id}}]'),
        meanwhile=_said(b'[{"status":"PENDING"}]'),
    ),
    _does(
        "unknown-word",
        "PROCESSING, a word that CAMB documents nowhere, at least once, then SUCCESS.",
        opening=(_said(b'{"status":"PROCESSING"}'),),
        meanwhile=_said(b'{"status":"PROCESSING"}'),
    ),
    _does(
        "no-status",
        "An object without a status, at least once, then SUCCESS.",
        opening=(_said(b'{"run_id":{run_id}}'),),
        meanwhile=_said(b'{"run_id":{run_id}}'),
    ),
    _does(
        "error",
        "ERROR with exception_reason INTERNAL_ERROR.",
        _failed(
            b'{"status":"ERROR","run_id":null,"exception_reason":"INTERNAL_ERROR","message":"It broke."}'
        ),
    ),
    _does(
        "failed",
        "FAILED, a word of CAMB's sample code, with exception_reason HARMFUL_CONTENT_DETECTED.",
        _failed(b'{"status":"FAILED","exception_reason":"HARMFUL_CONTENT_DETECTED"}'),
    ),
    _does("timeout", "TIMEOUT, CAMB's own.", _failed(b'{"status":"TIMEOUT"}')),
    _does(
        "payment-required",
        "PAYMENT_REQUIRED.",
        _failed(b'{"status":"PAYMENT_REQUIRED","exception_reason":"PAYMENT_REQUIRED"}'),
    ),
    _does("never", "PENDING for ever.", PENDING),
    _does("lost", "404 for ever.", NOT_FOUND, meanwhile=NOT_FOUND),
    _does("late-404", "404 twice, then found, then SUCCESS.", opening=(NOT_FOUND, NOT_FOUND)),
    _does("rate-limited", "429 with Retry-After: 1 once, then SUCCESS.", opening=(_TOO_MANY,)),
    _does(
        "server-errors",
        "A burst of 500, 502 and 503, then SUCCESS.",
        opening=(
            failure(500, "Internal server error"),
            Answer(http_status=502, body=b"<html><h1>502 Bad Gateway</h1></html>", headers=HTML),
            Answer(
                http_status=503, body=b"upstream connect error", headers=((b"content-type", b"text/plain"),)
            ),
        ),
    ),
    _does(
        "html",
        "A web page with status 200 once, then SUCCESS.",
        opening=(Answer(body=b"<!doctype html><title>Sign in</title>", headers=HTML),),
    ),
    _does("empty", "An empty body with status 200 once, then SUCCESS.", opening=(Answer(),)),
    _does(
        "huge",
        "Ten megabytes of valid JSON once, then SUCCESS.",
        opening=(Answer(body=PENDING.body, padding=_HUGE),),
    ),
    _does(
        "invalid-utf8",
        "A body that is not UTF-8 once, then SUCCESS.",
        opening=(_said(b'{"status":"PENDING","message":"\xff\xfe"}'),),
    ),
    _does(
        "nul-bytes",
        "A body with bare NUL bytes once, then SUCCESS.",
        opening=(_said(b'{"status":"PENDING"}\0\0\0'),),
    ),
    _does(
        "redirect",
        "A redirect once, to a place that counts who comes, then SUCCESS.",
        opening=(Answer(http_status=302, headers=((b"location", REDIRECTED.encode()),)),),
    ),
    _does(
        "drip",
        "An answer of one byte a second once, then SUCCESS.",
        opening=(Answer(body=PENDING.body, manner=Manner.DRIP),),
    ),
    _does(
        "hang",
        "No answer at all once, until the caller goes away, then SUCCESS.",
        opening=(Answer(manner=Manner.HANG),),
    ),
)

BEHAVIOURS: Final[Mapping[str, Behaviour]] = MappingProxyType({each.name: each for each in _BEHAVIOURS})

SUCCESS: Final = Script(behaviour=BEHAVIOURS["success"])
UNKNOWN: Final = Script(behaviour=BEHAVIOURS["lost"])

_PATTERN: Final = re.compile(
    "({names})(?:-after-([0-9]{{1,6}}(?:\\.[0-9]{{1,3}})?))?(?:-times-([0-9]{{1,6}}))?(?:-.*)?".format(
        names="|".join(sorted(map(re.escape, BEHAVIOURS), key=len, reverse=True))
    ),
    re.DOTALL,
)


def script_of(task_id: str) -> Script | None:
    """The script that an id spells out, None where it names no behaviour; of two names that fit, the longer."""
    match = _PATTERN.fullmatch(task_id)
    if match is None:
        return None
    name, after, times = match.groups()
    return Script(
        behaviour=BEHAVIOURS[name],
        after=Span(round(float(after or 0) * SECOND)),
        times=int(times or 1),
    )
