"""The traces of one process: what makes spans, and where they go."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import httpx

from relay.clock import Clock
from relay.domain.ids import RANDOM_BITS, uuid7_hex
from relay.settings import Settings
from relay.settings.tracing import TRACES_PATH
from relay.telemetry import Metrics
from relay.tracing.exporter import Collector, Exporter
from relay.tracing.extra import codec_type
from relay.tracing.tracer import Tracer

FLUSH_SECONDS: Final = 2.0
"""How long a stop waits for the collector, within the drain."""


class Traces:
    """Without a collector there is no `exporter`, nothing of OpenTelemetry is imported, and the tracer makes nothing."""

    def __init__(
        self,
        settings: Settings,
        transport: httpx.AsyncBaseTransport,
        *,
        clock: Clock,
        metrics: Metrics,
        rng: random.Random,
    ) -> None:
        tracing = settings.tracing
        self._transport = transport
        self.exporter: Exporter | None = None
        if tracing.endpoint is not None:
            instance = uuid7_hex(clock.now(), rng.getrandbits(RANDOM_BITS))
            self.exporter = Exporter(
                transport,
                Collector(endpoint=tracing.endpoint + TRACES_PATH, headers=tracing.secret_headers()),
                codec_type()(tracing.service_name, instance),
                clock=clock,
                metrics=metrics,
            )
        self.tracer = Tracer(self.exporter, ratio=tracing.sample_ratio, clock=clock, rng=rng)

    @asynccontextmanager
    async def open(self, left: Callable[[], float]) -> AsyncIterator[None]:
        """At the end what waits is sent, while there are seconds `left`."""
        if self.exporter is None:
            yield
            return
        async with self._transport:
            try:
                yield
            finally:
                await self.exporter.close(min(FLUSH_SECONDS, left()))
