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
    scheme_rule,
)

STRICT = NetworkPolicy()
WORDS = NetworkPolicy(allow_networks=parse_networks(["loopback", "private"]))

JUDGED = [
    # IANA IPv4 Special-Purpose Address Registry: the first and the last of each block
    ("0.0.0.1", Verdict.UNSPECIFIED),
    ("0.255.255.255", Verdict.UNSPECIFIED),
    ("10.0.0.0", Verdict.PRIVATE),
    ("10.255.255.255", Verdict.PRIVATE),
    ("100.64.0.0", Verdict.CGNAT),
    ("100.127.255.255", Verdict.CGNAT),
    ("127.0.0.1", Verdict.LOOPBACK),
    ("127.255.255.255", Verdict.LOOPBACK),
    ("169.254.0.0", Verdict.LINK_LOCAL),
    ("169.254.255.255", Verdict.LINK_LOCAL),
    ("172.16.0.0", Verdict.PRIVATE),
    ("172.31.255.255", Verdict.PRIVATE),
    ("192.0.0.0", Verdict.RESERVED),
    ("192.0.0.9", Verdict.RESERVED),
    ("192.0.0.255", Verdict.RESERVED),
    ("192.0.2.1", Verdict.DOCUMENTATION),
    ("192.88.99.1", Verdict.RESERVED),
    ("192.168.0.0", Verdict.PRIVATE),
    ("192.168.255.255", Verdict.PRIVATE),
    ("198.18.0.0", Verdict.BENCHMARKING),
    ("198.19.255.255", Verdict.BENCHMARKING),
    ("198.51.100.1", Verdict.DOCUMENTATION),
    ("203.0.113.1", Verdict.DOCUMENTATION),
    ("224.0.0.1", Verdict.MULTICAST),
    ("239.255.255.255", Verdict.MULTICAST),
    ("240.0.0.0", Verdict.RESERVED),
    ("255.255.255.255", Verdict.RESERVED),
    # and their neighbours outside
    ("1.0.0.0", Verdict.PUBLIC),
    ("9.255.255.255", Verdict.PUBLIC),
    ("11.0.0.0", Verdict.PUBLIC),
    ("100.63.255.255", Verdict.PUBLIC),
    ("100.128.0.0", Verdict.PUBLIC),
    ("126.255.255.255", Verdict.PUBLIC),
    ("128.0.0.0", Verdict.PUBLIC),
    ("169.253.255.255", Verdict.PUBLIC),
    ("172.15.255.255", Verdict.PUBLIC),
    ("172.32.0.0", Verdict.PUBLIC),
    ("192.0.1.0", Verdict.PUBLIC),
    ("192.31.196.1", Verdict.PUBLIC),
    ("192.52.193.1", Verdict.PUBLIC),
    ("192.175.48.1", Verdict.PUBLIC),
    ("198.17.255.255", Verdict.PUBLIC),
    ("198.20.0.0", Verdict.PUBLIC),
    ("223.255.255.255", Verdict.PUBLIC),
    # metadata services
    ("169.254.169.254", Verdict.METADATA),
    ("169.254.170.2", Verdict.METADATA),
    ("100.100.100.200", Verdict.METADATA),
    ("168.63.129.16", Verdict.METADATA),
    ("192.0.0.192", Verdict.METADATA),
    ("fd00:ec2::254", Verdict.METADATA),
    ("fd00:ec2::254%eth0", Verdict.METADATA),
    # IANA IPv6 Special-Purpose Address Registry
    ("::", Verdict.UNSPECIFIED),
    ("::1", Verdict.LOOPBACK),
    ("64:ff9b:1::8.8.8.8", Verdict.EMBEDDED_IPV4),
    ("100::1", Verdict.RESERVED),
    ("100:0:0:1::1", Verdict.RESERVED),
    ("2001:1::1", Verdict.RESERVED),
    ("2001:2::1", Verdict.BENCHMARKING),
    ("2001:3::1", Verdict.PUBLIC),
    ("2001:4:112::1", Verdict.PUBLIC),
    ("2001:10::1", Verdict.RESERVED),
    ("2001:20::1", Verdict.RESERVED),
    ("2001:30::1", Verdict.RESERVED),
    ("2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", Verdict.RESERVED),
    ("2001:200::1", Verdict.PUBLIC),
    ("2001:db8::1", Verdict.DOCUMENTATION),
    ("2620:4f:8000::1", Verdict.PUBLIC),
    ("3fff::1", Verdict.DOCUMENTATION),
    ("3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", Verdict.DOCUMENTATION),
    ("3fff:1000::1", Verdict.PUBLIC),
    ("5f00::1", Verdict.RESERVED),
    ("fc00::1", Verdict.PRIVATE),
    ("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Verdict.PRIVATE),
    ("fe80::1", Verdict.LINK_LOCAL),
    ("fe80::1%eth0", Verdict.LINK_LOCAL),
    ("fec0::1", Verdict.PRIVATE),
    ("ff02::1", Verdict.MULTICAST),
    ("4000::1", Verdict.RESERVED),
    ("1fff::1", Verdict.RESERVED),
    ("2606:4700:4700::1111", Verdict.PUBLIC),
    # IPv4 inside IPv6
    ("::ffff:127.0.0.1", Verdict.LOOPBACK),
    ("::ffff:169.254.169.254", Verdict.METADATA),
    ("::ffff:8.8.8.8", Verdict.PUBLIC),
    ("::127.0.0.1", Verdict.LOOPBACK),
    ("::10.0.0.1", Verdict.PRIVATE),
    ("::8.8.8.8", Verdict.EMBEDDED_IPV4),
    ("::ffff:0:127.0.0.1", Verdict.LOOPBACK),
    ("::ffff:0:8.8.8.8", Verdict.EMBEDDED_IPV4),
    ("2606:4700::5efe:10.0.0.1", Verdict.PRIVATE),
    ("2606:4700::200:5efe:127.0.0.1", Verdict.LOOPBACK),
    ("2606:4700::5efe:8.8.8.8", Verdict.PUBLIC),
    ("64:ff9b::127.0.0.1", Verdict.LOOPBACK),
    ("64:ff9b::169.254.169.254", Verdict.METADATA),
    ("64:ff9b::8.8.8.8", Verdict.PUBLIC),
    ("64:ff9b:1::127.0.0.1", Verdict.LOOPBACK),
    ("64:ff9b:1:7f00:0:100::", Verdict.LOOPBACK),
    ("64:ff9b:1:fffe::10.0.0.1", Verdict.PRIVATE),
    ("2002:7f00:1::", Verdict.LOOPBACK),
    ("2002:a00:1::1", Verdict.PRIVATE),
    ("2002:808:808::1", Verdict.PUBLIC),
    ("2001:0:7f00:1::", Verdict.LOOPBACK),  # a Teredo server at home
    ("2001:0:808:808:0:0:f5ff:fffe", Verdict.PRIVATE),  # a Teredo client at home
    ("2001:0:808:808:0:0:f7f7:f7f7", Verdict.PUBLIC),
]


@pytest.mark.parametrize(("address", "verdict"), JUDGED, ids=[address for address, _ in JUDGED])
def test_an_address_is_judged_by_name(address: str, verdict: Verdict) -> None:
    assert judge(ip_address(address), STRICT) is verdict


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
        ("64:ff9b::10.0.0.1", Verdict.PUBLIC),
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
    refused = scheme_rule(scheme, NetworkPolicy(allow_http=allow_http)) is not None

    assert refused == (scheme == "http" and allow_http is AllowHttp.NEVER)
