"""What a relay reaches the world through."""

from collections.abc import Sequence
from typing import Final, Self

import httpx

from relay.policies import network_policy
from relay.settings import Settings
from relay.transport import AiohttpTransport, tls_context
from relay.webhook.guard import GuardedTransport
from relay.webhook.names import Lookups, SystemNames

LOOKUP_THREADS: Final = 1_024  # started when they are needed: as many hanging names hold nobody else up


class Outside:
    """CAMB, the callbacks, the collector of traces, and the names there are; tests hand in their own."""

    def __init__(
        self,
        camb: httpx.AsyncBaseTransport,
        callbacks: httpx.AsyncBaseTransport,
        lookups: Lookups,
        *,
        collector: httpx.AsyncBaseTransport,
        closed_last: Sequence[SystemNames] = (),
    ) -> None:
        self.camb = camb
        self.callbacks = callbacks
        self.lookups = lookups
        self.collector = collector
        self.closed_last = closed_last

    @classmethod
    def real(cls, settings: Settings) -> Self:
        # Names are looked up for registrations in other threads than for deliveries: slow ones in one hold up none in the other.
        tls, dialled, registered = tls_context(), SystemNames(LOOKUP_THREADS), SystemNames(LOOKUP_THREADS)
        callbacks = GuardedTransport(network_policy(settings), dialled, tls)
        return cls(
            AiohttpTransport(tls),
            callbacks,
            registered.of,
            collector=AiohttpTransport(tls),
            closed_last=(dialled, registered),
        )

    def close(self) -> None:
        for names in self.closed_last:
            names.close()
