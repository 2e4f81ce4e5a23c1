"""Outlives whoever started it by a moment, and leaves nothing of the demo behind, however that ended.

Run as `python -m relay.demo.warden <folder>` in a process group of its own, which the demo's processes join. The end of
its stdin is the end of the demo, a SIGKILL included; the end of its stdout is when all is gone.
"""

import os
import shutil
import signal
import sys


def main() -> None:
    _, folder = sys.argv
    sys.stdin.buffer.read()
    group = os.getpgrp()
    if os.fork() == 0:
        os.setpgid(0, 0)  # whoever clears up must not be in the group that is killed
        os.killpg(group, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
