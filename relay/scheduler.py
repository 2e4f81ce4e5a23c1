"""APScheduler, and the order in which it can be stopped without cancelling what runs."""

from collections.abc import Awaitable, Callable
from datetime import UTC
from typing import Final

import structlog
from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler

_MISFIRE_GRACE_SECONDS: Final = 60

_log = structlog.get_logger()


class Scheduler:
    """Interval jobs. Each returns quickly: what it starts has another owner, so that a stop cancels nothing."""

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": _MISFIRE_GRACE_SECONDS},
        )
        self._scheduler.add_listener(_failed, EVENT_JOB_ERROR)

    def every(self, seconds: float, name: str, job: Callable[[], Awaitable[None]]) -> None:
        self._scheduler.add_job(job, "interval", seconds=seconds, id=name, name=name)

    def start(self) -> None:
        self._scheduler.start()

    def pause(self) -> None:
        """Begin no job any more; those that run go on."""
        self._scheduler.pause()

    def shutdown(self) -> None:
        """To be called once the jobs' own work has been awaited."""
        self._scheduler.shutdown(wait=False)


def _failed(event: JobExecutionEvent) -> None:
    _log.error("job.failed", job=event.job_id, exc_info=event.exception)
