"""Tasks with an owner: what one kind of work has started, and how it is brought to an end."""

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any


class Running:
    """The tasks of one kind of work. Nothing here ever waits for a place: whoever starts a task has counted first."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        # A context of its own: work that a request woke is not part of that request.
        task = asyncio.create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cut_off(self) -> int:
        """Cancel them all; answers how many they were."""
        for task in self._tasks:
            task.cancel()
        return len(self._tasks)

    async def drain(self, seconds: float) -> int:
        """Wait until every task is done, at most so long; cancels the others, and answers how many they were."""
        if not self._tasks:
            return 0
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        return len(late)
