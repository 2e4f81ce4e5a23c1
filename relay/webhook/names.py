"""Names looked up by the system, in threads of their own."""

import socket
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

Lookup = Callable[[str], Awaitable[tuple[str, ...]]]
"""Every address of a name, as text; raises OSError where there is none."""


class SystemNames:
    """A Lookup. The system cannot be told to give up: slow names fill these threads, not those of others."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="names")

    async def __call__(self, name: str) -> tuple[str, ...]:
        return await get_running_loop().run_in_executor(self._threads, _addresses, name)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _addresses(name: str) -> tuple[str, ...]:
    # Bytes are passed on as they are; text would go through Python's IDNA codec, which raises on long labels.
    found = socket.getaddrinfo(name.encode("ascii"), None, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))
