"""Names looked up by the system, in threads of their own."""

import asyncio
import errno
import socket
from asyncio import get_running_loop
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread

from relay.domain.sharing import courteous

Lookup = Callable[[str], Awaitable[tuple[str, ...]]]
"""Every address of a name, as text; raises OSError where there is none."""
Lookups = Callable[[str], Lookup]
"""A client's own, by its name."""
Resolve = Callable[[str], tuple[str, ...]]
"""The same, at once: it is called in a thread, which it may keep for long."""

_Asked = tuple[str, str, asyncio.AbstractEventLoop, "asyncio.Future[tuple[str, ...]]"]
_NOBODYS = ""


class SystemNames:
    """A Lookup. The system cannot be told to give up: slow names fill these threads, at most so many, not those of others.

    The threads are daemons, for a lookup that hangs must not keep the process from ending.
    """

    def __init__(self, threads: int, resolve: Resolve | None = None) -> None:
        self._resolve = resolve or _addresses
        self.threads = threads
        self._started = 0
        self._pending = Counter[str]()
        self._lock = Lock()
        self._asked: SimpleQueue[_Asked | None] = SimpleQueue()

    async def __call__(self, name: str) -> tuple[str, ...]:
        return await self._look_up(_NOBODYS, name)

    def of(self, client: str) -> Lookup:
        """Raises OSError, too, where the client's names hold all but a quarter of the threads that are left to it."""
        return partial(self._look_up, client)

    async def _look_up(self, client: str, name: str) -> tuple[str, ...]:
        loop = get_running_loop()
        answer: asyncio.Future[tuple[str, ...]] = loop.create_future()
        with self._lock:
            free = self.threads - self._pending.total()
            if client != _NOBODYS and courteous(free, self._pending[client]) <= 0:
                raise OSError(errno.EAGAIN, "too many names of this client are looked up already")
            self._pending[client] += 1
            pending = self._pending.total()
        # A lookup is pending until the system is done with it, though whoever asked may have gone long ago.
        if pending > self._started < self.threads:
            self._started += 1
            Thread(target=self._serve, name=f"names-{self._started}", daemon=True).start()
        self._asked.put((client, name, loop, answer))
        return await answer

    def close(self) -> None:
        for _ in range(self._started):
            self._asked.put(None)

    def _serve(self) -> None:
        while (asked := self._asked.get()) is not None:
            client, name, loop, answer = asked
            if (
                not answer.done()
            ):  # else whoever asked has gone, and what a queue has kept is not worth a lookup
                found = self._found(name)
                with suppress(RuntimeError):  # the loop has been closed, and nobody waits any more
                    loop.call_soon_threadsafe(_settle, answer, found)
            with self._lock:
                self._pending[client] -= 1
                if not self._pending[client]:
                    del self._pending[client]

    def _found(self, name: str) -> tuple[str, ...] | OSError:
        try:
            return self._resolve(name)
        except OSError as error:
            return error


def _settle(answer: "asyncio.Future[tuple[str, ...]]", found: tuple[str, ...] | OSError) -> None:
    if answer.done():
        return
    if isinstance(found, OSError):
        answer.set_exception(found)
    else:
        answer.set_result(found)


def _addresses(name: str) -> tuple[str, ...]:
    # Bytes are passed on as they are; text would go through Python's IDNA codec, which raises on long labels.
    found = socket.getaddrinfo(name.encode("ascii"), None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))
