"""What one client's notifications carry to prove themselves, made ready once for every request to come."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from relay.domain.clients import CallbackHeader, Client
from relay.webhook.signing import Signer

_MASK: Final = b"***"
# What stands for itself in JSON, HTML and URLs alike: a value is found however an answer spells the rest of it.
_UNRESERVED: Final = re.compile(rb"[A-Za-z0-9._~-]{8,}")
_SHORTEST_SECRET: Final = 8
_SHORTEST_BEGINNING: Final = 4


class OriginHeaders:
    """The callback headers of one origin."""

    def __init__(self, headers: Sequence[CallbackHeader]) -> None:
        self.lines = tuple((header.name.encode(), header.value.encode()) for header in headers)
        self._secrets = _secrets(value for _, value in self.lines)
        self._pattern = re.compile(b"|".join(map(re.escape, self._secrets)) or rb"(?!)")

    def masked(self, answer: bytes) -> bytes:
        """The answer without the values it repeats, should the callback say what it was sent.

        Values of fewer than 8 characters are no secrets, and stay. What the answer's bound cut off in the middle of
        a value is found as the beginning of one.
        """
        answer = self._pattern.sub(_MASK, answer)
        for secret in self._secrets:
            for length in range(len(secret) - 1, _SHORTEST_BEGINNING - 1, -1):
                if answer.endswith(secret[:length]):
                    return answer[:-length] + _MASK
        return answer


class Credentials:
    """Raises what Signer raises."""

    def __init__(self, client: Client) -> None:
        self.sign = Signer(client.signing_keys).sign
        origins = dict.fromkeys(header.origin for header in client.callback_headers)
        self._by_origin = {
            origin: OriginHeaders([header for header in client.callback_headers if header.origin == origin])
            for origin in origins
        }

    def for_origin(self, origin: str) -> OriginHeaders | None:
        return self._by_origin.get(origin)


def _secrets(values: Iterable[bytes]) -> list[bytes]:
    """The longest first: none may be cut by a part of it."""
    found = {part for value in values for part in (value, *_UNRESERVED.findall(value))}
    return sorted((part for part in found if len(part) >= _SHORTEST_SECRET), key=len, reverse=True)
