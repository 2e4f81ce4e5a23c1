"""Whom the NetworkPolicy lets in, and where it lets the relay out."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.addresses import _METADATA, _V4_TABLE, _V6_TABLE, NetworkPolicy, Verdict, judge
from relay.domain.hosts import Address, Network
from tests.deploy.chart import POSTGRES, SPLIT, SQLITE, Manifest, kinds, only, pods, render, shapes

EVERYWHERE = {"config": {"callbacks": {"allow_networks": ["0.0.0.0/0", "::/0"]}}}


@dataclass(frozen=True, slots=True)
class Block:
    cidr: Network
    excepted: tuple[Network, ...]

    def opens(self, address: Address) -> bool:
        return address in self.cidr and not any(address in each for each in self.excepted)


def policy(values: Manifest) -> Manifest:
    spec: Manifest = only("NetworkPolicy", render(values))["spec"]
    return spec


def blocks(rules: list[Manifest]) -> Iterator[Block]:
    for rule in rules:
        for peer in rule["to"]:
            if block := peer.get("ipBlock"):
                yield Block(ip_network(block["cidr"]), tuple(map(ip_network, block.get("except", []))))


def rules_for(values: Manifest, port: int | str | None) -> list[Manifest]:
    """The rules out that name the port; None is every port."""
    return [
        rule
        for rule in policy(values)["egress"]
        if port in {each.get("port") for each in rule["ports"] if each["protocol"] == "TCP"}
    ]


@cache
def open_by_default() -> tuple[Block, ...]:
    return tuple(blocks(rules_for(SQLITE, 443)))


def edges(network: Network) -> Iterator[Address]:
    """Its first and last address, and their neighbours outside."""
    for number in (int(network[0]), int(network[-1])):
        for near in (number - 1, number, number + 1):
            if 0 <= near < 2**network.max_prefixlen:
                yield type(network[0])(near)


def test_every_pod_of_the_release_is_under_the_policy_both_ways() -> None:
    manifests = render(SPLIT)

    spec = only("NetworkPolicy", manifests)["spec"]
    labels = [
        each["metadata"]["labels"]
        if each["kind"] == "Pod"
        else each["spec"]["template"]["metadata"]["labels"]
        for each in manifests
        if each["kind"] in {"Deployment", "Job", "Pod"}
    ]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert len(labels) == len(pods(manifests))
    assert all(spec["podSelector"]["matchLabels"].items() <= each.items() for each in labels)


def test_a_release_may_go_without_a_policy() -> None:
    assert "NetworkPolicy" not in kinds(render(SQLITE | {"networkPolicy": {"enabled": False}}))


def test_callbacks_reach_every_public_ipv4_address_and_no_other() -> None:
    [world] = rules_for(SQLITE, 443)
    v4, v6 = blocks([world])

    judged = [network for network, _ in (*_V4_TABLE, *_V6_TABLE)]
    for address in {each for network in (*judged, *v4.excepted, *v6.excepted) for each in edges(network)}:
        allowed = v4.opens(address) or v6.opens(address)
        verdict = judge(address, NetworkPolicy())
        if isinstance(address, IPv4Address):
            assert allowed == (verdict is Verdict.PUBLIC), address
        assert not allowed or verdict is Verdict.PUBLIC, address
    assert v6.opens(ip_address("2606:4700::1111"))


@given(st.ip_addresses(v=4) | st.ip_addresses(network="2000::/3"))
@settings(max_examples=300, deadline=None, database=None)
def test_the_policy_opens_nothing_to_callbacks_that_the_guard_would_refuse(address: Address) -> None:
    opened = any(block.opens(address) for block in open_by_default())

    assert not opened or judge(address, NetworkPolicy()) is Verdict.PUBLIC


@pytest.mark.parametrize("values", [*shapes().values(), POSTGRES, SQLITE | EVERYWHERE])
def test_no_rule_opens_a_metadata_service(values: Manifest) -> None:
    opened = [
        address for block in blocks(policy(values)["egress"]) for address in _METADATA if block.opens(address)
    ]

    assert opened == []


def test_the_widest_network_leaves_out_every_metadata_service_that_the_guard_knows() -> None:
    v4, v6 = blocks(rules_for(SQLITE | EVERYWHERE, None))

    assert {network[0] for network in v4.excepted + v6.excepted} == _METADATA


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Some around a metadata service, some anywhere."""
    near = st.sampled_from(sorted(_METADATA, key=int))
    address = draw(near | st.ip_addresses())
    length = draw(st.integers(0, address.max_prefixlen))
    return ip_network((address, length), strict=False)


@given(st.lists(networks(), min_size=1, max_size=4, unique=True))
@settings(max_examples=25, deadline=None, database=None)
def test_a_network_the_operator_allows_is_opened_but_for_metadata_services(named: list[Network]) -> None:
    config = {"callbacks": {"allow_networks": [str(network) for network in named]}}

    opened = list(blocks(rules_for(SQLITE | {"config": config}, None)))

    for block in opened:
        assert all(each.version == block.cidr.version for each in block.excepted)
        assert all(each != block.cidr and each[0] in block.cidr for each in block.excepted)
    for network in named:
        for address in (network[0], network[-1], *_METADATA):
            allowed = address in network and address not in _METADATA
            assert any(block.cidr == network and block.opens(address) for block in opened) == allowed


def test_the_words_of_the_setting_mean_in_the_policy_what_they_mean_in_the_guard() -> None:
    config = {"callbacks": {"allow_networks": ["private", "loopback", "203.0.113.7", "fd12::7"]}}

    opened = {str(block.cidr) for block in blocks(rules_for(SQLITE | {"config": config}, None))}

    assert opened == {
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",
        "203.0.113.7/32",
        "fd12::7/128",
    }


def test_names_are_resolved_by_the_cluster_alone() -> None:
    [names] = rules_for(SQLITE, 53)

    assert {each["protocol"] for each in names["ports"]} == {"TCP", "UDP"}
    assert names["to"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}},
        {"ipBlock": {"cidr": "169.254.20.10/32"}},
    ]


def test_postgres_is_reached_where_it_is_said_to_be() -> None:
    database = {"ports": [6432], "to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}]}

    [named] = rules_for(POSTGRES | {"networkPolicy": {"database": database}}, 6432)
    [anywhere] = rules_for(POSTGRES, 5432)

    assert named["to"] == database["to"]
    assert {"namespaceSelector": {}} in anywhere["to"]
    assert any(block.opens(IPv4Address("10.1.2.3")) for block in blocks([anywhere]))


def test_sqlite_has_no_database_to_reach() -> None:
    assert rules_for(SQLITE, 5432) == []


@pytest.mark.parametrize(("allow_http", "opened"), [("always", 1), ("allowed-networks", 0), ("never", 0)])
def test_plain_http_is_let_out_where_the_guard_lets_it(allow_http: str, opened: int) -> None:
    config = {"callbacks": {"allow_http": allow_http}}

    assert len(rules_for(SQLITE | {"config": config}, 80)) == opened


IN_CLUSTER: Manifest = {
    "callbacks": {
        "inCluster": {"serviceCIDR": "10.96.0.0/12", "namespaces": ["shop"], "ports": [8080, "http"]}
    }
}


def test_callbacks_into_the_cluster_reach_the_pods_of_the_namespaces_that_are_named() -> None:
    """A policy sees a pod's address where the guard sees its Service's."""
    [named] = rules_for(SQLITE | IN_CLUSTER, "http")

    [peer] = named["to"]
    assert named["ports"] == [{"port": 8080, "protocol": "TCP"}, {"port": "http", "protocol": "TCP"}]
    assert peer == {
        "namespaceSelector": {
            "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["shop"]}]
        }
    }


def test_the_service_range_itself_is_not_opened() -> None:
    opened = list(blocks(policy(SQLITE | IN_CLUSTER)["egress"]))

    assert not any(block.opens(IPv4Address("10.96.0.1")) for block in opened)


def _from(values: Manifest, port: int) -> list[Manifest] | None:
    [rule] = [each for each in policy(values)["ingress"] if each["ports"][0]["port"] == port]
    peers: list[Manifest] | None = rule.get("from")
    return peers


def test_anyone_may_call_the_api_until_somebody_is_named_and_operations_stay_in_the_cluster() -> None:
    assert _from(SQLITE, 8080) is None
    assert _from(SQLITE, 9090) == [{"namespaceSelector": {}}]


@pytest.mark.parametrize(("of", "port"), [("http", 8080), ("operations", 9090)])
def test_who_is_named_gets_in_with_the_releases_own_test_and_nobody_else(of: str, port: int) -> None:
    gateway = {"ipBlock": {"cidr": "198.51.100.0/24"}}

    peers = _from(SQLITE | {"networkPolicy": {of: {"namespaces": ["edge"], "from": [gateway]}}}, port)

    assert peers is not None
    namespace, block, own_test = peers
    assert namespace["namespaceSelector"]["matchExpressions"][0]["values"] == ["edge"]
    assert block == gateway
    tested = only("Pod", render(SQLITE))["metadata"]["labels"]
    assert own_test["podSelector"]["matchLabels"].items() <= tested.items()


def test_spans_get_out_to_the_collector_that_is_named_and_nowhere_else() -> None:
    collector = {"ipBlock": {"cidr": "198.51.100.7/32"}}
    named = {"ports": [4318], "namespaces": ["tracing"], "to": [collector]}

    (rule,) = rules_for(SQLITE | {"networkPolicy": {"tracing": named}}, 4318)

    namespace, block = rule["to"]
    assert namespace["namespaceSelector"]["matchExpressions"][0]["values"] == ["tracing"]
    assert block == collector
    assert rule["ports"] == [{"port": 4318, "protocol": "TCP"}]
    assert rules_for(SQLITE, 4318) == []


def test_more_rules_come_as_they_are() -> None:
    proxies = {
        "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "proxies"}}}],
        "ports": [{"port": 3128, "protocol": "TCP"}],
    }
    debugging: Manifest = {"from": [{"podSelector": {}}]}

    spec = policy(SQLITE | {"networkPolicy": {"extraEgress": [proxies], "extraIngress": [debugging]}})

    assert proxies in spec["egress"]
    assert debugging in spec["ingress"]


def test_a_peer_that_contains_a_metadata_service_is_taken_once_it_leaves_it_out() -> None:
    wide = {"cidr": "169.254.169.0/24", "except": ["169.254.169.254/32"]}

    spec = policy(SQLITE | {"networkPolicy": {"extraEgress": [{"to": [{"ipBlock": wide}]}]}})

    assert {"to": [{"ipBlock": wide}]} in spec["egress"]
