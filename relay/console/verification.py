"""A signature verified one step after the other, as a receiver does it, so that the step that fails can be seen.

It says yes or no and never what a signature should have been: whoever may look is not one who may sign.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from relay.console.words import Tone
from relay.domain.chain import counted, spoken
from relay.domain.instants import SECOND, Instant
from relay.domain.keys import KeyPair, SigningKey
from relay.webhook.signing import Signer

TOLERANCE: Final = 300
"""Seconds by which a timestamp may be off, either way, as the official libraries have it."""
LONGEST_SHOWN: Final = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """As a receiver got it."""

    id: str
    timestamp: str
    signature: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    tone: Tone
    title: str
    detail: str = ""
    sample: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    checks: Sequence[Check]
    verified: bool


def verification(given: Notification, keys: Sequence[SigningKey], now: Instant) -> Verification:
    """`now` is the wall clock's."""
    missing = [
        name
        for name, value in (
            ("webhook-id", given.id),
            ("webhook-timestamp", given.timestamp),
            ("webhook-signature", given.signature),
        )
        if not value
    ]
    if missing:
        detail = f"Without {' and '.join(missing)} nothing can be verified: proxies and frameworks may drop headers."
        return Verification(
            checks=[Check(tone=Tone.BAD, title="A header is missing", detail=detail)], verified=False
        )
    checks = [Check(tone=Tone.GOOD, title="The three headers are there")]
    if not (
        given.timestamp.isascii() and given.timestamp.isdecimal() and len(given.timestamp) <= len("9" * 12)
    ):
        detail = "webhook-timestamp is a number of seconds since 1970."
        checks.append(Check(tone=Tone.BAD, title="The timestamp is no timestamp", detail=detail))
        return Verification(checks=checks, verified=False)
    fresh = _freshness(int(given.timestamp), now)
    content = _content(given.id, int(given.timestamp), given.body)
    checks += [fresh, _signed(content)]
    entries = given.signature.split()
    matched = [place for place, key in enumerate(keys, start=1) if _matches(key, given, given.body, entries)]
    checks += [_key(place, key, matched=place in matched) for place, key in enumerate(keys, start=1)]
    if not matched:
        checks.append(_why_not(given, keys, entries))
    return Verification(checks=checks, verified=bool(matched) and fresh.tone is Tone.GOOD)


def _freshness(timestamp: int, now: Instant) -> Check:
    off = now // SECOND - timestamp
    if abs(off) <= TOLERANCE:
        detail = f"It is off by {spoken(abs(off) * SECOND)}; {spoken(TOLERANCE * SECOND)} are allowed."
        return Check(tone=Tone.GOOD, title="The timestamp is fresh", detail=detail)
    way = "in the past" if off > 0 else "in the future"
    detail = (
        f"It is {spoken(abs(off) * SECOND)} {way}, and a receiver refuses more than {spoken(TOLERANCE * SECOND)}:"
        " this is an old notification, or a clock is wrong. Each attempt is signed anew."
    )
    return Check(tone=Tone.BAD, title="The timestamp is not fresh", detail=detail)


def _signed(content: bytes) -> Check:
    text = content.decode(errors="replace")
    return Check(
        tone=Tone.GOOD,
        title="What is signed is put together: id, timestamp and body, with dots between",
        detail=f"{counted(len(content), 'byte')} of it, exactly as they came.",
        sample=text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…",
    )


def _key(place: int, key: SigningKey, *, matched: bool) -> Check:
    pair = isinstance(key, KeyPair)
    name = f"{'Ed25519 key' if pair else 'Signing secret'} {place}"
    how = "an ed25519 signature of it (v1a)" if pair else "HMAC-SHA256 of it under the secret, in base64 (v1)"
    if matched:
        return Check(tone=Tone.GOOD, title=f"{name} matches", detail=f"One entry is {how}.")
    return Check(tone=Tone.QUIET, title=f"{name} does not match", detail=f"No entry is {how}.")


def _why_not(given: Notification, keys: Sequence[SigningKey], entries: Sequence[str]) -> Check:
    for body, reason in _variants(given.body):
        if any(_matches(key, given, body, entries) for key in keys):
            return Check(tone=Tone.BAD, title="The body was changed on its way", detail=reason)
    if not any(entry.startswith(("v1,", "v1a,")) for entry in entries):
        detail = "webhook-signature holds entries such as v1,K5oZfzN9… with spaces between them."
        return Check(tone=Tone.BAD, title="The header holds no signature", detail=detail)
    detail = (
        "Either another secret signed it, or id, timestamp or body are not what was sent. Compare the receiver's secret"
        " with RELAY_SIGNING_SECRETS, and verify the body before anything parses it."
    )
    return Check(tone=Tone.BAD, title="No signature matches", detail=detail)


def _variants(body: bytes) -> list[tuple[bytes, str]]:
    stripped = body.strip()
    found = [(stripped, "It matches without the space around it: something added a line's end, or a blank.")]
    try:
        compact = orjson.dumps(orjson.loads(body))
    except orjson.JSONDecodeError:
        return found
    told = (
        "It matches once the JSON is written as the relay writes it: something parsed the body and wrote it anew."
        " Verify the bytes as they came."
    )
    return [*found, (compact, told)]


def _matches(key: SigningKey, given: Notification, body: bytes, entries: Sequence[str]) -> bool:
    expected = Signer([key]).sign(given.id, int(given.timestamp), body)
    return any(hmac.compare_digest(entry.encode(), expected) for entry in entries)


def _content(id_: str, timestamp: int, body: bytes) -> bytes:
    return b"%b.%d.%b" % (id_.encode(), timestamp, body)
