"""Serve until told to stop."""

import asyncio
import gc
import random
import resource
import secrets
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
import uvicorn
from starlette.applications import Starlette

from relay.app import Relay, create_app, create_operations_app
from relay.cli.protocol import BoundedProtocol
from relay.clock import system_clock
from relay.outside import Outside
from relay.settings import Settings

_SEED_BITS: Final = 256
_GARBAGE_THRESHOLDS: Final = (20_000, 20, 50)
_SWITCH_SECONDS: Final = 0.0005
_BACKLOG: Final = 2048
_OPEN_FILES: Final = 65_536  # many a system begins with 1,024, which connections alone may need
KEEP_ALIVE_SECONDS: Final = 75

_log = structlog.get_logger()


class CannotListen(Exception):
    pass


class _Server(uvicorn.Server):
    """Leaves signals to `serve`: uvicorn would raise them again at its end, and the process would not exit with 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings, *, accept_clock: bool) -> None:
    """Returns once a SIGTERM or SIGINT has been answered with a drain.

    Raises DatabaseUnavailable where the database cannot be used, and CannotListen where a port cannot.
    """
    relay = Relay(
        settings,
        Outside.real(settings),
        clock=system_clock(),
        rng=random.Random(secrets.randbits(_SEED_BITS)),  # noqa: S311 - ids and jitter are no secrets
        accept_clock=accept_clock,
    )
    async with relay:
        _settle()
        listening = [(_listen(settings, settings.server.port), create_app(relay))]
        if settings.server.operations_port is not None:
            operations = _listen(settings, settings.server.operations_port)
            listening.append((operations, create_operations_app(relay)))
        servers = [(listener, _server(app, settings)) for listener, app in listening]

        def stop() -> None:
            _log.info("relay.stopping")
            relay.begin_drain()
            for _, server in servers:
                server.should_exit = True

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        async with asyncio.TaskGroup() as group:
            for listener, server in servers:
                host, port = listener.getsockname()[:2]
                _log.info("relay.listening", host=host, port=port)
                group.create_task(server.serve(sockets=[listener]))


def _settle() -> None:
    """Suit the interpreter to one busy loop beside a database's thread; measured by `make bench`.

    What lives as long as the process is no garbage, and a row's statement must not wait five milliseconds for its turn.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    sys.setswitchinterval(_SWITCH_SECONDS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _listen(settings: Settings, port: int) -> socket.socket:
    host = settings.server.host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}, port {port}: {error.strerror}") from error


def _server(app: Starlette, settings: Settings) -> uvicorn.Server:
    return _Server(
        uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(settings.server.drain.total_seconds()),
        )
    )
