"""What the chart refuses before anything reaches a cluster."""

import json
from typing import Any

import pytest
from helm_python import HelmRenderError, HelmValuesError

from tests.deploy.chart import ACME, CHART, CREDENTIALS, SQLITE, Manifest, kinds, render
from tests.deploy.refusals import MISTYPED_VARIABLES, OWNED_SETTINGS, SECRET_SETTINGS, WRONG_TOGETHER


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
        ({"networkPolicy": {"tracing": {"ports": [0]}}}, "ports"),
        ({"networkPolicy": {"tracing": {"namespace": "tracing"}}}, "namespace"),
        ({"networkPolicy": {"extraEgress": [{"port": 1}]}}, "port"),
        ({"monitoring": {"serviceMonitor": {"interval": "30"}}}, "interval"),
        ({"monitoring": {"rules": {"alerts": {"slow": {}}}}}, "slow"),
        ({"monitoring": {"rules": {"alerts": {"down": {"threshold": 1}}}}}, "threshold"),
        ({"monitoring": {"rules": {"alerts": {"clockSkewed": {"for": "soon"}}}}}, "for"),
        ({"monitoring": {"rules": {"runbookUrl": ""}}}, "runbookUrl"),
        ({"monitoring": {"dashboard": {"labels": {"a": "not a label"}}}}, "labels"),
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


@pytest.mark.parametrize(("values", "culprit"), MISTYPED_VARIABLES)
def test_a_variable_that_no_setting_has_is_refused(values: Manifest, culprit: str) -> None:
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


@pytest.mark.parametrize(("values", "reason"), WRONG_TOGETHER)
def test_values_that_are_wrong_together_are_refused_with_the_reason(values: Manifest, reason: str) -> None:
    with pytest.raises(HelmRenderError, match=reason):
        render(values)


@pytest.mark.parametrize("missing", sorted(CREDENTIALS))
def test_each_credential_of_the_default_client_is_asked_for(missing: str) -> None:
    secrets = {name: text for name, text in CREDENTIALS.items() if name != missing}

    with pytest.raises(HelmRenderError, match=f"{missing} is missing"):
        render({"secrets": secrets})


@pytest.mark.parametrize("missing", sorted(ACME))
def test_each_credential_of_a_named_client_is_asked_for(missing: str) -> None:
    secrets = CREDENTIALS | {name: text for name, text in ACME.items() if name != missing}

    with pytest.raises(HelmRenderError, match=f"{missing} is missing"):
        render({"secrets": secrets})


def test_a_credential_may_come_from_a_secret_of_somebody_elses() -> None:
    elsewhere = {"secretKeyRef": {"name": "camb", "key": "key"}}
    secrets = {name: text for name, text in ACME.items() if not name.endswith("CAMB_API_KEY")}

    manifests = render(
        {
            "secrets": secrets,
            "extraEnv": [{"name": "RELAY_CLIENTS__ACME__CAMB_API_KEY", "valueFrom": elsewhere}],
        }
    )

    assert "Secret" in kinds(manifests)


def test_the_default_client_may_be_named_in_full_too() -> None:
    secrets = {name.replace("ACME", "DEFAULT"): text for name, text in ACME.items()}
    mixed = secrets | {"RELAY_API_TOKENS": secrets.pop("RELAY_CLIENTS__DEFAULT__API_TOKENS")}

    assert "Secret" in kinds(render({"secrets": mixed}))


def test_named_clients_need_no_default_one() -> None:
    assert "Secret" in kinds(render({"secrets": ACME}))


@pytest.mark.parametrize(
    "name", ["HTTPS_PROXY", "RELAY_CONFIG", "RELAY_CAMB__DEADLINE", "RELAY_CLIENTS__A1_B__DEFAULT_KIND"]
)
def test_a_variable_that_somebody_reads_is_taken(name: str) -> None:
    assert render(SQLITE | {"extraEnv": [{"name": name, "value": "PT5S"}]})


@pytest.mark.parametrize("config", SECRET_SETTINGS)
def test_a_secret_among_the_settings_is_refused(config: Manifest) -> None:
    with pytest.raises(HelmRenderError, match="is a secret and a ConfigMap is not"):
        render(SQLITE | {"config": config})


@pytest.mark.parametrize(("config", "owner"), OWNED_SETTINGS)
def test_a_setting_that_the_chart_owns_is_refused_with_its_owner(config: Manifest, owner: str) -> None:
    with pytest.raises(HelmRenderError, match=owner):
        render(SQLITE | {"config": config})
