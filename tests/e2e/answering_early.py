"""A relay that is wrong on purpose: it acknowledges a registration before it commits it. The crash test must notice."""

import asyncio
import os
import random
import socket
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import structlog
import uvicorn

from relay.app import Relay
from relay.clock import Clock, system_clock
from relay.domain.instants import span_of
from relay.domain.registrations import Registration
from relay.domain.tasks import TaskState
from relay.domain.watching import Task
from relay.outside import Outside
from relay.ports import create_app
from relay.services.allow import Allowing
from relay.services.register import Registering, Wakes
from relay.settings import Settings, load_settings
from relay.storage import registrations
from relay.storage.committer import Committer
from relay.storage.registrations import Created, Registered
from relay.telemetry import configure_logging


class EarlyCommitter(Committer[Registration, Registered]):
    async def submit(self, items: Sequence[Registration]) -> Sequence[Registered]:
        writing = asyncio.ensure_future(super().submit(items))
        writing.add_done_callback(_forget)
        return [Created(registration=item, task=_task_of(item)) for item in items]


class EarlyRelay(Relay):
    def __init__(self, settings: Settings, outside: Outside, *, clock: Clock, rng: random.Random) -> None:
        super().__init__(settings, outside, clock=clock, rng=rng)
        base_urls = {name: client.camb_base_url for name, client in self.clients.items()}
        self.commits.accepted = EarlyCommitter(
            "registrations",
            database=self.database,
            write=partial(registrations.register, base_urls=base_urls),
            clock=clock,
            metrics=self.metrics,
            keeps=False,
        )
        self.registering = Registering(
            self.database,
            self.commits.accepted,
            self.guard,
            Allowing(self.database, settings.allowances_by_name(), clock=clock),
            expires_in=span_of(settings.registrations.expires_in),
            wakes=Wakes(due=self.polling.wake, announcing=self.announcing),
            clock=clock,
            metrics=self.metrics,
            rng=rng,
        )


def _forget(writing: "asyncio.Future[Sequence[Registered]]") -> None:
    writing.exception()


def _task_of(registration: Registration) -> Task:
    return Task(
        ref=registration.task,
        client=registration.client,
        kind=registration.kind,
        task_id=registration.task_id,
        state=TaskState.WATCHING,
        next_at=registration.created_at,
        leased_until=None,
        fence=0,
        paced_from=registration.created_at,
    )


async def serve() -> None:
    environ = os.environ  # noqa: TID251 - a command of its own, configured like the real one
    settings = load_settings(config=None, secrets_dir=None, environ=environ, cwd=Path.cwd())
    configure_logging("json", "info")
    outside = Outside.real(settings)
    async with EarlyRelay(settings, outside, clock=system_clock(), rng=random.SystemRandom()) as relay:
        server = uvicorn.Server(
            uvicorn.Config(create_app(relay), lifespan="off", log_config=None, access_log=False)
        )
        with socket.create_server((settings.server.host, settings.server.port)) as listener:
            host, port = listener.getsockname()
            structlog.get_logger().info("relay.listening", host=host, port=port)
            await server.serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(serve())
