"""What one client's notifications carry to prove themselves, made ready once for every request to come."""

from collections.abc import Sequence

from relay.domain.clients import CallbackHeader, Client
from relay.webhook.masking import Masking
from relay.webhook.signing import Signer


class OriginHeaders:
    """The callback headers of one origin; `masked` is an answer without them, should the callback say what it was sent."""

    def __init__(self, headers: Sequence[CallbackHeader]) -> None:
        self.lines = tuple((header.name.encode(), header.value.encode()) for header in headers)
        self.masked = Masking(value for _, value in self.lines)


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
