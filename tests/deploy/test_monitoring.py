"""What is watched of a release, and how."""

import re
from typing import Any

import pytest
from prometheus_client import Counter, Gauge, Histogram

from relay.telemetry import Metrics
from tests.deploy.alerts import expressions
from tests.deploy.chart import CHART, POSTGRES, SPLIT, SQLITE, Manifest, component, every, kinds, only, render

WATCHED: Manifest = {part: {"enabled": True} for part in ("serviceMonitor", "rules", "dashboard")}
BY_PROMETHEUS = {"namespace", "service", "pod", "le"}


def alerts(values: Manifest, **rules: object) -> dict[str, Manifest]:
    watched = {"monitoring": WATCHED | {"rules": {"enabled": True, **rules}}}
    [group] = only("PrometheusRule", render(values | watched))["spec"]["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def exported() -> dict[str, set[str]]:
    """The labels of each metric, by the names under which it is scraped."""
    found: dict[str, set[str]] = {}
    for instrument in vars(Metrics()).values():
        if isinstance(instrument, (Counter, Gauge, Histogram)):
            labels: Any = instrument._labelnames  # noqa: SLF001 - the library names its labels nowhere else
            [family] = list(instrument.describe())[:1]
            suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
            for suffix in suffixes.get(family.type, ("",)):
                found[family.name + suffix] = set(labels)
    return found


def everything_asked() -> list[str]:
    ruled = [rule["expr"] for rule in alerts(POSTGRES).values()]
    return ruled + [each for panel in expressions.asked().values() for each in panel]


def test_nothing_is_watched_until_somebody_wants_it() -> None:
    manifests = render(POSTGRES)

    assert not kinds(manifests) & {"ServiceMonitor", "PrometheusRule"}
    assert len(every("ConfigMap", manifests)) == 1


@pytest.mark.parametrize("values", [SQLITE, POSTGRES, SPLIT])
def test_prometheus_asks_every_pod_on_the_operations_port(values: Manifest) -> None:
    manifests = render(values | {"monitoring": WATCHED})

    monitor = only("ServiceMonitor", manifests)["spec"]
    service = component("Service", "operations", manifests)
    [endpoint] = monitor["endpoints"]
    [port] = service["spec"]["ports"]
    selected = [
        each["metadata"]["name"]
        for each in every("Service", manifests)
        if monitor["selector"]["matchLabels"].items() <= each["metadata"]["labels"].items()
    ]
    assert selected == [service["metadata"]["name"]]
    assert (endpoint["port"], endpoint["path"]) == (port["name"], "/metrics")
    for deployment in every("Deployment", manifests):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()


def test_prometheus_is_let_in_from_its_namespace_and_nobody_else_is() -> None:
    policy = {"networkPolicy": {"operations": {"namespaces": ["monitoring"]}}}

    manifests = render(POSTGRES | {"monitoring": WATCHED, "operationsPort": 9100} | policy)

    [rule] = [
        each
        for each in only("NetworkPolicy", manifests)["spec"]["ingress"]
        if each["ports"] == [{"port": 9100, "protocol": "TCP"}]
    ]
    prometheus, own_test = rule["from"]
    assert prometheus["namespaceSelector"]["matchExpressions"] == [
        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["monitoring"]}
    ]
    assert "namespaceSelector" not in own_test


def test_every_metric_and_label_that_is_asked_for_is_one_that_the_relay_exports() -> None:
    known = exported()

    for expression in everything_asked():
        assert "relay_" in expression or re.search(r"\bup\{", expression)
        for metric, selector in re.findall(r"\b(relay_[a-z_]+)\{([^}]*)\}", expression):
            asked = set(re.findall(r"([a-z]+)=?[=~!]", selector))
            assert metric in known
            assert asked <= known[metric] | BY_PROMETHEUS, expression
        grouped = {
            label.strip()
            for labels in re.findall(r"by \(([^)]*)\)", expression)
            for label in labels.split(",")
        }
        names = expressions.metrics(expression)
        assert names <= known.keys()
        assert grouped <= BY_PROMETHEUS.union(*(known[name] for name in names)), expression


def test_every_expression_asks_about_one_release_alone() -> None:
    for expression in everything_asked():
        selectors = re.findall(r"\b(?:relay_[a-z_]+|up)\{([^}]*)\}", expression)
        assert selectors
        for selector in selectors:
            assert {"namespace", "service"} <= set(re.findall(r"([a-z]+)=", selector))


def test_each_alert_says_what_it_means_and_leads_to_its_own_place_in_the_readme() -> None:
    readme = (CHART / "README.md").read_text()

    anchors = re.findall(r'<a id="(relay[a-z]+)"></a>', readme)
    urls = {name: rule["annotations"]["runbook_url"] for name, rule in alerts(POSTGRES).items()}
    assert urls == {name: f"helm/README.md#{name.lower()}" for name in urls}
    assert sorted(anchors) == sorted(name.lower() for name in urls)
    for rule in alerts(POSTGRES).values():
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["labels"]["namespace"] == "media"


def test_an_alert_can_be_moved_sent_elsewhere_and_left_out() -> None:
    own = {
        "deliveriesBehind": {"threshold": 42.5, "for": "1h", "severity": "page"},
        "clockHalted": {"enabled": False},
    }

    found = alerts(
        POSTGRES, alerts=own, alertLabels={"team": "media"}, runbookUrl="https://runbooks.example/relay"
    )

    behind = found["RelayDeliveriesBehind"]
    assert behind["expr"].endswith("> 42.5")
    assert (behind["for"], behind["labels"]["severity"], behind["labels"]["team"]) == ("1h", "page", "media")
    assert behind["annotations"]["runbook_url"] == "https://runbooks.example/relay#relaydeliveriesbehind"
    assert alerts(POSTGRES).keys() - found.keys() == {"RelayClockHalted"}


@pytest.mark.parametrize(
    ("values", "fewest"),
    [
        (POSTGRES, 3),
        (SPLIT | {"split": {"enabled": True, "api": {"replicas": 2}}}, 5),
        (POSTGRES | {"autoscaling": {"kind": "cpu", "minReplicas": 4}}, 4),
    ],
)
def test_as_many_replicas_are_missed_as_there_should_be_at_least(values: Manifest, fewest: int) -> None:
    assert alerts(values)["RelayReplicasMissing"]["expr"].endswith(f"== 1) < {fewest}")


def test_a_single_replica_is_missed_once_and_none_that_was_taken_away_is() -> None:
    one, none = alerts(SQLITE), alerts(POSTGRES | {"replicas": 0})

    assert "RelayReplicasMissing" not in one
    assert "RelayDown" in one
    assert "RelayDown" not in none


def test_grafana_finds_the_dashboard_by_its_label_and_puts_it_into_a_folder() -> None:
    manifests = render(POSTGRES | {"monitoring": WATCHED})

    [found] = [each for each in every("ConfigMap", manifests) if "relay.json" in each["data"]]
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["annotations"] == {"grafana_folder": "Relay"}
    assert found["data"]["relay.json"] == expressions.DASHBOARD.read_text()


def test_no_two_panels_of_the_dashboard_share_a_place() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in expressions.panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells

    ids = [panel["id"] for panel in expressions.panels()]
    assert len(set(ids)) == len(ids)
