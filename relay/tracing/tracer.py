"""Which spans are made, and where they stand.

A registration's spans are made by several processes over days: each is made once it is over, of what the rows say and of
what came of it. Nothing is open in memory, and no context follows the calls.
"""

import random
from typing import Final

from relay.clock import Clock
from relay.domain.instants import Instant
from relay.domain.traces import SPAN_BITS, TRACE_BITS, TraceContext, new_trace
from relay.tracing.exporter import Exporter
from relay.tracing.spans import Span

_RATIO_BITS: Final = (
    56  # those that are random by W3C's word: https://www.w3.org/TR/trace-context-2/#random-trace-id-flag
)


class Tracer:
    """Without an exporter it makes no span: contexts are handed on as they came, and nothing is drawn or kept.

    `ratio` is of the traces that begin here; about a caller's trace the caller has decided.
    """

    def __init__(self, exporter: Exporter | None, *, ratio: float, clock: Clock, rng: random.Random) -> None:
        self._exporter = exporter
        self._threshold = round(ratio * 2**_RATIO_BITS)
        self._clock = clock
        self._rng = rng

    @property
    def on(self) -> bool:
        return self._exporter is not None

    def now(self) -> Instant:
        return self._clock.now()

    def begin(self, caller: TraceContext | None) -> TraceContext | None:
        """The place of a request: a span below its caller's, or the root of a trace."""
        if caller is not None:
            return self.below(caller)
        if self._exporter is None:
            return None
        trace = self._rng.getrandbits(TRACE_BITS)
        sampled = trace % 2**_RATIO_BITS < self._threshold
        return new_trace(trace, self._rng.getrandbits(SPAN_BITS), sampled=sampled)

    def makes(self, context: TraceContext) -> bool:
        """Whether spans of that trace are made."""
        return self._exporter is not None and context.sampled

    def below(self, parent: TraceContext) -> TraceContext:
        """The place of a span to be made below that one; the parent's own where none is."""
        if not self.makes(parent):
            return parent
        return parent.with_span(f"{self._rng.getrandbits(SPAN_BITS) or 1:016x}")

    def keep(self, span: Span) -> None:
        if self._exporter is not None:
            self._exporter.add(span)
