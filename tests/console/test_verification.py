from dataclasses import replace

import pytest

from relay.console.verification import Notification, Verification, verification
from relay.console.words import Tone
from relay.domain.instants import SECOND, Instant
from relay.domain.keys import KeyPair, SharedSecret, SigningKey
from relay.webhook.signing import Signer, new_pair

OURS = SharedSecret(secret=bytes(range(24)))
OTHER = SharedSecret(secret=bytes(24))
PAIR: KeyPair = new_pair(bytes(32))
KEYS: tuple[SigningKey, ...] = (OURS, PAIR)
NOW = Instant(1_795_000_000 * SECOND)
BODY = b'{"type":"relay.test","data":{"n":1.0}}'


def signed(*keys: SigningKey, body: bytes = BODY, at: int = 1_795_000_000) -> Notification:
    signature = Signer(keys).sign("evt_1", at, body).decode()
    return Notification(id="evt_1", timestamp=f"{at}", signature=signature, body=body)


def titles(found: Verification) -> list[str]:
    return [check.title for check in found.checks if check.tone is not Tone.GOOD]


@pytest.mark.parametrize(
    ("keys", "unmatched"),
    [
        ((OURS,), ["Ed25519 key 2 does not match"]),
        ((PAIR,), ["Signing secret 1 does not match"]),
        ((OTHER, OURS, PAIR), []),
    ],
)
def test_one_key_of_ours_that_matches_is_enough(keys: tuple[SigningKey, ...], unmatched: list[str]) -> None:
    found = verification(signed(*keys), KEYS, NOW)

    assert found.verified
    assert titles(found) == unmatched


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (replace(signed(OURS), id=""), "webhook-id"),
        (replace(signed(OURS), timestamp=""), "webhook-timestamp"),
        (replace(signed(OURS), signature=""), "webhook-signature"),
        (replace(signed(OURS), id="", signature=""), "webhook-id and webhook-signature"),
    ],
)
def test_a_header_that_is_missing_is_named_first(given: Notification, missing: str) -> None:
    found = verification(given, KEYS, NOW)

    (check,) = found.checks
    assert not found.verified
    assert missing in check.detail


@pytest.mark.parametrize("timestamp", ["yesterday", "-1", "1.5", "²", "9" * 13])
def test_a_timestamp_that_is_none_ends_it(timestamp: str) -> None:
    found = verification(replace(signed(OURS), timestamp=timestamp), KEYS, NOW)

    assert not found.verified
    assert titles(found) == ["The timestamp is no timestamp"]


@pytest.mark.parametrize(
    ("off", "verified", "words"),
    [
        (300, True, "5 min are allowed"),
        (-300, True, "5 min are allowed"),
        (301, False, "in the past"),
        (-301, False, "in the future"),
    ],
)
def test_a_right_signature_of_another_time_is_not_enough(off: int, verified: bool, words: str) -> None:  # noqa: FBT001 - a table's column
    found = verification(signed(OURS, PAIR, at=1_795_000_000 - off), KEYS, NOW)

    assert found.verified is verified
    assert words in found.checks[1].detail


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (BODY + b"\n", "a line's end"),
        (b'{"type": "relay.test", "data": {"n": 1.0}}', "wrote it anew"),
        (b'{"type":"relay.test","data":{"n":2.0}}', "RELAY_SIGNING_SECRETS"),
        (b"\xff", "RELAY_SIGNING_SECRETS"),
    ],
)
def test_what_was_done_to_a_body_is_found_out(body: bytes, words: str) -> None:
    found = verification(replace(signed(OURS), body=body), KEYS, NOW)

    assert not found.verified
    assert words in found.checks[-1].detail


@pytest.mark.parametrize("signature", ["nonsense", "v2,abc", "v1"])
def test_a_header_without_a_signature_is_said_to_have_none(signature: str) -> None:
    found = verification(replace(signed(OURS), signature=signature), KEYS, NOW)

    assert titles(found)[-1] == "The header holds no signature"


def test_a_wrong_signature_is_never_told_what_would_have_been_right() -> None:
    right = signed(OURS, PAIR)
    found = verification(replace(right, signature="v1,AAAA v1,ü"), KEYS, NOW)

    told = repr(found)
    assert not found.verified
    assert not [entry for entry in right.signature.split() if entry.partition(",")[2] in told]
    assert OURS.text.removeprefix("whsec_") not in told


def test_a_long_body_is_shown_by_its_beginning() -> None:
    found = verification(signed(OURS, body=b"x" * 1_000), KEYS, NOW)

    assert found.checks[2].sample.endswith("x…")
    assert len(found.checks[2].sample) == 161
