"""haproxy before the replicas, as a Service stands before its pods: it tries nothing twice, and checks nobody's health.

Run as `python -m tests.rolling.haproxy <folder>`; it says where it listens, and becomes haproxy.
"""

import asyncio
import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Final

import orjson

HOST: Final = "127.0.0.1"
SLOTS: Final = 6
"""Places for replicas: what comes and goes takes a free one."""

_SBIN: Final = "/usr/sbin:/usr/local/sbin"
_SOCKET: Final = "haproxy.sock"
_BACKLOG: Final = 1024
_CONFIGURATION: Final = """\
global
    stats socket {socket} mode 600 level admin
defaults
    mode tcp
    retries 0
    timeout connect 2s
    timeout client 90s
    timeout server 90s
frontend api
    bind fd@{descriptor}
    default_backend replicas
backend replicas
    balance random
"""


class Haproxy:
    """Told over its socket who is ready."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / _SOCKET

    async def address(self, slot: int, port: int) -> None:
        await self._tell(f"set server replicas/slot{slot} addr {HOST} port {port}")

    async def ready(self, slot: int) -> None:
        await self._tell(f"set server replicas/slot{slot} state ready")

    async def maintenance(self, slot: int) -> None:
        """No new connection; those that are open go on."""
        await self._tell(f"set server replicas/slot{slot} state maint")

    async def _tell(self, command: str) -> None:
        reader, writer = await asyncio.open_unix_connection(self._socket)
        writer.write(command.encode() + b"\n")
        said = (await reader.read()).decode().strip()
        writer.close()
        await writer.wait_closed()
        if said and "changed from" not in said and "no need to change" not in said:
            raise RuntimeError(f"haproxy, to {command!r}: {said}")


def main() -> None:
    folder = Path(sys.argv[1])
    program = shutil.which("haproxy", path=f"{os.defpath}:{_SBIN}")
    if program is None:
        raise SystemExit("haproxy is not installed: `apt-get install haproxy`")
    listener = socket.create_server((HOST, 0), backlog=_BACKLOG)
    listener.set_inheritable(True)
    written = _CONFIGURATION.format(socket=folder / _SOCKET, descriptor=listener.fileno())
    written += "".join(f"    server slot{slot} {HOST}:1 disabled\n" for slot in range(SLOTS))
    configuration = folder / "haproxy.cfg"
    configuration.write_text(written)
    sys.stdout.buffer.write(orjson.dumps({"listening": f"http://{HOST}:{listener.getsockname()[1]}"}) + b"\n")
    sys.stdout.flush()
    os.execv(program, [program, "-q", "-db", "-f", str(configuration)])  # noqa: S606 - the listener goes with it


if __name__ == "__main__":
    main()
