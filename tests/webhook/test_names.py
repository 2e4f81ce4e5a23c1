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


@pytest.mark.parametrize("name", ["no-such-name.invalid", f"{'a' * 64}.invalid"])
async def test_an_unknown_name_is_an_os_error(name: str) -> None:
    names = SystemNames(threads=1)

    with pytest.raises(OSError, match=r".+"):
        await names(name)
    names.close()
