"""What the chart refuses before anything reaches a cluster."""

import json
from typing import Any

import pytest
from helm_python import HelmRenderError, HelmValuesError

from tests.deploy.chart import CHART, CREDENTIALS, POSTGRES, SPLIT, SQLITE, Manifest, kinds, render


@pytest.mark.parametrize(
    ("values", "culprit"),
    [
        ({"replica": 1}, "replica"),
        ({"commonLabels": {"a": "not a label"}}, "commonLabels"),
        ({"image": {"repo": "x"}}, "repo"),
        ({"image": {"digest": "sha256:abc"}}, "digest"),
        ({"imagePullSecrets": ["registry"]}, "imagePullSecrets"),
        ({"database": {"type": "postgres"}}, "type"),
        ({"database": {"kind": "mysql"}}, "kind"),
        ({"database": {"urlSecret": {"keys": "uri"}}}, "keys"),
        ({"split": {"apis": {}}}, "apis"),
        ({"split": {"api": {"replica": 1}}}, "replica"),
        ({"split": {"worker": {"autoscaling": {"min": 1}}}}, "min"),
        ({"existingSecret": "Not_A_Name"}, "existingSecret"),
        ({"secretsAs": "file"}, "secretsAs"),
        ({"secrets": {"API_TOKENS": "x"}}, "API_TOKENS"),
        ({"secrets": {"RELAY_API_TOKENS": ""}}, "RELAY_API_TOKENS"),
        ({"config": {"Polling": {}}}, "Polling"),
        ({"config": {"polling": {"pace": "PT3S"}}}, "pace"),
        ({"config": {"polling": {"slow_kinds": [{"a": 1}]}}}, "slow_kinds"),
        ({"config": {"camb": {"concurrency": 0}}}, "concurrency"),
        ({"config": {"callbacks": {"allow_http": "sometimes"}}}, "allow_http"),
        ({"config": {"clients": {"Acme": {}}}}, "Acme"),
        ({"config": {"clients": {"acme": {"kind": "dub"}}}}, "kind"),
        ({"callbacks": {"inCluster": {"serviceCidr": "10.0.0.0/8"}}}, "serviceCidr"),
        ({"callbacks": {"inCluster": {"serviceCIDR": "10.0.0.0"}}}, "serviceCIDR"),
        ({"operationsPort": 8080}, "operationsPort"),
        ({"operationsPort": None}, "operationsPort"),
        ({"service": {"port": None}}, "port"),
        ({"autoscaling": {"kind": None}}, "kind"),
        ({"shutdown": {"drain": 20}}, "drain"),
        ({"persistence": {"sise": "1Gi"}}, "sise"),
        ({"persistence": {"size": "plenty"}}, "size"),
        ({"persistence": {"accessMode": "ReadWriteMany"}}, "accessMode"),
        ({"service": {"ports": 80}}, "ports"),
        ({"service": {"port": "80"}}, "port"),
        ({"ingress": {"enable": True}}, "enable"),
        ({"ingress": {"hosts": ["https://relay.example.com"]}}, "hosts"),
        ({"ingress": {"paths": ["/metrics"]}}, "paths"),
        ({"httpRoute": {"parentRefs": [{"gateway": "public"}]}}, "parentRefs"),
        ({"httpRoute": {"paths": ["/"]}}, "paths"),
        ({"autoscaling": {"enabled": True}}, "enabled"),
        ({"autoscaling": {"kind": "memory"}}, "kind"),
        ({"autoscaling": {"backlog": {"perReplica": 0}}}, "perReplica"),
        ({"podDisruptionBudget": {"maxUnavailable": "half"}}, "maxUnavailable"),
        ({"topologySpreadConstraints": [{"topologyKey": "zone"}]}, "topologySpreadConstraints"),
        ({"startupProbe": {"httpGet": {"path": "/metrics"}}}, "httpGet"),
        ({"networkPolicy": {"ingress": []}}, "ingress"),
        ({"networkPolicy": {"dns": {"to": []}}}, "dns"),
        ({"networkPolicy": {"database": {"ports": []}}}, "ports"),
        ({"networkPolicy": {"database": {"to": [{}]}}}, "database"),
        ({"networkPolicy": {"extraEgress": [{"port": 1}]}}, "port"),
        ({"serviceAccount": {"annotation": {}}}, "annotation"),
        ({"resources": {"limit": {}}}, "limit"),
        ({"dnsConfig": {"option": []}}, "option"),
        ({"extraEnv": [{"value": "x"}]}, "extraEnv"),
        ({"fullnameOverride": "x" * 51}, "fullnameOverride"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name(values: Manifest, culprit: str) -> None:
    with pytest.raises(HelmValuesError, match=culprit):
        render(SQLITE | values)


def _open(schema: Any, path: str = "") -> list[str]:  # noqa: ANN401 - a schema is JSON of any shape
    """Where the schema lets a key pass that it does not know."""
    if not isinstance(schema, dict):
        return []
    found = []
    if "properties" in schema and schema.get("additionalProperties") is not False:
        found.append(path)
    for key, inner in schema.items():
        found += _open(inner, f"{path}/{key}")
    return found


def test_no_level_of_the_charts_own_takes_a_key_it_does_not_know() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    assert _open(schema) == []


BACKLOG = {"kind": "backlog", "backlog": {"prometheus": "http://prometheus:9090"}}
WIDE = {"ipBlock": {"cidr": "169.254.0.0/16"}}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "^.*existingSecret: the relay has no credential"),
        (SQLITE | {"secrets": CREDENTIALS}, "both set"),
        ({"secrets": CREDENTIALS, "database": {"kind": "postgres"}}, "RELAY_DATABASE__URL is missing"),
        ({"secrets": CREDENTIALS | {"RELAY_DATABASE__URL": "x"}}, "needs database.kind postgres"),
        (SQLITE | {"replicas": 2}, "replicas: a SQLite file has one writer"),
        (SQLITE | {"autoscaling": {"kind": "cpu"}}, "autoscaling.kind: cpu wants more replicas"),
        (SQLITE | {"autoscaling": BACKLOG}, "autoscaling.kind: backlog wants more replicas"),
        (SQLITE | {"split": {"enabled": True}}, "split.enabled: a SQLite file has one process"),
        (
            POSTGRES | {"split": {"api": {"replicas": 2}}},
            "split.api: is not read while split.enabled is false",
        ),
        (
            POSTGRES | {"terminationGracePeriodSeconds": 25},
            r"must exceed shutdown\.preStopSeconds \+ shutdown\.drainSeconds, which is 25",
        ),
        (POSTGRES | {"shutdown": {"drainSeconds": 40}}, "which is 45"),
        (POSTGRES | {"shutdown": {"preStopSeconds": 20}}, "which is 40"),
        (
            POSTGRES | {"autoscaling": {"kind": "cpu", "minReplicas": 4, "maxReplicas": 3}},
            "minReplicas 4 is above maxReplicas 3",
        ),
        (
            POSTGRES | {"autoscaling": {"kind": "cpu", "cpuPercent": None}},
            "autoscaling.cpuPercent: kind cpu needs",
        ),
        (
            POSTGRES | {"autoscaling": {"kind": "cpu"}, "resources": {"requests": {"cpu": None}}},
            "resources.requests.cpu: autoscaling.cpuPercent is a share of it",
        ),
        (POSTGRES | {"autoscaling": {"kind": "backlog"}}, "autoscaling.backlog.prometheus: KEDA reads"),
        (
            POSTGRES | {"autoscaling": {"kind": "backlog", "backlog": {"perReplica": None}}},
            "autoscaling.backlog.perReplica: say for how many",
        ),
        (
            SPLIT | {"autoscaling": BACKLOG},
            "split.api.autoscaling.kind: the API's pods do not work off the backlog",
        ),
        (POSTGRES | {"podDisruptionBudget": {"maxUnavailable": 0}}, "maxUnavailable: 0 allows no disruption"),
        (
            POSTGRES | {"podDisruptionBudget": {"maxUnavailable": "0%"}},
            "maxUnavailable: 0 allows no disruption",
        ),
        (
            POSTGRES | {"podDisruptionBudget": {"minAvailable": 3}},
            "minAvailable: 3 of 3 pods allows no disruption",
        ),
        (
            POSTGRES | {"podDisruptionBudget": {"minAvailable": "90%"}},
            "minAvailable: 90% of 3 pods allows no disruption",
        ),
        (
            POSTGRES | {"podDisruptionBudget": {"minAvailable": 2}, "autoscaling": {"kind": "cpu"}},
            "minAvailable: 2 of 2 pods allows no disruption",
        ),
        (
            SPLIT | {"split": {"enabled": True, "worker": {"podDisruptionBudget": {"minAvailable": 3}}}},
            r"split\.worker\.podDisruptionBudget\.minAvailable: 3 of 3",
        ),
        (
            POSTGRES | {"podDisruptionBudget": {"maxUnavailable": None}},
            "says neither maxUnavailable nor minAvailable",
        ),
        (
            SQLITE | {"podDisruptionBudget": {"minAvailable": 1}},
            "minAvailable: 1 of 1 pods allows no disruption",
        ),
        (POSTGRES | {"ingress": {"enabled": True}}, "ingress.hosts: name at least one"),
        (
            POSTGRES | {"ingress": {"enabled": True, "hosts": ["a.example"], "paths": []}},
            "ingress.paths: the Ingress leads nowhere",
        ),
        (POSTGRES | {"httpRoute": {"enabled": True}}, "httpRoute.parentRefs: name the Gateway"),
        (
            POSTGRES | {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}], "paths": []}},
            "httpRoute.paths: the route leads nowhere",
        ),
        (
            SQLITE | {"callbacks": {"inCluster": {"namespaces": ["shop"]}}},
            "callbacks.inCluster.serviceCIDR: the relay's guard needs it",
        ),
        (
            SQLITE | {"callbacks": {"inCluster": {"serviceCIDR": "10.96.0.0/12", "ports": [80]}}},
            "callbacks.inCluster: the NetworkPolicy needs to know",
        ),
        (
            SQLITE
            | {"callbacks": {"inCluster": {"http": True}}, "config": {"callbacks": {"allow_http": "never"}}},
            "never contradicts callbacks.inCluster.http",
        ),
        (
            SQLITE | {"networkPolicy": {"dns": {"to": [WIDE]}}},
            r"networkPolicy.dns.to: 169\.254\.0\.0/16 contains",
        ),
        (
            POSTGRES | {"networkPolicy": {"database": {"to": [{"ipBlock": {"cidr": "fd00:ec2:0::/48"}}]}}},
            "networkPolicy.database.to: fd00:ec2:0::/48 contains fd00:ec2::254/128",
        ),
        (
            POSTGRES | {"networkPolicy": {"extraEgress": [{"ports": [{"port": 4318}]}]}},
            r"networkPolicy.extraEgress\[0\].to: a rule without it leads anywhere",
        ),
        (
            POSTGRES | {"networkPolicy": {"extraEgress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}},
            r"networkPolicy.extraEgress\[0\].to: 0\.0\.0\.0/0 contains 169\.254\.169\.254/32",
        ),
        (
            SQLITE | {"extraEnv": [{"name": "RELAY_API_TOKENS", "value": "x"}]},
            r"extraEnv\[0\]: RELAY_API_TOKENS is a secret",
        ),
        (
            SQLITE | {"extraEnv": [{"name": "A", "value": "1"}, {"name": "DSN", "value": "db://u:p@host"}]},
            r"extraEnv\[1\]: DSN is a secret",
        ),
        (
            SQLITE | {"extraEnv": [{"name": "RELAY_ROLE", "value": "api"}]},
            "RELAY_ROLE is set by split.enabled",
        ),
        (SQLITE | {"extraEnv": [{"name": "RELAY_SECRETS_DIR", "value": "/x"}]}, "is set by secretsAs"),
    ],
)
def test_values_that_are_wrong_together_are_refused_with_the_reason(values: Manifest, reason: str) -> None:
    with pytest.raises(HelmRenderError, match=reason):
        render(values)


@pytest.mark.parametrize("missing", sorted(CREDENTIALS))
def test_each_credential_of_the_default_client_is_asked_for(missing: str) -> None:
    secrets = {name: text for name, text in CREDENTIALS.items() if name != missing}

    with pytest.raises(HelmRenderError, match=f"{missing} is missing"):
        render({"secrets": secrets})


def test_named_clients_need_no_default_one() -> None:
    manifests = render({"secrets": {"RELAY_CLIENTS__ACME__CAMB_API_KEY": "key"}})

    assert "Secret" in kinds(manifests)


@pytest.mark.parametrize(
    "config",
    [
        {"api_tokens": "x"},
        {"camb_api_key": "x"},
        {"signing_secrets": ["x"]},
        {"clients": {"acme": {"callback_headers": [{"origin": "https://a.example", "value": "x"}]}}},
        {"clients": {"acme": {"default_kind": "whsec_Y2FuYXJ5"}}},
        {"clients": {"acme": {"default_kind": "Bearer x"}}},
        {"camb": {"base_url": "https://user:password@camb.example"}},
    ],
)
def test_a_secret_among_the_settings_is_refused(config: Manifest) -> None:
    with pytest.raises(HelmRenderError, match="is a secret and a ConfigMap is not"):
        render(SQLITE | {"config": config})


@pytest.mark.parametrize(
    ("config", "owner"),
    [
        ({"role": "worker"}, "split.enabled"),
        ({"server": {"port": 8000}}, "service.port"),
        ({"server": {"operations_port": 9090}}, "operationsPort"),
        ({"server": {"drain": "PT1M"}}, "shutdown.drainSeconds"),
        ({"database": {"url": "postgresql://relay"}}, "database.urlSecret"),
        ({"database": {"migrate_at_start": True}}, "database.migration"),
    ],
)
def test_a_setting_that_the_chart_owns_is_refused_with_its_owner(config: Manifest, owner: str) -> None:
    with pytest.raises(HelmRenderError, match=owner):
        render(SQLITE | {"config": config})
