"""Who may use the relay: each client has its own tokens and keys, and sees only what it registered."""

import hashlib
from dataclasses import dataclass, field

from relay.domain.keys import KeyPair, PublicKey, SigningKey
from relay.domain.lanes import LaneName, key_lane


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackHeader:
    """Goes to callbacks of that origin alone, for the gateway before them. `name` is in lower case."""

    origin: str
    name: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """`api_token_digests` are SHA-256; the first of `signing_keys` signs first."""

    name: str
    camb_base_url: str
    camb_api_key: str = field(repr=False)
    api_token_digests: frozenset[bytes] = field(repr=False)
    signing_keys: tuple[SigningKey, ...] = field(repr=False)
    default_kind: str
    callback_headers: tuple[CallbackHeader, ...] = ()

    @property
    def key_lane(self) -> LaneName:
        """Shared with every other client on its CAMB key."""
        return key_lane(self.camb_base_url, self.camb_api_key)

    @property
    def public_keys(self) -> tuple[PublicKey, ...]:
        return tuple(key.public for key in self.signing_keys if isinstance(key, KeyPair))

    @property
    def key_set(self) -> str:
        """What its public keys are asked for by: stays when keys change, and does not spell the client's name."""
        return hashlib.sha256(b"camb-relay key set " + self.name.encode()).hexdigest()[:32]


def token_digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
