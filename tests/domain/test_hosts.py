from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.hosts import NO_HOSTS, as_dialled, parse_hosts
from relay.domain.urls import parse_callback_url

LABELS = st.from_regex(r"[a-z][a-z0-9_-]{0,9}", fullmatch=True)


def lists(pattern: str, url_host: str) -> bool:
    url = parse_callback_url(f"https://{url_host}/")
    return parse_hosts([pattern]).list(url.host, url.literal)


@pytest.mark.parametrize(
    ("pattern", "host", "listed"),
    [
        ("hooks.example.com", "hooks.example.com", True),
        ("hooks.example.com", "HOOKS.Example.com", True),
        ("Hooks.EXAMPLE.com", "hooks.example.com", True),
        ("hooks.example.com", "hooks.example.com.", True),
        ("hooks.example.com.", "hooks.example.com", True),
        ("hooks.example.com", "hooks.example.com:8443", True),
        (" hooks.example.com ", "hooks.example.com", True),
        ("hooks.example.com", "a.hooks.example.com", False),
        ("hooks.example.com", "example.com", False),
        ("hooks.example.com", "badhooks.example.com", False),
        ("hooks.example.com", "hooks.example.com.evil.example", False),
        ("localhost", "localhost.", True),
        ("*.example.com", "hooks.example.com", True),
        ("*.example.com", "a.b.EXAMPLE.com.", True),
        ("*.Example.com.", "a.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "badexample.com", False),
        ("*.example.com", "example.com.evil.example", False),
        ("*.com", "example.com", True),
        ("*.com", "com", False),
        ("*.xn--bcher-kva.example", "a.xn--bcher-kva.example", True),
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.7:8080", True),
        ("192.0.2.7", "[::ffff:192.0.2.7]", True),
        ("[::ffff:192.0.2.7]", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("192.0.2.7", "x192.example", False),
        ("192.0.2.0/24", "192.0.2.8", True),
        ("192.0.2.0/24", "[::ffff:192.0.2.8]", True),
        ("2001:db8::1", "[2001:DB8:0::1]", True),
        ("[2001:db8::1]", "[2001:db8::1]:8443", True),
        ("2001:DB8::/32", "[2001:db8:5::1]", True),
        ("2001:db8::/32", "[2001:db9::1]", False),
        ("2001:db8::/32", "192.0.2.7", False),
    ],
)
def test_a_list_has_the_hosts_that_its_patterns_say(pattern: str, host: str, listed: bool) -> None:  # noqa: FBT001 - a column of the table
    assert lists(pattern, host) == listed


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("", "name a host"),
        ("*", "DNS could know"),
        ("*.", "name a host"),
        ("*example.com", "DNS could know"),
        ("*.*.example.com", "DNS could know"),
        ("hooks.*.com", "DNS could know"),
        ("a..b", "DNS could know"),
        (".example.com", "DNS could know"),
        ("bücher.example", "punycode"),
        ("hooks.example.com:443", "DNS could know"),
        ("https://hooks.example.com", "host bits"),
        ("hooks.example.com/path", "host bits"),
        ("192.0.2.1/24", "host bits"),
        ("127.1", "four decimal numbers"),
        ("0x7f000001", "four decimal numbers"),
        ("192.0.2.7:80", "DNS could know"),
        ("*.192.0.2.7", "after its"),
        ("*.[::1]", "after its"),
        ("fe80::1%eth0", "zone"),
        ("[::1]:80", "whole IPv6"),
        ("2001:db8:::1", "whole IPv6"),
    ],
)
def test_a_pattern_that_cannot_be_read_is_refused_without_repeating_it(pattern: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as refused:
        parse_hosts(["fine.example", pattern])

    assert len(pattern) < 3 or pattern not in str(refused.value)


def test_a_list_of_nothing_has_nothing() -> None:
    empty = parse_hosts([])

    assert empty == NO_HOSTS
    assert not empty
    assert not empty.list("example.com", None)
    assert not empty.list_address(ip_address("8.8.8.8"))
    assert all(map(parse_hosts, (["a.example"], ["*.example"], ["192.0.2.7"])))


def test_the_order_of_a_list_says_nothing() -> None:
    patterns = ["b.example", "*.a.example", "192.0.2.7", "10.0.0.0/8", "b.example."]

    hosts = parse_hosts(patterns)

    assert hosts == parse_hosts(reversed(patterns))
    assert hosts.networks == (ip_network("10.0.0.0/8"), ip_network("192.0.2.7/32"))


@given(labels=st.lists(LABELS, min_size=2, max_size=6), kept=st.integers(1, 5))
def test_a_wildcard_has_each_name_below_and_no_other(labels: list[str], kept: int) -> None:
    name, parent = ".".join(labels), ".".join(labels[-kept:])

    listed = parse_hosts([f"*.{parent}"]).list(name, None)

    assert listed == (len(labels) > kept)
    assert parse_hosts([parent]).list(name, None) == (name == parent)


@pytest.mark.parametrize(
    ("address", "dialled"),
    [("8.8.8.8", "8.8.8.8"), ("::ffff:8.8.8.8", "8.8.8.8"), ("fe80::1%eth0", "fe80::1"), ("::1", "::1")],
)
def test_an_address_is_known_by_what_the_kernel_dials(address: str, dialled: str) -> None:
    assert as_dialled(ip_address(address)) == ip_address(dialled)
