import base64

import pytest

from relay.domain.clients import Client
from relay.domain.keys import (
    LONGEST_SECRET,
    SHORTEST_SECRET,
    KeyPair,
    PublicKey,
    SharedSecret,
    SigningKey,
    signing_key,
)

PAIR = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
SECRET = SharedSecret(secret=b"canary-signing-key-canary")


def client(*keys: SigningKey, name: str = "shop") -> Client:
    return Client(
        name=name,
        camb_base_url="https://camb.test",
        camb_api_key="k",
        api_token_digests=frozenset(),
        signing_keys=keys,
        default_kind="tts",
    )


@pytest.mark.parametrize("size", [SHORTEST_SECRET, 32, LONGEST_SECRET])
def test_a_shared_secret_reads_back_as_its_bytes(size: int) -> None:
    secret = SharedSecret(secret=bytes(range(size)))

    assert signing_key(secret.text) == secret


def test_a_pair_reads_back_and_knows_its_public_half() -> None:
    pair = signing_key(PAIR)

    assert isinstance(pair, KeyPair)
    assert pair.text == PAIR
    assert pair.public.text == PUBLIC


def test_a_thumbprint_is_that_of_rfc_8037() -> None:
    raw = base64.urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")

    key = PublicKey(raw=raw)

    assert key.x == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert key.thumbprint == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "should be whsec_.*, or whsk_"),
        ("", "should be whsec_"),
        ("whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=", "should be whsec_"),
        ("whsec_canary canary canary canary can", "base64"),
        ("whsec_canarycanarycanarycanarycana_-", "base64"),
        ("whsec_canarycanarycanarycanarycanaü", "base64"),
        ("whsec_canarycanarycanarycanarycanary", "base64"),
        ("whsec_", "24 to 64 bytes"),
        ("whsec_" + base64.b64encode(b"canary-canary-canary-23").decode(), "24 to 64 bytes"),
        ("whsec_" + base64.b64encode(b"canary" * 11).decode(), "24 to 64 bytes"),
        ("whsk_", "base64 of 64 bytes"),
        ("whsk_canary canary", "base64 of 64 bytes"),
        ("whsk_" + base64.b64encode(b"canary-c" * 4).decode(), "base64 of 64 bytes"),
        ("whsk_" + base64.b64encode(b"canary-c" * 8 + b"!").decode(), "base64 of 64 bytes"),
    ],
)
def test_a_malformed_key_is_refused_without_being_repeated(text: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule) as refused:
        signing_key(text)

    assert "canary" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None or refused.value.__suppress_context__


@pytest.mark.parametrize("key", [SECRET, signing_key(PAIR)], ids=["shared", "pair"])
def test_no_key_is_in_its_own_repr(key: SigningKey) -> None:
    told = repr(key) + repr(client(key))

    assert "canary" not in told
    assert PAIR.removeprefix("whsk_")[:16] not in told
    assert "\\xe9v" not in told


def test_a_clients_public_keys_are_those_of_its_pairs_in_their_order() -> None:
    pair = signing_key(PAIR)

    assert [key.text for key in client(SECRET, pair).public_keys] == [PUBLIC]
    assert client(SECRET).public_keys == ()


def test_a_clients_key_set_stays_when_its_keys_change_and_is_no_other_clients() -> None:
    pair = signing_key(PAIR)

    assert client(SECRET).key_set == client(pair).key_set
    assert client(name="shop").key_set != client(name="shop2").key_set
    assert "shop" not in client(name="shop").key_set
