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
