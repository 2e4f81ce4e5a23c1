"""A loop whose clock jumps to whatever is next, where nothing else is to be done: for waits that nobody would sit through."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Impatient(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return super().select()
        found = super().select(0)
        if not found:
            self.skipped += max(0, timeout)
        return found


class JumpingLoop(asyncio.SelectorEventLoop):
    """For work without threads and sockets: what these bring may come after the jump."""

    def __init__(self) -> None:
        self._impatient = _Impatient()
        super().__init__(self._impatient)

    def time(self) -> float:
        return super().time() + self._impatient.skipped


def seconds_of(work: Coroutine[Any, Any, object]) -> int:
    """How long it takes, in whole seconds."""

    async def timed() -> int:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await work
        return round(loop.time() - begun)

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(timed())
