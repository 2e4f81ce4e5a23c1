"""APScheduler: interval jobs, which it begins and does not own, so that stopping it cancels nothing."""

from collections.abc import Awaitable, Callable
from datetime import UTC
from typing import Final

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from relay.services.running import Running
from relay.telemetry import Metrics

_MISFIRE_GRACE_SECONDS: Final = 60

_log = structlog.get_logger()


class Scheduler:
    """Interval jobs. A job that is still under way when its time comes again is left alone."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._running = Running()
        self._under_way: set[str] = set()
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": _MISFIRE_GRACE_SECONDS},
        )

    def every(self, seconds: float, name: str, job: Callable[[], Awaitable[None]]) -> None:
        async def begin() -> None:
            if name not in self._under_way:
                self._under_way.add(name)
                self._running.start(self._owned(name, job))

        self._scheduler.add_job(begin, "interval", seconds=seconds, id=name, name=name)

    def start(self) -> None:
        self._scheduler.start()

    def pause(self) -> None:
        """Begin no job any more; those that run go on."""
        self._scheduler.pause()

    async def drain(self, seconds: float) -> None:
        """Wait for the jobs that run, at most so long."""
        await self._running.drain(seconds)

    def cut_off(self) -> None:
        self._running.cut_off()

    def shutdown(self) -> None:
        self._scheduler.shutdown(wait=False)

    async def _owned(self, name: str, job: Callable[[], Awaitable[None]]) -> None:
        try:
            await job()
        except Exception:  # noqa: BLE001 - one tick that fails must not be the last; the next one tries again
            self._metrics.errors.labels(name).inc()
            _log.exception("job.failed", job=name)
        finally:
            self._under_way.discard(name)
