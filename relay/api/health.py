"""/livez, /readyz and /metrics: for the platform, without a token."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from relay.clock import Clock
from relay.domain.instants import SECOND, Span
from relay.services.work import Work
from relay.storage.engine import Database
from relay.telemetry import EXPOSITION_TYPE, Metrics

RECENT: Final = Span(5 * SECOND)


class Health:
    """Ready while the database answered lately, every worker has looked at its queue lately, and no drain has begun.

    `tick` is how often the workers look at least.
    """

    def __init__(
        self,
        database: Database,
        works: Sequence[Work[Any]],
        metrics: Metrics,
        clock: Clock,
        draining: Callable[[], bool],
        *,
        tick: Span,
    ) -> None:
        self._database = database
        self._works = works
        self._metrics = metrics
        self._clock = clock
        self._draining = draining
        self._worked = max(RECENT, Span(2 * tick))

    async def live(self, _request: Request) -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json")

    async def ready(self, _request: Request) -> Response:
        reasons = self.reasons()
        document = {"status": "unavailable" if reasons else "ok", "reasons": reasons}
        return Response(orjson.dumps(document), 503 if reasons else 200, media_type="application/json")

    async def metrics(self, _request: Request) -> Response:
        return Response(self._metrics.exposition(), headers={"content-type": EXPOSITION_TYPE})

    def reasons(self) -> list[str]:
        """Why not ready; empty when ready."""
        now = self._clock.now()
        looked_since = now - self._worked
        reasons = [
            f"{work.name}: not looked at lately" for work in self._works if work.ticked_at < looked_since
        ]
        if self._database.answered_at < now - RECENT:
            reasons.append("database: no answer lately")
        if self._draining():
            reasons.append("draining")
        return reasons
