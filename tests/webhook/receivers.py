"""Receivers that know one key and nothing else, made of libraries that are not ours."""

import base64
from collections.abc import Callable, Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

from relay.domain.keys import KeyPair, SharedSecret

Receiver = Callable[[Mapping[str, str], bytes], bool]


def knowing_secret(secret: SharedSecret) -> Receiver:
    webhook = Webhook(secret.text)

    def receive(headers: Mapping[str, str], body: bytes) -> bool:
        try:
            webhook.verify(body, dict(headers))
        except WebhookVerificationError:
            return False
        return True

    return receive


def knowing_pair(pair: KeyPair) -> Receiver:
    """Knows its public half alone."""
    public = Ed25519PublicKey.from_public_bytes(pair.public.raw)

    def receive(headers: Mapping[str, str], body: bytes) -> bool:
        content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        return any(
            _signed(public, base64.b64decode(signature), content)
            for version, _, signature in (
                entry.partition(",") for entry in headers["webhook-signature"].split(" ")
            )
            if version == "v1a"
        )

    return receive


def _signed(public: Ed25519PublicKey, signature: bytes, content: bytes) -> bool:
    try:
        public.verify(signature, content)
    except InvalidSignature:
        return False
    return True
