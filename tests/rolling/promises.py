"""How a run says what it saw, and how it ends."""

import asyncio
import signal
import sys


class Broken(Exception):
    """A promise that did not hold."""


def hold(true: object, sentence: str) -> None:
    if not true:
        raise Broken(sentence)


def say(name: str, seconds: float, words: object) -> None:
    sys.stdout.write(f"{name:<34}{seconds:6.1f} s  {words}\n")
    sys.stdout.flush()


def end_on_sigterm() -> None:
    """As on SIGINT: whatever was started is ended first."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
