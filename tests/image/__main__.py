"""`make image`: prepare the machine, then build the image and hold it to its promises, with what each step took."""

import signal
import sys
from collections.abc import Callable
from typing import Final

import pytest

from relay.clock import system_clock
from relay.domain.instants import Span, seconds
from tests.image import host

PREPARATIONS: Final[tuple[tuple[str, Callable[[], None]], ...]] = (
    ("packages of Debian", host.install_packages),
    ("tools", host.install_tools),
    ("a base", host.make_base),
)


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # containers are removed on the way out
    host.KEPT.mkdir(parents=True, exist_ok=True)
    clock = system_clock()
    began = clock.now()
    for name, prepare in PREPARATIONS:
        before = clock.now()
        prepare()
        _say(f"{name}: {seconds(Span(clock.now() - before)):.1f} s")
    code = pytest.main(["tests/image", "-m", "image", "-v", "-o", "console_output_style=times"])
    _say(f"make image: {seconds(Span(clock.now() - began)):.0f} s in all")
    return code


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
