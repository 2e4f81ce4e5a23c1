"""`make interop`: what our Sender signs is accepted by libraries that are not ours, and what a forger alters is not."""

import asyncio
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.interop.messages import Received, received
from tests.interop.verifiers import PYTHONS, by_node

SEED: Final = 20_261_123
RANDOM_BODIES: Final = 250
MODULES: Final = Path(__file__).parents[2] / ".tools" / "interop"


def main() -> int:
    messages = asyncio.run(received(SEED, RANDOM_BODIES))
    judged = {name: [verify(message) for message in messages] for name, verify in PYTHONS.items()}
    if shutil.which("node") is None or not (MODULES / "node_modules").is_dir():
        _say("SKIPPED: npm standardwebhooks, npm svix and Node's crypto, for node and npm are not here")
    else:
        judged |= by_node(messages, MODULES)
    return sum(_told(name, messages, accepted) for name, accepted in judged.items())


def _told(name: str, messages: Sequence[Received], accepted: Sequence[bool]) -> int:
    """How many it judged wrong."""
    pairs = list(zip(messages, accepted, strict=True))
    genuine = [right for message, right in pairs if message.forged is None]
    forged = [right for message, right in pairs if message.forged is not None]
    _say(
        f"{name}: {sum(genuine)} of {len(genuine)} accepted, {forged.count(False)} of {len(forged)} forgeries refused"
    )
    wrong = [message for message, right in pairs if right != (message.forged is None)]
    for message in wrong[:5]:
        _say(f"  wrong: {message.forged or 'genuine'}, {message.headers}, {message.body[:80]!r}")
    return len(wrong)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
