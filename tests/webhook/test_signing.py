import base64
import json
import subprocess
import sys

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from relay.clock import system_clock
from relay.domain.instants import SECOND
from relay.domain.keys import LONGEST_SECRET, SHORTEST_SECRET, KeyPair, PublicKey, SharedSecret, signing_key
from relay.webhook.signing import NEW_KEY, Signer, WrongPublicKey, new_pair, new_secret
from tests.webhook.receivers import Receiver, knowing_pair, knowing_secret

SHARED = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PAIR = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
OLD, NEW = SharedSecret(secret=bytes(range(24))), SharedSecret(secret=bytes(range(64)))
OLD_PAIR, NEW_PAIR = new_pair(bytes(range(32))), new_pair(bytes(range(32, 64)))
V1, V1A = (
    b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    (b"v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="),
)


def headers(body: bytes, *keys: SharedSecret | KeyPair) -> dict[str, str]:
    now = system_clock().wall() // SECOND
    return {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": Signer(keys).sign("evt_1", now, body).decode(),
    }


@pytest.mark.parametrize(
    ("keys", "signature"),
    [([SHARED], V1), ([PAIR], V1A), ([SHARED, PAIR], V1 + b" " + V1A), ([PAIR, SHARED], V1A + b" " + V1)],
    ids=["v1", "v1a", "v1 and v1a", "v1a and v1"],
)
def test_the_published_vectors_come_out_in_the_order_of_the_keys(keys: list[str], signature: bytes) -> None:
    signer = Signer(map(signing_key, keys))

    signed = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')

    assert signed == signature


@given(secret=st.binary(min_size=SHORTEST_SECRET, max_size=LONGEST_SECRET), text=st.text())
def test_an_independent_verifier_accepts_what_was_signed(secret: bytes, text: str) -> None:
    body = json.dumps({"text": text}, ensure_ascii=False).encode(errors="replace")
    key = SharedSecret(secret=secret)

    received = Webhook(key.text).verify(body, headers(body, key))

    assert received == json.loads(body)


@given(seed=st.binary(min_size=NEW_KEY, max_size=NEW_KEY), body=st.binary())
def test_cryptography_accepts_what_was_signed_by_ed25519(seed: bytes, body: bytes) -> None:
    pair = new_pair(seed)

    assert knowing_pair(pair)(headers(body, OLD, pair), body)


@pytest.mark.parametrize(
    "receiver",
    [
        knowing_secret(OLD),
        knowing_secret(NEW),
        knowing_pair(OLD_PAIR),
        knowing_pair(NEW_PAIR),
    ],
    ids=["old secret", "new secret", "old pair", "new pair"],
)
def test_whoever_knows_one_of_the_keys_verifies_a_notification_signed_by_all(receiver: Receiver) -> None:
    signed = headers(b"{}", NEW, NEW_PAIR, OLD, OLD_PAIR)

    assert [entry.split(",")[0] for entry in signed["webhook-signature"].split(" ")] == [
        "v1",
        "v1a",
        "v1",
        "v1a",
    ]
    assert receiver(signed, b"{}")


def test_another_body_does_not_verify() -> None:
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD.text).verify(b"[]", headers(b"{}", OLD))


@pytest.mark.parametrize(
    ("message_id", "timestamp", "body"),
    [("evt_2", 5, b"{}"), ("evt_1", 6, b"{}"), ("evt_1", 5, b"[]")],
    ids=["another id", "another time", "another body"],
)
def test_ed25519_signs_id_time_and_body(message_id: str, timestamp: int, body: bytes) -> None:
    signature = Signer([OLD_PAIR]).sign(message_id, timestamp, body)

    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(OLD_PAIR.public.raw).verify(
            base64.b64decode(signature.removeprefix(b"v1a,")), b"evt_1.5.{}"
        )


def test_a_new_secret_reads_back_as_its_bytes() -> None:
    assert signing_key(new_secret(bytes(NEW_KEY))) == SharedSecret(secret=bytes(NEW_KEY))


def test_a_new_pair_reads_back_and_signs() -> None:
    pair = signing_key(OLD_PAIR.text)

    assert pair == OLD_PAIR
    assert Signer([pair]).sign("evt_1", 5, b"{}").startswith(b"v1a,")


def test_a_public_half_of_another_seed_is_refused_without_being_repeated() -> None:
    crossed = KeyPair(seed=OLD_PAIR.seed, public=PublicKey(raw=NEW_PAIR.public.raw))

    with pytest.raises(WrongPublicKey) as refused:
        Signer([crossed])

    assert str(refused.value) == "should end in the public key that belongs to its seed"


def test_a_signer_does_not_show_its_keys() -> None:
    key = SharedSecret(secret=b"canary-signing-key-canary")

    assert "canary" not in repr(vars(Signer([key, OLD_PAIR])))


WITHOUT_CRYPTOGRAPHY = """
import sys
sys.modules["cryptography"] = None
from relay.domain.keys import signing_key
from relay.webhook.signing import Ed25519Unavailable, Signer
print(len(Signer([signing_key(sys.argv[1])]).sign("evt_1", 5, b"{}")))
try:
    Signer([signing_key(sys.argv[2])])
except Ed25519Unavailable as error:
    print(error)
"""


def test_without_the_library_shared_secrets_sign_and_a_pair_is_refused_with_the_extras_name() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_CRYPTOGRAPHY, SHARED, PAIR],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert done.stdout.splitlines() == [
        "47",
        "ed25519 needs a library that is not installed: pip install camb-relay[ed25519]",
    ]
