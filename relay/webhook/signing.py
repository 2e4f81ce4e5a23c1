"""Symmetric signatures of Standard Webhooks 1.0.0."""

import base64
import binascii
import hmac
from collections.abc import Iterable
from typing import Final

MIN_KEY: Final = 24
MAX_KEY: Final = 64
NEW_KEY: Final = 32
"""How many random bytes a new secret is made of."""

_PREFIX: Final = "whsec_"


def decode_secret(secret: str) -> bytes:
    """Raises ValueError, whose message never repeats the secret."""
    text = secret.removeprefix(_PREFIX)
    if text == secret:
        raise ValueError(f"a signing secret must begin with {_PREFIX}")
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"a signing secret must be base64 after {_PREFIX}") from None
    if not MIN_KEY <= len(key) <= MAX_KEY:
        raise ValueError(f"a signing secret must hold {MIN_KEY} to {MAX_KEY} bytes")
    return key


def new_secret(random_bytes: bytes) -> str:
    """`random_bytes` are NEW_KEY bytes of chance."""
    return _PREFIX + base64.b64encode(random_bytes).decode()


def sign(message_id: str, timestamp: int, body: bytes, keys: Iterable[bytes]) -> str:
    """The `webhook-signature` header: an entry per key, so that a secret can be rotated; `timestamp` is in Unix seconds."""
    content = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    return " ".join("v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys)
