"""What holds for any values that the chart accepts."""

import re
from typing import Any

from helm_python import HelmRenderError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.deploy.chart import Manifest, every, objects, rendered, service, validate

NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,10}[a-z0-9])?", fullmatch=True)
TEXTS = st.dictionaries(
    st.sampled_from(["example.com/a", "b"]), st.sampled_from(["", "on", "1", "1e3"]), max_size=2
)
COUNTS = st.integers(0, 4)
SHARES = COUNTS | st.sampled_from(["0%", "34%", "50%", "100%"])


def _some(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[Manifest]:
    """Any of the keys, each with any of its values."""
    return st.fixed_dictionaries({}, optional=values)


SCALING = _some(
    kind=st.sampled_from(["none", "cpu", "backlog"]),
    minReplicas=st.integers(1, 4),
    maxReplicas=st.integers(3, 6),
    cpuPercent=st.none() | st.integers(1, 100),
    backlog=st.just({"prometheus": "http://prometheus:9090", "perReplica": 1_000_000}),
)
BUDGET = _some(enabled=st.booleans(), maxUnavailable=SHARES, minAvailable=st.none() | SHARES)
COMPONENT = _some(
    replicas=COUNTS,
    autoscaling=SCALING,
    podDisruptionBudget=BUDGET,
    podLabels=TEXTS,
    podAnnotations=TEXTS,
    nodeSelector=TEXTS,
    resources=st.just({"requests": {"cpu": 1, "memory": "1e9"}}),
    topologySpreadConstraints=st.none() | st.just([]),
    priorityClassName=NAMES | st.just(""),
)
VALUES = _some(
    fullnameOverride=NAMES,
    nameOverride=NAMES,
    commonLabels=TEXTS,
    database=_some(kind=st.sampled_from(["sqlite", "postgres"]), migration=st.sampled_from(["job", "start"])),
    replicas=COUNTS,
    split=_some(enabled=st.booleans(), api=COMPONENT, worker=COMPONENT),
    secretsAs=st.sampled_from(["files", "environment"]),
    config=_some(
        camb=_some(answer_bytes=st.integers(1_024, 16_777_216), rate_per_second=st.floats(0.01, 10_000))
    ),
    operationsPort=st.integers(1_024, 65_535).filter(lambda port: port != 8080),
    service=_some(
        type=st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"]),
        port=st.integers(1, 65_535),
        nodePort=st.none() | st.integers(30_000, 32_767),
        annotations=TEXTS,
    ),
    ingress=_some(enabled=st.booleans(), hosts=st.lists(NAMES, max_size=2, unique=True), tlsSecret=NAMES),
    autoscaling=SCALING,
    podDisruptionBudget=BUDGET,
    topologySpreadConstraints=st.none() | st.just([]),
    shutdown=_some(preStopSeconds=st.integers(0, 20), drainSeconds=st.integers(1, 30)),
    networkPolicy=_some(
        enabled=st.booleans(), http=_some(namespaces=st.lists(NAMES, max_size=2, unique=True))
    ),
    serviceAccount=_some(create=st.booleans(), name=NAMES),
    podAnnotations=TEXTS,
    deploymentAnnotations=TEXTS,
    imagePullSecrets=st.lists(st.fixed_dictionaries({"name": NAMES}), max_size=1),
)


def accepted(values: Manifest) -> dict[str, str] | None:
    try:
        return rendered(values)
    except HelmRenderError as refused:
        # A guard's own words begin with the value's path; a template that broke has none.
        if re.match(r"execution error at \S+ [\w.]+: \w.+\.$", str(refused)):
            return None
        raise


@given(VALUES)
@settings(max_examples=25, deadline=None, database=None)
def test_what_no_guard_refuses_renders_twice_alike_to_valid_objects(
    values: Manifest,
) -> None:
    values = {"existingSecret": "relay"} | values

    texts = accepted(values)
    if texts is None:
        return
    assert rendered(values) == texts
    manifests = objects(texts)
    for manifest in manifests:
        validate(manifest, "1.35")
    served = every("Deployment", manifests)
    reached = service(manifests)["spec"]["selector"].items()
    assert [reached <= each["spec"]["template"]["metadata"]["labels"].items() for each in served].count(
        True
    ) == 1
    for each in served:
        labels = each["spec"]["template"]["metadata"]["labels"]
        assert each["spec"]["selector"]["matchLabels"].items() <= labels.items()
