from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.addresses import (
    AllowHttp,
    NetworkPolicy,
    Verdict,
    address_rule,
    judge,
    parse_networks,
    url_rule,
)
from relay.domain.hosts import parse_hosts
from relay.domain.urls import parse_callback_url

STRICT = NetworkPolicy()
NO_DENIED = "callbacks may not go to hosts the operator has denied"
ONLY_ALLOWED = "callbacks may go only to hosts the operator has allowed"
WORDS = NetworkPolicy(allow_networks=parse_networks(["loopback", "private"]))


@pytest.mark.parametrize("verdict", Verdict)
def test_only_public_and_allowed_addresses_are_permitted(verdict: Verdict) -> None:
    assert verdict.permits == (verdict in {Verdict.PUBLIC, Verdict.ALLOWED})


@given(address=st.ip_addresses(v=4))
def test_mapping_an_ipv4_address_into_ipv6_changes_nothing(address: IPv4Address) -> None:
    mapped = IPv6Address(0xFFFF << 32 | int(address))

    assert judge(mapped, STRICT) is judge(address, STRICT)
    assert judge(mapped, WORDS) is judge(address, WORDS)


@given(
    address=st.ip_addresses(v=4),
    spelling=st.sampled_from(
        [
            lambda v4: v4,
            lambda v4: 0xFFFF << 48 | v4,
            lambda v4: 0x64FF9B << 96 | v4,
            lambda v4: 0x0064FF9B0001 << 80 | 1 << 64 | v4,
            lambda v4: 0x2606 << 112 | 0x5EFE << 32 | v4,
            lambda v4: 0x2606 << 112 | 0x02005EFE << 32 | v4,
            lambda v4: 0x2002 << 112 | v4 << 80,
            lambda v4: 0x20010000 << 96 | v4 << 64 | 0xF7F7F7F7,
            lambda v4: 0x20010000 << 96 | 0x08080808 << 64 | (v4 ^ 0xFFFFFFFF),
        ]
    ),
)
def test_no_spelling_of_a_refused_ipv4_address_is_permitted(address: IPv4Address, spelling: object) -> None:
    assert callable(spelling)
    spelled = IPv6Address(spelling(int(address)))

    assert judge(address, STRICT).permits or not judge(spelled, STRICT).permits


@given(address=st.ip_addresses())
def test_nothing_the_standard_library_calls_special_is_permitted(address: IPv4Address | IPv6Address) -> None:
    special = address.is_private or address.is_loopback or address.is_link_local or address.is_multicast

    # Python 3.11 calls all of this block private; the registry calls parts of it global, Teredo is judged by its inside
    assert not (special and judge(address, STRICT).permits) or address in ip_network("2001::/23")


@pytest.mark.parametrize(
    ("address", "verdict"),
    [
        ("127.0.0.1", Verdict.ALLOWED),
        ("::1", Verdict.ALLOWED),
        ("::ffff:127.0.0.1", Verdict.ALLOWED),
        ("10.1.2.3", Verdict.ALLOWED),
        ("172.16.0.1", Verdict.ALLOWED),
        ("192.168.0.1", Verdict.ALLOWED),
        ("fd00::1", Verdict.ALLOWED),
        ("64:ff9b::10.0.0.1", Verdict.ALLOWED),
        ("64:ff9b::8.8.8.8", Verdict.PUBLIC),
        ("2002:a00:1::1", Verdict.ALLOWED),
        ("2001:0:a00:1::f5ff:fffe", Verdict.ALLOWED),
        ("2001:0:a00:1::f7f7:f7f7", Verdict.PUBLIC),
        ("2606:4700::5efe:10.0.0.1", Verdict.PUBLIC),
        ("fe80::5efe:10.0.0.1", Verdict.LINK_LOCAL),
        ("fe80::1%eth0", Verdict.LINK_LOCAL),
        ("::127.0.0.1", Verdict.EMBEDDED_IPV4),
        ("169.254.1.1", Verdict.LINK_LOCAL),
        ("100.64.0.1", Verdict.CGNAT),
        ("fd00:ec2::254", Verdict.METADATA),
        ("8.8.8.8", Verdict.PUBLIC),
    ],
)
def test_the_words_loopback_and_private_allow_what_they_say(address: str, verdict: Verdict) -> None:
    assert judge(ip_address(address), WORDS) is verdict


def test_a_metadata_service_is_opened_only_by_its_own_address() -> None:
    metadata = ip_address("169.254.169.254")
    by_network = NetworkPolicy(allow_networks=parse_networks(["169.254.0.0/16"]))
    by_address = NetworkPolicy(allow_networks=parse_networks(["169.254.169.254"]))

    assert judge(metadata, by_network) is Verdict.METADATA
    assert judge(metadata, by_address) is Verdict.ALLOWED


@pytest.mark.parametrize(
    ("network", "address", "verdict"),
    [
        ("64:ff9b:1::/48", "64:ff9b:1::8.8.8.8", Verdict.ALLOWED),
        ("64:ff9b:1::/48", "64:ff9b:1::10.0.0.1", Verdict.PRIVATE),
        ("64:ff9b:1::/48", "64:ff9b:1:808:8:800::", Verdict.ALLOWED),
        ("64:ff9b:1::/48", "64:ff9b:1:7f00:0:100:8.8.8.8", Verdict.LOOPBACK),
        ("64:ff9b:1::/48", "64:ff9b:1:fffe::8.8.8.8", Verdict.RESERVED),
        ("64:ff9b:1:fffe::/96", "64:ff9b:1:fffe::8.8.8.8", Verdict.ALLOWED),
        ("64:ff9b:1:fffe::/96", "64:ff9b:1:fffe::10.0.0.1", Verdict.PRIVATE),
        ("64:ff9b:1:fffe::/96", "64:ff9b:1:fffd::8.8.8.8", Verdict.RESERVED),
        ("64:ff9b:1:fe00::/56", "64:ff9b:1:fe08:8:808::", Verdict.ALLOWED),
        ("64:ff9b:1:fe00::/56", "64:ff9b:1:fe0a:0:1::", Verdict.PRIVATE),
        ("64:ff9b:1:fffe::/64", "64:ff9b:1:fffe:8:808:800:0", Verdict.ALLOWED),
        ("64:ff9b:1:fffe::/64", "64:ff9b:1:fffe:a:0:100:0", Verdict.PRIVATE),
        ("64:ff9b::/96", "64:ff9b::8.8.8.8", Verdict.ALLOWED),
        ("64:ff9b::/96", "64:ff9b::10.0.0.1", Verdict.PRIVATE),
        ("::ffff:0:0:0/96", "::ffff:0:8.8.8.8", Verdict.ALLOWED),
        ("::ffff:0:0:0/96", "::ffff:0:127.0.0.1", Verdict.LOOPBACK),
        ("::/0", "::ffff:127.0.0.1", Verdict.LOOPBACK),
    ],
)
def test_an_allowed_translator_leads_nowhere_that_is_not_allowed(
    network: str, address: str, verdict: Verdict
) -> None:
    policy = NetworkPolicy(allow_networks=parse_networks([network]))

    assert judge(ip_address(address), policy) is verdict


DENYING = NetworkPolicy(
    allow_networks=parse_networks(["private"]),
    deny_hosts=parse_hosts(["8.8.8.8", "10.1.0.0/16", "2001:470::/32", "*.denied.example", "denied.example"]),
)
ALLOWING = NetworkPolicy(
    allow_hosts=parse_hosts(["hooks.example.com", "*.shop.example", "8.8.8.8", "10.0.0.1"]),
    deny_hosts=parse_hosts(["bad.shop.example"]),
)


@pytest.mark.parametrize(
    ("address", "verdict"),
    [
        ("8.8.8.8", Verdict.DENIED),
        ("8.8.4.4", Verdict.PUBLIC),
        ("::ffff:8.8.8.8", Verdict.DENIED),
        ("64:ff9b::8.8.8.8", Verdict.DENIED),
        ("2002:808:808::1", Verdict.DENIED),
        ("2001:470::1", Verdict.DENIED),
        ("10.1.2.3", Verdict.DENIED),
        ("10.2.2.3", Verdict.ALLOWED),
    ],
)
def test_a_denied_address_is_denied_in_every_spelling_and_though_its_network_is_allowed(
    address: str, verdict: Verdict
) -> None:
    assert judge(ip_address(address), DENYING) is verdict


@pytest.mark.parametrize(
    ("policy", "url", "rule"),
    [
        (DENYING, "https://denied.example/", NO_DENIED),
        (DENYING, "https://a.denied.example./", NO_DENIED),
        (DENYING, "https://8.8.8.8/", NO_DENIED),
        (DENYING, "https://[::ffff:8.8.8.8]/", NO_DENIED),
        (DENYING, "https://example.com/", None),
        (DENYING, "http://denied.example/", "callbacks must use https"),
        (ALLOWING, "https://hooks.example.com/", None),
        (ALLOWING, "https://a.shop.example/", None),
        (ALLOWING, "https://8.8.8.8/", None),
        (ALLOWING, "https://10.0.0.1/", None),
        (ALLOWING, "https://bad.shop.example/", NO_DENIED),
        (ALLOWING, "https://shop.example/", ONLY_ALLOWED),
        (ALLOWING, "https://example.com/", ONLY_ALLOWED),
        (ALLOWING, "https://8.8.4.4/", ONLY_ALLOWED),
    ],
)
def test_hosts_are_called_as_the_operators_lists_have_them(
    policy: NetworkPolicy, url: str, rule: str | None
) -> None:
    callback = parse_callback_url(url)

    assert url_rule(callback.scheme, callback.host, callback.literal, policy) == rule


def test_allowing_a_host_opens_no_network() -> None:
    assert judge(ip_address("10.0.0.1"), ALLOWING) is Verdict.PRIVATE


def test_a_public_network_can_be_allowed_by_name() -> None:
    policy = NetworkPolicy(allow_networks=parse_networks(["8.8.8.0/24"]))

    assert judge(ip_address("8.8.8.8"), policy) is Verdict.ALLOWED


def test_networks_are_read_from_words_cidrs_and_addresses() -> None:
    networks = parse_networks([" loopback ", "10.0.0.0/8", "fd00::1"])

    assert networks == tuple(map(ip_network, ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "fd00::1/128")))


@pytest.mark.parametrize("word", ["Loopback", "local", "10.0.0.1/8", "10.0.0.0/33", ""])
def test_a_network_that_cannot_be_read_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match=r"(?i)network|address|host bits"):
        parse_networks([word])


@pytest.mark.parametrize(
    ("allow_http", "scheme", "address", "rule"),
    [
        (AllowHttp.NEVER, "https", "8.8.8.8", None),
        (AllowHttp.NEVER, "http", "8.8.8.8", "plain http"),
        (AllowHttp.ALLOWED_NETWORKS, "https", "8.8.8.8", None),
        (AllowHttp.ALLOWED_NETWORKS, "http", "8.8.8.8", "plain http"),
        (AllowHttp.ALLOWED_NETWORKS, "http", "127.0.0.1", None),
        (AllowHttp.ALLOWED_NETWORKS, "http", "169.254.1.1", "link-local"),
        (AllowHttp.ALWAYS, "http", "8.8.8.8", None),
        (AllowHttp.ALWAYS, "http", "127.0.0.1", None),
        (AllowHttp.ALWAYS, "http", "100.64.0.1", "cgnat"),
        (AllowHttp.ALWAYS, "https", "100.64.0.1", "cgnat"),
    ],
)
def test_plain_http_goes_where_the_operator_allows_it(
    allow_http: AllowHttp, scheme: str, address: str, rule: str | None
) -> None:
    policy = NetworkPolicy(allow_networks=(IPv4Network("127.0.0.0/8"),), allow_http=allow_http)
    broken = address_rule(scheme, ip_address(address), policy)

    assert broken is None if rule is None else rule in str(broken)
    assert address not in str(broken)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("allow_http", AllowHttp)
def test_only_never_refuses_plain_http_whatever_the_address(allow_http: AllowHttp, scheme: str) -> None:
    refused = url_rule(scheme, "a.example", None, NetworkPolicy(allow_http=allow_http)) is not None

    assert refused == (scheme == "http" and allow_http is AllowHttp.NEVER)
