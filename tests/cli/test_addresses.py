"""Which addresses a server answers at, by what it was told to listen on; and that the health check finds it there."""

import socket
from contextlib import closing

import pytest

from relay.cli.health import hosts_to_ask
from relay.cli.serving import listen

needs_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system has no IPv6 beside IPv4")
EVERY = "0.0.0.0"  # noqa: S104 - what is tested


def answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


def loopback_has_ipv6() -> bool:
    """A container's often has none, where the kernel has IPv6 all the same."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@needs_ipv6
def test_every_address_is_one_of_both_families() -> None:
    with closing(listen("::", 0, ipv6=True)) as listener:
        port = listener.getsockname()[1]

        assert listener.family is socket.AF_INET6
        assert answers("127.0.0.1", port)
        assert answers("::1", port) or not loopback_has_ipv6()


def test_without_ipv6_every_address_is_one_of_ipv4() -> None:
    with closing(listen("::", 0, ipv6=False)) as listener:
        assert listener.family is socket.AF_INET
        assert listener.getsockname()[0] == EVERY


@needs_ipv6
@pytest.mark.skipif(not loopback_has_ipv6(), reason="loopback has no ::1 here")
def test_one_address_is_of_its_own_family_alone() -> None:
    with closing(listen("::1", 0, ipv6=True)) as listener:
        port = listener.getsockname()[1]

        assert answers("::1", port)
        assert not answers("127.0.0.1", port)


@pytest.mark.parametrize("host", ["127.0.0.1", EVERY, pytest.param("::", marks=needs_ipv6)])
def test_the_health_check_finds_a_server_wherever_it_listens(host: str) -> None:
    with closing(listen(host, 0, ipv6=True)) as listener:
        port = listener.getsockname()[1]

        assert any(answers(each, port) for each in hosts_to_ask(host))
