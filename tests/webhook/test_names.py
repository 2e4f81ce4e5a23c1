import asyncio
import contextlib

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
