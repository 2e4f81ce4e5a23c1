import asyncio
import contextlib
import threading

import pytest

from relay.webhook.names import SystemNames


async def test_the_system_knows_this_machine() -> None:
    names = SystemNames(threads=1)

    addresses = await names("localhost")
    names.close()

    assert {"127.0.0.1", "::1"} & set(addresses)
    assert len(addresses) == len(set(addresses))


async def test_a_literal_looks_up_as_itself() -> None:
    names = SystemNames(threads=1)

    addresses = await names("127.0.0.1")
    names.close()

    assert addresses == ("127.0.0.1",)


async def test_a_name_without_an_address_is_an_os_error() -> None:
    names = SystemNames(threads=1)

    with pytest.raises(OSError, match=r".+"):
        await names(f"{'a' * 64}.invalid")  # no resolver is asked for a label this long
    names.close()


async def test_more_names_than_threads_wait_for_their_turn() -> None:
    names = SystemNames(threads=1)

    found = await asyncio.gather(*(names(f"127.0.0.{last}") for last in range(1, 6)))
    names.close()

    assert found == [(f"127.0.0.{last}",) for last in range(1, 6)]


async def test_a_name_nobody_waits_for_any_more_costs_the_next_one_nothing() -> None:
    names = SystemNames(threads=1)
    given_up = asyncio.ensure_future(names("127.0.0.1"))
    await asyncio.sleep(0)  # it has asked
    given_up.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await given_up

    addresses = await names("127.0.0.2")
    names.close()

    assert addresses == ("127.0.0.2",)


class Hanging:
    """Names that begin with `slow` hang until they are let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()
        self.asked: list[str] = []

    def __call__(self, name: str) -> tuple[str, ...]:
        self.asked.append(name)
        if name.startswith("slow"):
            self.begun.set()
            self.go.wait(10)
        return ("127.0.0.1",)


async def given_up(names: SystemNames, name: str) -> None:
    """Ask, and go away before there is an answer."""
    asked = asyncio.ensure_future(names(name))
    await asyncio.sleep(0)
    asked.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asked


async def test_a_lookup_that_hangs_takes_a_thread_though_whoever_asked_has_gone() -> None:
    system = Hanging()
    names = SystemNames(threads=2, resolve=system)
    slow = asyncio.ensure_future(names("slow"))
    await asyncio.to_thread(system.begun.wait, 10)
    slow.cancel()

    async with asyncio.timeout(10):
        addresses = await names("quick")
    system.go.set()
    names.close()

    assert addresses == ("127.0.0.1",)


async def test_names_that_nobody_waits_for_any_more_are_not_looked_up() -> None:
    system = Hanging()
    names = SystemNames(threads=1, resolve=system)
    slow = asyncio.ensure_future(names("slow"))
    await asyncio.to_thread(system.begun.wait, 10)
    for number in range(5):
        await given_up(names, f"slow-{number}")

    system.go.set()
    await names("quick")
    names.close()

    assert await slow == ("127.0.0.1",)
    assert system.asked == ["slow", "quick"]


async def test_no_more_lookups_are_under_way_than_there_are_threads() -> None:
    system = Hanging()
    names = SystemNames(threads=2, resolve=system)
    slow = [asyncio.ensure_future(names(f"slow-{number}")) for number in range(5)]
    async with asyncio.timeout(10):
        while len(system.asked) < 2:  # noqa: ASYNC110 - its threads are what is waited for
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    at_once = len(system.asked)

    system.go.set()
    await asyncio.gather(*slow)
    names.close()

    assert (names.threads, at_once, len(system.asked)) == (2, 2, 5)


async def refused(names: SystemNames, client: str, name: str) -> bool:
    """Whether it was refused before the system was asked."""
    asked = asyncio.ensure_future(names.of(client)(name))
    await asyncio.sleep(0)
    if not asked.done():
        return False
    return isinstance(asked.exception(), OSError)


async def test_hanging_names_of_one_client_leave_threads_to_the_others() -> None:
    system = Hanging()
    names = SystemNames(threads=16, resolve=system)
    greedy = [await refused(names, "greedy", f"slow-{number}") for number in range(100)]

    async with asyncio.timeout(10):
        found = await names.of("other")("quick")
    system.go.set()
    async with asyncio.timeout(10):
        while await refused(names, "greedy", "quick"):  # noqa: ASYNC110 - its threads are what is waited for
            await asyncio.sleep(0.01)
    names.close()

    assert greedy == [False] * 12 + [True] * 88
    assert found == ("127.0.0.1",)


async def test_names_that_are_nobodys_take_whatever_threads_there_are() -> None:
    names = SystemNames(threads=2)

    found = await asyncio.gather(*(names(f"127.0.0.{last}") for last in range(1, 6)))
    names.close()

    assert len(found) == 5
