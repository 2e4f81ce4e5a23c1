"""How many pods there are, where they run, and how many may be gone at once."""

import pytest

from tests.deploy.chart import POSTGRES, SPLIT, SQLITE, Manifest, component, every, kinds, only, render

PROMETHEUS = {"prometheus": "http://prometheus:9090"}
BACKLOG: Manifest = {"kind": "backlog", "backlog": PROMETHEUS}


def test_a_number_of_replicas_is_said_once() -> None:
    """One in the Deployment would be put back by each upgrade."""
    for kind in ("cpu", "backlog"):
        manifests = render(POSTGRES | {"autoscaling": {"kind": kind, "backlog": PROMETHEUS}})

        assert "replicas" not in only("Deployment", manifests)["spec"]


def test_replicas_follow_the_cpu() -> None:
    manifests = render(POSTGRES | {"autoscaling": {"kind": "cpu", "minReplicas": 3, "cpuPercent": 60}})

    scaler = only("HorizontalPodAutoscaler", manifests)["spec"]
    [metric] = scaler["metrics"]
    assert scaler["scaleTargetRef"]["name"] == only("Deployment", manifests)["metadata"]["name"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 10)
    assert metric["resource"]["target"] == {"type": "Utilization", "averageUtilization": 60}


def test_replicas_come_at_once_and_go_one_by_one() -> None:
    manifests = render(POSTGRES | {"autoscaling": {"kind": "cpu"}})

    behavior = only("HorizontalPodAutoscaler", manifests)["spec"]["behavior"]
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert behavior["scaleDown"]["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]


def test_replicas_follow_the_backlog_that_each_of_them_reports_whole() -> None:
    manifests = render(POSTGRES | {"autoscaling": BACKLOG | {"cpuPercent": None}})

    [trigger] = only("ScaledObject", manifests)["spec"]["triggers"]
    assert trigger["metricType"] == "AverageValue"
    assert trigger["metadata"] == {
        "serverAddress": "http://prometheus:9090",
        "query": 'max(relay_due{queue="deliveries",namespace="media",service="relay-camb-relay-operations"})',
        "threshold": "500",
        "ignoreNullValues": "false",
    }
    assert component("Service", "operations", manifests)["metadata"]["name"] in trigger["metadata"]["query"]


def test_the_query_and_who_asks_it_may_be_others() -> None:
    backlog = PROMETHEUS | {"query": "max(relay_due)", "perReplica": 0.5, "authentication": "bearer"}

    manifests = render(POSTGRES | {"autoscaling": BACKLOG | {"backlog": backlog}})

    due, cpu = only("ScaledObject", manifests)["spec"]["triggers"]
    assert (due["metadata"]["query"], due["metadata"]["threshold"]) == ("max(relay_due)", "0.5")
    assert due["authenticationRef"] == {"name": "bearer"}
    assert (cpu["type"], cpu["metadata"]) == ("cpu", {"value": "70"})


def test_a_release_has_one_scaler_for_each_deployment_at_most() -> None:
    manifests = render(
        SPLIT
        | {
            "split": {
                "enabled": True,
                "api": {"autoscaling": {"kind": "cpu"}},
                "worker": {"autoscaling": BACKLOG},
            }
        }
    )

    scaled = [
        each["spec"]["scaleTargetRef"]["name"]
        for kind in ("HorizontalPodAutoscaler", "ScaledObject")
        for each in every(kind, manifests)
    ]
    assert scaled == ["relay-camb-relay-api", "relay-camb-relay-worker"]


@pytest.mark.parametrize("values", [POSTGRES, SPLIT])
def test_nodes_can_always_be_drained_one_pod_at_a_time(values: Manifest) -> None:
    manifests = render(values)

    budgets = every("PodDisruptionBudget", manifests)
    selected = [budget["spec"]["selector"] for budget in budgets]
    assert selected == [each["spec"]["selector"] for each in every("Deployment", manifests)]
    for budget in budgets:
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_a_single_pod_has_no_budget_that_could_hold_a_node() -> None:
    assert "PodDisruptionBudget" not in kinds(render(SQLITE))


@pytest.mark.parametrize(("replicas", "share"), [(3, "60%"), (10, "90%"), (2, 1), (0, 5)])
def test_a_share_that_leaves_one_pod_to_take_is_a_budget(replicas: int, share: int | str) -> None:
    budget = {"minAvailable": share}

    manifests = render(POSTGRES | {"replicas": replicas, "podDisruptionBudget": budget})

    spec = only("PodDisruptionBudget", manifests)["spec"]
    assert spec["minAvailable"] == share
    assert "maxUnavailable" not in spec


def test_a_budget_may_be_left_out() -> None:
    manifests = render(POSTGRES | {"podDisruptionBudget": {"enabled": False, "maxUnavailable": 0}})

    assert "PodDisruptionBudget" not in kinds(manifests)


@pytest.mark.parametrize("values", [POSTGRES, SPLIT])
def test_replicas_spread_over_nodes_and_zones_as_far_as_these_go_round(values: Manifest) -> None:
    for deployment in every("Deployment", render(values)):
        constraints = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]

        assert [each["topologyKey"] for each in constraints] == [
            "kubernetes.io/hostname",
            "topology.kubernetes.io/zone",
        ]
        for each in constraints:
            assert each["whenUnsatisfiable"] == "ScheduleAnyway"
            assert each["matchLabelKeys"] == ["pod-template-hash"]
            assert each["labelSelector"] == deployment["spec"]["selector"]


def test_constraints_of_ones_own_replace_the_default_and_get_the_pods_own_selector() -> None:
    zone = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    other = zone | {"labelSelector": {"matchLabels": {"app": "other"}}}

    deployment = only("Deployment", render(POSTGRES | {"topologySpreadConstraints": [zone, other]}))

    mine, theirs = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert mine == zone | {"labelSelector": deployment["spec"]["selector"]}
    assert theirs == other


@pytest.mark.parametrize("values", [SQLITE, POSTGRES | {"topologySpreadConstraints": []}])
def test_a_single_pod_and_a_release_that_says_so_have_no_constraints(values: Manifest) -> None:
    [deployment] = every("Deployment", render(values))

    assert "topologySpreadConstraints" not in deployment["spec"]["template"]["spec"]
