"""Verifiers that are not ours: each says which messages it accepts."""

import base64
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import orjson
import standardwebhooks
import svix.webhooks

from tests.interop.messages import Received
from tests.webhook.receivers import knowing_pair

TOLERANCE_SECONDS: Final = 300
NODE_SCRIPT: Final = Path(__file__).with_name("verify.mjs")
_WITHIN: Final = 120

Verifier = Callable[[Received], bool]


def by_standardwebhooks(message: Received) -> bool:
    return _raises_nothing(
        lambda: standardwebhooks.Webhook(message.secret.text).verify(message.body, dict(message.headers))
    )


def by_svix(message: Received) -> bool:
    return _raises_nothing(
        lambda: svix.webhooks.Webhook(message.secret.text).verify(message.body, dict(message.headers))
    )


def by_cryptography(message: Received) -> bool:
    sent_at = int(message.headers["webhook-timestamp"])
    if abs(time.time() - sent_at) > TOLERANCE_SECONDS:  # noqa: TID251 - a receiver's own clock
        return False
    return knowing_pair(message.pair)(message.headers, message.body)


PYTHONS: Final[Mapping[str, Verifier]] = {
    "PyPI standardwebhooks": by_standardwebhooks,
    "PyPI svix": by_svix,
    "PyPI cryptography": by_cryptography,
}


def by_node(messages: Sequence[Received], modules: Path) -> dict[str, list[bool]]:
    """What each of Node's verifiers accepts, in order; its libraries are in `modules`."""
    done = subprocess.run(
        ["node", str(NODE_SCRIPT), str(modules)],  # noqa: S607 - Node is where the machine has it
        input=orjson.dumps([_for_node(message) for message in messages]),
        capture_output=True,
        check=True,
        timeout=_WITHIN,
    )
    judged: dict[str, list[bool]] = orjson.loads(done.stdout)
    return judged


def _for_node(message: Received) -> dict[str, object]:
    return {
        "headers": message.headers,
        "body": base64.b64encode(message.body).decode(),
        "secret": message.secret.text,
        "jwk": {"kty": "OKP", "crv": "Ed25519", "x": message.pair.public.x},
    }


def _raises_nothing(verify: Callable[[], object]) -> bool:
    try:
        verify()
    except (standardwebhooks.WebhookVerificationError, ValueError):  # it lets base64's own errors through
        return False
    return True
