"""The command line."""

import os
import signal
from typing import NoReturn


def main() -> None:
    if os.getpid() == 1:
        leave_when_told()
    from relay.cli.operate import app  # noqa: PLC0415 - takes its time, in which a signal can come

    app()


def leave_when_told() -> None:
    """Exit 0 on the first SIGTERM or SIGINT: a container's first process is sent no signal that it does not ask for."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)


def _leave(_number: int, _frame: object) -> NoReturn:
    raise SystemExit
