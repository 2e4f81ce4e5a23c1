"""/livez, /readyz and /metrics: for the platform, without a token."""

from collections.abc import Callable, Sequence
from functools import partial
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
        for name in self._grounds():
            metrics.not_ready.labels(name).set_function(partial(self._is_reason, name))

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
        return [words for words in self._grounds().values() if words is not None]

    def _is_reason(self, name: str) -> bool:
        return self._grounds()[name] is not None

    def _grounds(self) -> dict[str, str | None]:
        """What could be a reason, by a name that metrics bear; in words where it is one."""
        now = self._clock.now()
        looked_since = now - self._worked
        idle = {
            work.name: f"{work.name}: not looked at lately" if work.ticked_at < looked_since else None
            for work in self._works
        }
        lost = self._database.answered_at < now - RECENT
        return {
            **idle,
            "database": "database: no answer lately" if lost else None,
            "draining": "draining" if self._draining() else None,
        }
