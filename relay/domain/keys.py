"""The keys that notifications are signed with, as Standard Webhooks 1.0.0 writes them."""

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Final

SHORTEST_SECRET: Final = 24
LONGEST_SECRET: Final = 64
SEED_BYTES: Final = 32
"""Of ed25519; the public key is as long."""

_WHSEC: Final = "whsec_"
_WHSK: Final = "whsk_"
_WHPK: Final = "whpk_"
_SYMMETRIC_RULE: Final = f"should be {_WHSEC} and the base64 of {SHORTEST_SECRET} to {LONGEST_SECRET} bytes"
_PAIR_RULE: Final = (
    f"should be {_WHSK} and the base64 of {2 * SEED_BYTES} bytes, an ed25519 seed and its public key"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSecret:
    """Signs and verifies: both ends hold it."""

    secret: bytes = field(repr=False)

    @property
    def text(self) -> str:
        return _WHSEC + base64.b64encode(self.secret).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """What a receiver verifies ed25519 with. It is no secret."""

    raw: bytes

    @property
    def text(self) -> str:
        return _WHPK + base64.b64encode(self.raw).decode()

    @property
    def x(self) -> str:
        """As a JWK has it (RFC 8037)."""
        return _base64url(self.raw)

    @property
    def thumbprint(self) -> str:
        """RFC 7638: of the members that make the key, in the order and the spelling that it asks for."""
        members = f'{{"crv":"Ed25519","kty":"OKP","x":"{self.x}"}}'
        return _base64url(hashlib.sha256(members.encode()).digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """Whether the halves belong together takes cryptography to know: see webhook/signing.py."""

    seed: bytes = field(repr=False)
    public: PublicKey

    @property
    def text(self) -> str:
        return _WHSK + base64.b64encode(self.seed + self.public.raw).decode()


SigningKey = SharedSecret | KeyPair


def signing_key(text: str) -> SigningKey:
    """What `whsec_…` or `whsk_…` stands for; raises ValueError, with the rule alone."""
    if text.startswith(_WHSK):
        pair = _decoded(text.removeprefix(_WHSK), _PAIR_RULE)
        if len(pair) != 2 * SEED_BYTES:
            raise ValueError(_PAIR_RULE)
        return KeyPair(seed=pair[:SEED_BYTES], public=PublicKey(raw=pair[SEED_BYTES:]))
    if not text.startswith(_WHSEC):
        raise ValueError(f"{_SYMMETRIC_RULE}, or {_PAIR_RULE.removeprefix('should be ')}")
    secret = _decoded(text.removeprefix(_WHSEC), _SYMMETRIC_RULE)
    if not SHORTEST_SECRET <= len(secret) <= LONGEST_SECRET:
        raise ValueError(_SYMMETRIC_RULE)
    return SharedSecret(secret=secret)


def _decoded(text: str, rule: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError(rule) from None


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
