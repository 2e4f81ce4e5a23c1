"""Signatures of Standard Webhooks 1.0.0: `v1` by a shared secret, `v1a` by ed25519."""

import base64
import hmac
from collections.abc import Callable, Iterable
from typing import Final, assert_never

from relay.domain.errors import RelayError
from relay.domain.keys import SEED_BYTES, KeyPair, PublicKey, SharedSecret, SigningKey

NEW_KEY: Final = SEED_BYTES
"""How many random bytes a new key of either sort is made of."""


class Ed25519Unavailable(RelayError):
    def __init__(self) -> None:
        super().__init__("ed25519 needs a library that is not installed: pip install camb-relay[ed25519]")


class WrongPublicKey(ValueError):
    def __init__(self) -> None:
        super().__init__("should end in the public key that belongs to its seed")


class Signer:
    """Signs with each key, so that one can replace another without a gap; the keys are read once.

    Raises Ed25519Unavailable, and WrongPublicKey for a pair that is none.
    """

    def __init__(self, keys: Iterable[SigningKey]) -> None:
        self._entries = tuple(map(_entry, keys))

    def sign(self, message_id: str, timestamp: int, body: bytes) -> bytes:
        """The `webhook-signature` header; `timestamp` is in Unix seconds."""
        content = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
        return b" ".join(entry(content) for entry in self._entries)


def new_secret(random_bytes: bytes) -> str:
    """`random_bytes` are NEW_KEY bytes of chance."""
    return SharedSecret(secret=random_bytes).text


def new_pair(random_bytes: bytes) -> KeyPair:
    """`random_bytes` are NEW_KEY bytes of chance. Raises Ed25519Unavailable."""
    _, public = _ed25519(random_bytes)
    return KeyPair(seed=random_bytes, public=PublicKey(raw=public))


def _entry(key: SigningKey) -> Callable[[bytes], bytes]:
    """A closure, not a partial: its repr does not spell the key."""
    match key:
        case SharedSecret(secret=secret):

            def symmetric(content: bytes) -> bytes:
                return b"v1," + base64.b64encode(hmac.digest(secret, content, "sha256"))

            return symmetric
        case KeyPair():
            sign, public = _ed25519(key.seed)
            if public != key.public.raw:
                raise WrongPublicKey

            def asymmetric(content: bytes) -> bytes:
                return b"v1a," + base64.b64encode(sign(content))

            return asymmetric
        case _:
            assert_never(key)


def _ed25519(seed: bytes) -> tuple[Callable[[bytes], bytes], bytes]:
    """What signs with that seed, and its public key."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - an extra: whoever has no such key does without
            Ed25519PrivateKey,
        )
    except ImportError:
        raise Ed25519Unavailable from None
    private = Ed25519PrivateKey.from_private_bytes(seed)
    return private.sign, private.public_key().public_bytes_raw()
