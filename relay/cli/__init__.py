"""The command line."""

import os
import signal
import sys
from typing import NoReturn


def main() -> None:
    if os.getpid() == 1:
        leave_when_told()
    if sys.argv[1:2] == ["healthcheck"] and _is_plainly_well(sys.argv[2:]):
        return
    from relay.cli.operate import app  # noqa: PLC0415 - takes its time, in which a signal can come

    app()


def _is_plainly_well(arguments: list[str]) -> bool:
    """The answer that containers ask for all the time, at a tenth of what the whole command line costs."""
    from pathlib import Path  # noqa: PLC0415 - the rest of the command line imports it by itself

    from relay.cli.health import quick_yes  # noqa: PLC0415 - a health check loads this and nothing more

    answer = quick_yes(arguments, os.environ, Path.cwd())
    if answer is not None:
        sys.stdout.write(f"{answer}\n")
    return answer is not None


def leave_when_told() -> None:
    """Exit 0 on the first SIGTERM or SIGINT: a container's first process is sent no signal that it does not ask for."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)


def _leave(_number: int, _frame: object) -> NoReturn:
    raise SystemExit
