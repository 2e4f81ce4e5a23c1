"""Registrations, attempts and origins as a person reads them."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from rich.table import Table
from rich.text import Text

from relay.cli import exits
from relay.cli.console import fail, out
from relay.cli.showing import Column, ago, clock_time, plain, print_rows, styled
from relay.client import Attempt, Origin, Registration, RelayClient, Step, Trial
from relay.domain.instants import Instant

_SEVERAL: Final = 10
_COLUMNS: Final = (
    Column(name="age", right=True, whole=True),
    Column(name="task"),
    Column(name="kind", wide=True, whole=True),
    Column(name="state", whole=True),
    Column(name="last", wide=True),
    Column(name="registration", whole=True),
)
_HINTS: Final = {
    "dead": "`relay redeliver {id}` sends it again",
    "available": "`relay listen --since-start` shows its event; it is pulled, not sent",
}


def find(relay: RelayClient, named: str) -> Registration:
    """By its id or its task's; exits where the task has none, or several."""
    if named.startswith("reg_"):
        return relay.get(named)
    found = list(islice(relay.registrations(task_id=named, page=_SEVERAL), _SEVERAL))
    if not found:
        fail(f"there is no registration of a task {plain(named)}", exits.FAILED)
    if len(found) > 1:
        several = "\n".join(
            f"  {each['id']}  {each['state']}  {plain(each['callback_url'] or '')}" for each in found
        )
        fail(
            f"the task {plain(named)} has several registrations, newest first; name one:\n{several}",
            exits.FAILED,
        )
    return relay.get(found[0]["id"])


def last_word(registration: Registration) -> str:
    """What there is to say of it beside its state."""
    delivery, event, poll = registration["delivery"], registration["event"], registration["task"]["last_poll"]
    if delivery is not None and delivery["last_error"] is not None:
        return delivery["last_error"]
    if event is not None:
        return event["type"]
    if poll is None:
        return ""
    return registration["task"]["status"] or poll["result"]


def print_registrations(registrations: Iterable[Registration], *, now: Instant) -> None:
    print_rows(
        out,
        _COLUMNS,
        (
            (
                ago(each["created_at"], now) if out.is_terminal else each["created_at"],
                each["task_id"],
                each["kind"],
                styled(each["state"]),
                last_word(each),
                each["id"],
            )
            for each in registrations
        ),
    )


def facts(registration: Registration) -> Table:
    """Its head: who it is, of which task, and what it came to."""
    task, event, delivery = registration["task"], registration["event"], registration["delivery"]
    said = f", CAMB says {task['status']}" if task["status"] else ""
    rows = [
        ("registration", Text(registration["id"])),
        ("state", styled(registration["state"])),
        ("task", Text(plain(f"{registration['task_id']} ({registration['kind']}){said}"))),
        ("callback", Text(plain(registration["callback_url"] or "none: its event is pulled"))),
    ]
    if event is not None:
        rows.append(("event", Text.assemble(styled(event["type"]), f" {event['id']}")))
    if delivery is not None and delivery["last_error"] is not None:
        rows.append(("last error", Text(plain(delivery["last_error"]), style="red")))
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def chain(steps: Sequence[Step], *, now: Instant) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for step in steps:
        style = "dim" if step["planned"] else ""
        at = "" if step["at"] is None else clock_time(step["at"], now)
        table.add_row(
            at, Text(plain(step["what"]), style=style or "bold"), Text(plain(step["detail"]), style=style)
        )
    return table


def print_registration(registration: Registration, steps: Sequence[Step], *, now: Instant) -> None:
    out.print(facts(registration))
    out.print()
    if out.is_terminal:
        out.print(chain(steps, now=now))
    else:
        print_rows(out, (), ((step["at"] or "", step["what"], step["detail"]) for step in steps))
    hint = _HINTS.get(registration["state"])
    if hint is not None:
        out.print()
        out.print(
            hint.format(id=registration["id"]), style="dim", markup=False, highlight=False, soft_wrap=True
        )


def print_attempts(attempts: Sequence[Attempt], *, now: Instant) -> None:
    out.print()
    for each in attempts:
        came_to = Text(each["outcome"], style="green" if each["outcome"] == "accepted" else "red")
        said = each["error"] or f"the callback answered {each['http_status']}"
        line = Text.assemble(
            (f"attempt {each['number']}  {clock_time(each['at'], now)}  ", "bold"),
            came_to,
            f" in {each['duration_ms']:.0f} ms: {plain(said)}",
        )
        out.print(line, soft_wrap=True)
        if each["answer"]:
            out.print(Text(f"  {plain(each['answer'])}", style="dim"), soft_wrap=True)


def print_trial(trial: Trial, url: str) -> None:
    attempt = trial["attempt"]
    if attempt["outcome"] == "accepted":
        said = Text.assemble(("accepted", "green"), f": {url} answered {attempt['http_status']}")
    else:
        said = Text.assemble((attempt["outcome"], "red"), f": {plain(attempt['error'] or '')}")
    out.print(said.append(f" in {attempt['duration_ms']:.0f} ms"), soft_wrap=True)
    if attempt["answer"]:
        out.print(Text(plain(attempt["answer"]), style="dim"), soft_wrap=True)


def print_origins(origins: Iterable[Origin], *, now: Instant) -> None:
    columns = (
        Column(name="origin"),
        Column(name="state", whole=True),
        Column(name="why"),
        Column(name="slots", right=True, whole=True),
        Column(name="waiting", right=True, whole=True),
        Column(name="until", whole=True),
    )
    print_rows(
        out,
        columns,
        (
            (
                each["origin"],
                styled(each["state"]),
                each["cause"] or "",
                str(each["slots"]),
                f"{each['waiting']:,}" if out.is_terminal else str(each["waiting"]),
                _until(each["paused_until"], now),
            )
            for each in origins
        ),
    )


def _until(moment: str | None, now: Instant) -> str:
    if moment is None:
        return ""
    return clock_time(moment, now) if out.is_terminal else moment
