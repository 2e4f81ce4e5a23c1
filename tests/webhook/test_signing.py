import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from relay.clock import system_clock
from relay.domain.clients import LONGEST_SIGNING_KEY, SHORTEST_SIGNING_KEY, signing_key
from relay.domain.instants import SECOND
from relay.webhook.signing import NEW_KEY, new_secret, sign

PUBLISHED = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD, NEW = bytes(range(24)), bytes(range(64))


def headers(body: bytes, *keys: bytes) -> dict[str, str]:
    now = system_clock().wall() // SECOND
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": sign("evt_1", now, body, keys),
    }


def test_the_published_vector_comes_out() -> None:
    key = signing_key(PUBLISHED)

    signature = sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [key])

    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(key=st.binary(min_size=SHORTEST_SIGNING_KEY, max_size=LONGEST_SIGNING_KEY), text=st.text())
def test_an_independent_verifier_accepts_what_was_signed(key: bytes, text: str) -> None:
    body = json.dumps({"text": text}, ensure_ascii=False).encode(errors="replace")

    received = Webhook(new_secret(key)).verify(body, headers(body, key))

    assert received == json.loads(body)


@pytest.mark.parametrize("key", [OLD, NEW], ids=["old", "new"])
def test_while_a_secret_is_rotated_either_one_verifies(key: bytes) -> None:
    signed = headers(b"{}", NEW, OLD)

    assert signed["webhook-signature"].count("v1,") == 2
    assert Webhook(key).verify(b"{}", signed) == {}


def test_another_body_does_not_verify() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(b"[]", headers(b"{}", OLD))


@pytest.mark.parametrize("size", [SHORTEST_SIGNING_KEY, NEW_KEY, LONGEST_SIGNING_KEY])
def test_a_new_secret_reads_back_as_its_bytes(size: int) -> None:
    assert signing_key(new_secret(bytes(range(size)))) == bytes(range(size))


@pytest.mark.parametrize(
    ("secret", "rule"),
    [
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "should be whsec_"),
        ("", "should be whsec_"),
        ("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "should be whsec_"),
        ("whsec_canary canary canary canary can", "base64"),
        ("whsec_canarycanarycanarycanarycana_-", "base64"),
        ("whsec_canarycanarycanarycanarycanaü", "base64"),
        ("whsec_canarycanarycanarycanarycanary", "base64"),
        ("whsec_", "24 to 64 bytes"),
        ("whsec_" + base64.b64encode(b"canary-canary-canary-23").decode(), "24 to 64 bytes"),
        ("whsec_" + base64.b64encode(b"canary" * 11).decode(), "24 to 64 bytes"),
    ],
)
def test_a_malformed_secret_is_refused_without_being_repeated(secret: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule) as refused:
        signing_key(secret)

    assert "canary" not in str(refused.value)
    assert refused.value.__cause__ is None
