"""Who may use the relay: each client has its own tokens and keys, and sees only what it registered."""

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Final

SHORTEST_SIGNING_KEY: Final = 24
LONGEST_SIGNING_KEY: Final = 64

_WHSEC = "whsec_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """`api_token_digests` are SHA-256; `signing_keys` are decoded, and the first one signs first."""

    name: str
    camb_base_url: str
    camb_api_key: str = field(repr=False)
    api_token_digests: frozenset[bytes] = field(repr=False)
    signing_keys: tuple[bytes, ...] = field(repr=False)
    default_kind: str


def token_digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def signing_key(secret: str) -> bytes:
    """The bytes behind `whsec_…` (Standard Webhooks 1.0.0); raises ValueError, with the rule alone."""
    rule = f"should be {_WHSEC} and the base64 of {SHORTEST_SIGNING_KEY} to {LONGEST_SIGNING_KEY} bytes"
    if not secret.startswith(_WHSEC):
        raise ValueError(rule)
    try:
        key = base64.b64decode(secret.removeprefix(_WHSEC), validate=True)
    except ValueError:
        raise ValueError(rule) from None
    if not SHORTEST_SIGNING_KEY <= len(key) <= LONGEST_SIGNING_KEY:
        raise ValueError(rule)
    return key
