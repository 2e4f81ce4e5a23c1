"""Serve until told to stop."""

import asyncio
import gc
import os
import random
import resource
import secrets
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

import structlog
import uvicorn
from starlette.applications import Starlette

from relay.app import Relay
from relay.cli.protocol import BoundedProtocol
from relay.clock import system_clock
from relay.outside import Outside
from relay.ports import create_app, create_operations_app
from relay.settings import Settings

_SEED_BITS: Final = 256
_GARBAGE_THRESHOLDS: Final = (20_000, 20, 50)
_SWITCH_SECONDS: Final = 0.0005
_BACKLOG: Final = 2048
_OPEN_FILES: Final = 65_536  # many a system begins with 1,024, which connections alone may need
KEEP_ALIVE_SECONDS: Final = 75
GOODBYE_SECONDS: Final = 0.2
"""From the first signal to the end of accepting: not ready any more, and who has a connection is told to leave it."""

_log = structlog.get_logger()


class CannotListen(Exception):
    pass


class _Server(uvicorn.Server):
    """Leaves signals to `serve`: uvicorn would raise them again at its end, and the process would not exit with 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def say_goodbye(self) -> None:
        """From here on every answer is its connection's last."""
        # The one is what the next answers begin with, the other what it is made of anew each second.
        for headers in (self.server_state.default_headers, self.config.encoded_headers):
            headers.append((b"connection", b"close"))

    def leave(self) -> None:
        self.should_exit = True

    def leave_at_once(self) -> None:
        self.should_exit = self.force_exit = True


class _Stop:
    """Called for each signal: the first begins a drain, the next one cuts it short.

    Before there is anything to drain, it ends the start.
    """

    def __init__(self, relay: Relay) -> None:
        self.cut_short = False
        self._relay = relay
        self._starting = asyncio.current_task()
        self._servers: Sequence[_Server] = ()

    def started(self, servers: Sequence[_Server]) -> None:
        self._starting = None
        self._servers = servers

    def __call__(self) -> None:
        if self._starting is not None:
            _log.info("relay.stopping")
            self._starting.cancel()
        elif not self._relay.draining:
            _log.info("relay.stopping")
            self._relay.begin_drain()
            for server in self._servers:
                server.say_goodbye()
            asyncio.get_running_loop().call_later(GOODBYE_SECONDS, self._servers[0].leave)
        else:
            _log.warning("relay.cut_short")
            self.cut_short = True
            self._relay.cut_short()
            for server in self._servers:
                server.leave_at_once()


async def serve(settings: Settings, *, accept_clock: bool) -> bool:
    """Returns once a SIGTERM or SIGINT has been answered with a drain: whether that came to its end.

    Raises DatabaseUnavailable where the database cannot be used, and CannotListen where a port cannot.
    """
    relay = Relay(
        settings,
        Outside.real(settings),
        clock=system_clock(),
        rng=random.Random(secrets.randbits(_SEED_BITS)),  # noqa: S311 - ids and jitter are no secrets
        accept_clock=accept_clock,
    )
    stop = _Stop(relay)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    with suppress(asyncio.CancelledError):
        async with relay:
            _settle()
            with _listening(settings) as listeners:
                await _serve_until_stopped(relay, listeners, stop)
    return not stop.cut_short


async def _serve_until_stopped(relay: Relay, listeners: Sequence[socket.socket], stop: _Stop) -> None:
    """The first port is the API's, and leaves first: health and metrics of their own port are there to the end."""
    apps = (create_app(relay), create_operations_app(relay))
    servers = [_Server(configured(app, relay.settings)) for app, _ in zip(apps, listeners, strict=False)]
    stop.started(servers)
    async with asyncio.TaskGroup() as group:
        serving = []
        for listener, server in zip(listeners, servers, strict=True):
            host, port = listener.getsockname()[:2]
            _log.info("relay.listening", host=host, port=port)
            serving.append(group.create_task(server.serve(sockets=[listener])))
        await serving[0]
        await relay.drain()
        for server in servers:
            server.leave()


def hold_standard_streams() -> None:
    """Open what the process was started without, before anything else takes its number: libuv aborts when it closes that."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


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
    # A container's first process inherits whatever is left of others in it; this way the system buries them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


@contextmanager
def _listening(settings: Settings) -> Iterator[Sequence[socket.socket]]:
    """The API's port, and the one for health and metrics if that is another."""
    server = settings.server
    ports = (server.port,) if server.operations_port is None else (server.port, server.operations_port)
    with ExitStack() as opened:
        yield [opened.enter_context(listen(server.host, port, ipv6=_has_ipv6())) for port in ports]


def _has_ipv6() -> bool:
    """A kernel can be started without."""
    try:
        socket.socket(socket.AF_INET6).close()
    except OSError:
        return False
    return True


def listen(host: str, port: int, *, ipv6: bool) -> socket.socket:
    """`::` is every address there is, of both families where the system can and of IPv4 where it has no IPv6.

    Raises CannotListen.
    """
    if host == "::" and not ipv6:
        host = "0.0.0.0"  # noqa: S104 - every address is what `::` has asked for
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        raise CannotListen(
            f"cannot listen on {host}, port {port}: {os.strerror(error.errno or 0)}"
        ) from error


def configured(app: Starlette, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
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
