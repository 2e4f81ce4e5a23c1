"""What follows when an event is committed: it is counted and traced, and its delivery is woken."""

from collections.abc import Callable, Sequence

from relay.domain.traces import TraceContext
from relay.domain.watching import Announced
from relay.services.spans import keep_events
from relay.services.tally import Tallying
from relay.telemetry import Metrics
from relay.tracing.tracer import Tracer


class Announcing:
    """`wake` is called when an event is to be delivered."""

    def __init__(
        self, wake: Callable[[], None], *, metrics: Metrics, tally: Tallying, tracer: Tracer
    ) -> None:
        self.wake = wake
        self.tracer = tracer
        self._metrics = metrics
        self._tally = tally

    def tell(self, announced: Sequence[Announced], because: tuple[TraceContext, ...] = ()) -> None:
        """`because` is the place of the poll that decided it, where there was one and it is traced."""
        for each in announced:
            self._metrics.announced.labels(each.type).inc()
            self._tally.detected(each.client, each.type, each.at)
        keep_events(self.tracer, announced, because)
        if announced:
            self.wake()
