"""Rows of `tasks` and `reports`. The task row is the lock for everything about its registrations."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, select, text

from relay.domain.ids import TaskRef
from relay.domain.tasks import PollResult, TaskReport, TaskState
from relay.domain.watching import Task
from relay.storage.many import Many, Saving
from relay.storage.tables import AnyRow, reports, tasks

_NAMES: Final = tuple(field.name for field in fields(Task))
_COLUMNS: Final = tuple(tasks.c[name] for name in _NAMES)
_FIXED: Final = frozenset({"ref", "client", "kind", "task_id", "fence", "paced_from"})

_WATCH: Final = Many(
    text(
        "INSERT INTO tasks"
        " (ref, client, kind, task_id, state, next_at, fence, paced_from, polls, not_found, not_found_before)"
        " VALUES (:ref, :client, :kind, :task_id, 'watching', :now, 0, :now, 0, 0, 0)"
        " ON CONFLICT (ref) DO UPDATE SET"
        " state = CASE tasks.state WHEN 'idle' THEN 'watching' ELSE tasks.state END,"
        " next_at = CASE tasks.state WHEN 'idle' THEN excluded.next_at ELSE tasks.next_at END,"
        " paced_from = CASE tasks.state WHEN 'idle' THEN excluded.paced_from ELSE tasks.paced_from END"
    )
)
_READ: Final = select(*_COLUMNS).where(tasks.c.ref.in_(bindparam("refs", expanding=True)))
_LOCK: Final = _READ.order_by(tasks.c.ref).with_for_update(key_share=True)
_LOCK_FREE: Final = _READ.order_by(tasks.c.ref).with_for_update(key_share=True, skip_locked=True)
_SAVE: Final = Saving(tasks, key=tasks.c.ref, values=(tasks.c[name] for name in _NAMES if name not in _FIXED))
_KEEP_REPORT: Final = Many(
    text(
        "INSERT INTO reports (task, status, run_id, payload) VALUES (:task, :status, :run_id, :payload)"
        " ON CONFLICT (task) DO UPDATE SET"
        " status = excluded.status, run_id = excluded.run_id, payload = excluded.payload"
    )
)
_PAYLOADS: Final = select(reports.c.task, reports.c.payload).where(
    reports.c.task.in_(bindparam("refs", expanding=True))
)


def watch(connection: Connection, wanted: Iterable[Task]) -> dict[TaskRef, Task]:
    """Make or revive each task, locking its row until the transaction ends; a terminal one stays as it is."""
    rows = sorted({task.ref: task for task in wanted}.values(), key=attrgetter("ref"))
    _WATCH.run(
        connection,
        [
            {
                "ref": task.ref,
                "client": task.client,
                "kind": task.kind,
                "task_id": task.task_id,
                "now": task.paced_from,
            }
            for task in rows
        ],
    )
    return _tasks(connection, _READ, [task.ref for task in rows])


def read(connection: Connection, ref: TaskRef) -> Task:
    return _tasks(connection, _READ, [ref])[ref]


def lock(connection: Connection, refs: Collection[TaskRef]) -> dict[TaskRef, Task]:
    """Lock the tasks in the order of refs until the transaction ends."""
    return _tasks(connection, _LOCK, sorted(refs))


def lock_free(connection: Connection, refs: Collection[TaskRef]) -> dict[TaskRef, Task]:
    """Lock those of the tasks that nobody else holds."""
    return _tasks(connection, _LOCK_FREE, sorted(refs))


def save(connection: Connection, changed: Iterable[Task]) -> None:
    """Write the tasks, which the caller has locked, in the order of refs."""
    _SAVE.run(connection, {task.ref: task for task in sorted(changed, key=attrgetter("ref"))})


def keep_reports(connection: Connection, found: Mapping[TaskRef, TaskReport]) -> None:
    rows = [
        {
            "task": ref,
            "status": None if report.status is None else report.status.encode(),
            "run_id": report.run_id,
            "payload": report.payload,
        }
        for ref, report in sorted(found.items())
    ]
    _KEEP_REPORT.run(connection, rows)


def payloads(connection: Connection, refs: Collection[TaskRef]) -> dict[TaskRef, bytes]:
    """The last valid status body of each task that has one."""
    rows = connection.execute(_PAYLOADS, {"refs": sorted(refs)}) if refs else ()
    return {row.task: row.payload for row in rows}


def _tasks(connection: Connection, statement: Select[Any], refs: list[TaskRef]) -> dict[TaskRef, Task]:
    if not refs:
        return {}
    found = (_task(row) for row in connection.execute(statement, {"refs": refs}).all())
    return {task.ref: task for task in found}


def _task(row: AnyRow) -> Task:
    values = dict(zip(_NAMES, row, strict=True))
    values["state"] = TaskState(values["state"])
    if values["last_poll_result"] is not None:
        values["last_poll_result"] = PollResult(values["last_poll_result"])
    return Task(**values)
