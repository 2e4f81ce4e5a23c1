"""The demo's processes: started on free ports, watched, killed, and gone with the demo however it ends."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Final, Self

import orjson

import relay

_START_SECONDS: Final = 30
_STOP_SECONDS: Final = 30
_LINES_KEPT: Final = 20
_LONGEST_LINE: Final = 1024 * 1024
_RELAY_PACKAGE: Final = Path(relay.__file__).parents[1]


class ProcessFailed(Exception):
    """A process of the demo did not start, or ended by itself."""


class Child:
    """A running process and the last lines it wrote."""

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self.url = ""
        self._process = process
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._listening = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    def failure(self, what: str) -> ProcessFailed:
        return ProcessFailed("\n".join([f"the {self.name} {what}; its last words:", *self._lines]))

    async def listening(self) -> None:
        """Wait for its address. Raises ProcessFailed."""
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._listening.wait()
        except TimeoutError:
            raise self.failure("does not listen") from None
        if not self.url:
            raise self.failure("did not start")

    def kill(self) -> None:
        """SIGKILL, on the spot."""
        self._process.kill()

    async def stop(self) -> int:
        """SIGTERM; answers the exit code. Raises ProcessFailed where it does not obey."""
        self._process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                return await self.over()
        except TimeoutError:
            raise self.failure("does not stop") from None

    async def over(self) -> int:
        await self._reading
        return await self._process.wait()

    async def _read(self) -> None:
        stream = self._process.stdout
        while stream is not None and (line := await stream.readline()):
            self._lines.append(line.decode(errors="replace").rstrip())
            if not self.url and (url := _address(line)) is not None:
                self.url = url
                self._listening.set()
        self._listening.set()


class Processes:
    """Everything runs in one temporary folder, and in the process group of a warden that outlives the demo by a moment.

    `environ` is all of the caller's environment that the processes may see.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        # The folder they run in is not the caller's, and a checkout need not be installed.
        self._environ = {**environ, "PYTHONPATH": str(_RELAY_PACKAGE)}
        self._children: list[Child] = []

    async def __aenter__(self) -> Self:
        self.folder = Path(mkdtemp(prefix="relay-demo-"))
        self._warden = await self._run(
            "relay.demo.warden", str(self.folder), environ={}, stdin=PIPE, stderr=DEVNULL, group=0
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        warden = self._warden
        if warden.stdin is not None and warden.stdout is not None:
            warden.stdin.close()
            await warden.stdout.read()
        await warden.wait()
        for child in self._children:
            await child.over()

    async def start(self, name: str, *command: str, environ: Mapping[str, str] | None = None) -> Child:
        """Run `python -m <command>` and wait until it says where it listens. Raises ProcessFailed."""
        process = await self._run(
            *command, environ=environ or {}, stdin=DEVNULL, stderr=STDOUT, group=self._warden.pid
        )
        child = Child(name, process)
        self._children.append(child)
        await child.listening()
        return child

    async def _run(
        self, *command: str, environ: Mapping[str, str], stdin: int, stderr: int, group: int
    ) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *command,
            stdin=stdin,
            stdout=PIPE,
            stderr=stderr,
            cwd=self.folder,
            env={**self._environ, **environ},
            process_group=group,
            limit=_LONGEST_LINE,
        )


def _address(line: bytes) -> str | None:
    """Read the simulator's and the receiver's first line, or the relay's log line."""
    try:
        said = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    match said:
        case {"listening": str(url)}:
            return url
        case {"event": "relay.listening", "host": str(host), "port": int(port)}:
            return f"http://{host}:{port}"
        case _:
            return None
