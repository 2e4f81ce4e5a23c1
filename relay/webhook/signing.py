"""Symmetric signatures of Standard Webhooks 1.0.0."""

import base64
import hmac
from collections.abc import Iterable
from typing import Final

NEW_KEY: Final = 32
"""How many random bytes a new secret is made of."""

_PREFIX: Final = "whsec_"


def new_secret(random_bytes: bytes) -> str:
    """`random_bytes` are NEW_KEY bytes of chance."""
    return _PREFIX + base64.b64encode(random_bytes).decode()


def sign(message_id: str, timestamp: int, body: bytes, keys: Iterable[bytes]) -> str:
    """The `webhook-signature` header: an entry per key, so that a secret can be rotated; `timestamp` is in Unix seconds."""
    content = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    return " ".join("v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys)
