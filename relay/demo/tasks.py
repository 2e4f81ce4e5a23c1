"""The simulator's memory: the tasks it has seen, the least recently polled forgotten first."""

from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from relay.demo.behaviours import UNKNOWN, Answer, Ending, Script, script_of
from relay.domain.instants import Instant

FIRST_RUN_ID: Final = 100_001


@dataclass(slots=True, kw_only=True)
class SimulatedTask:
    """One task under one status route; it changes with every poll, so it is no value."""

    route: str
    task_id: str
    run_id: int
    script: Script
    first_seen_at: Instant
    polls: int = 0
    last_poll_at: Instant | None = None
    ended_at: Instant | None = None
    """When it was first said that it had ended."""
    ending: Ending | None = None
    alt_formats: dict[str, "SimulatedTask"] = field(default_factory=dict)
    """A dub's files in other formats, by language."""

    @property
    def ends_at(self) -> Instant:
        return Instant(self.first_seen_at + self.script.after)

    def poll(self, now: Instant) -> Answer:
        answer = self.script.answer(self.polls, now - self.first_seen_at)
        self.polls += 1
        self.last_poll_at = now
        if answer.ending is not None and self.ending is None:
            self.ended_at = now
            self.ending = answer.ending
        return answer

    def snapshot(self) -> dict[str, object]:
        """Instants in microseconds since 1970."""
        return {
            "task_id": self.task_id,
            "route": self.route,
            "behaviour": self.script.behaviour.name,
            "run_id": self.run_id,
            "first_seen_at": self.first_seen_at,
            "ends_at": self.ends_at,
            "polls": self.polls,
            "last_poll_at": self.last_poll_at,
            "ended_at": self.ended_at,
            "ending": self.ending,
        }


class SimulatedTasks:
    """Tasks by (status route, id) and by run_id: a task asked for under another kind's route is not found, as in life."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._tasks: OrderedDict[tuple[str, str], SimulatedTask] = OrderedDict()
        self._runs: dict[int, SimulatedTask] = {}
        self._run_ids = count(FIRST_RUN_ID)

    def __len__(self) -> int:
        return len(self._tasks)

    def seen(self, route: str, task_id: str, now: Instant) -> SimulatedTask:
        """The task, scripted by its id if this is its first sight."""
        key = (route, task_id)
        task = self._tasks.get(key)
        if task is None:
            return self.add(route, task_id, script_of(task_id) or UNKNOWN, now)
        self._tasks.move_to_end(key)
        return task

    def add(self, route: str, task_id: str, script: Script, now: Instant) -> SimulatedTask:
        """Put a task in, in the place of any that has its id."""
        task = SimulatedTask(
            route=route, task_id=task_id, run_id=next(self._run_ids), script=script, first_seen_at=now
        )
        replaced = self._tasks.pop((route, task_id), None)
        if replaced is not None:
            del self._runs[replaced.run_id]
        self._tasks[route, task_id] = task
        self._runs[task.run_id] = task
        if len(self._tasks) > self._capacity:
            _, forgotten = self._tasks.popitem(last=False)
            del self._runs[forgotten.run_id]
        return task

    def find(self, task_id: str) -> list[SimulatedTask]:
        """That id under every route it was seen at."""
        return [task for task in self._tasks.values() if task.task_id == task_id]

    def run(self, run_id: int) -> SimulatedTask | None:
        return self._runs.get(run_id)

    def latest(self, limit: int) -> list[SimulatedTask]:
        """The most recently polled first."""
        return [task for task, _ in zip(reversed(self._tasks.values()), range(limit), strict=False)]
