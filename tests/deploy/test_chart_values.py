"""What the chart refuses before anything reaches a cluster."""

from typing import Any

import pytest
from helm_python import HelmRenderError, HelmValuesError

from tests.deploy.chart import render

CREDENTIALS = {
    "RELAY_API_TOKENS": "token",
    "RELAY_CAMB_API_KEY": "key",
    "RELAY_SIGNING_SECRETS": "whsec_c2VjcmV0",
}
POSTGRES = {"database": {"kind": "postgres"}, "existingSecret": "relay"}


@pytest.mark.parametrize(
    ("values", "culprit"),
    [
        ({"replica": 1}, "replica"),
        ({"image": {"repo": "x"}}, "repo"),
        ({"image": {"digest": "sha256:abc"}}, "digest"),
        ({"imagePullSecrets": ["registry"]}, "imagePullSecrets"),
        ({"database": {"type": "postgres"}}, "type"),
        ({"database": {"kind": "mysql"}}, "kind"),
        ({"database": {"urlSecret": {"keys": "uri"}}}, "keys"),
        ({"existingSecret": "Not_A_Name"}, "existingSecret"),
        ({"secrets": {"API_TOKENS": "x"}}, "API_TOKENS"),
        ({"secrets": {"RELAY_API_TOKENS": ""}}, "RELAY_API_TOKENS"),
        ({"config": {"Polling": {}}}, "Polling"),
        ({"config": {"polling": {"kinds": [{"a": 1}]}}}, "kinds"),
        ({"operationsPort": 8080}, "operationsPort"),
        ({"shutdown": {"drain": 20}}, "drain"),
        ({"persistence": {"sise": "1Gi"}}, "sise"),
        ({"persistence": {"size": "plenty"}}, "size"),
        ({"service": {"ports": 80}}, "ports"),
        ({"service": {"port": "80"}}, "port"),
        ({"ingress": {"enable": True}}, "enable"),
        ({"serviceAccount": {"annotation": {}}}, "annotation"),
        ({"resources": {"limit": {}}}, "limit"),
        ({"fullnameOverride": "x" * 51}, "fullnameOverride"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name(values: dict[str, Any], culprit: str) -> None:
    with pytest.raises(HelmValuesError, match=culprit):
        render({"existingSecret": "relay"} | values)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "^.*existingSecret: the relay has no credential"),
        ({"existingSecret": "relay", "secrets": CREDENTIALS}, "both set"),
        ({"existingSecret": "relay", "replicas": 2}, "a SQLite file has one writer"),
        ({"secrets": CREDENTIALS, "database": {"kind": "postgres"}}, "RELAY_DATABASE__URL is missing"),
        ({"secrets": CREDENTIALS | {"RELAY_DATABASE__URL": "x"}}, "needs database.kind postgres"),
        (POSTGRES | {"terminationGracePeriodSeconds": 25}, "must exceed .* which is 25"),
        (POSTGRES | {"shutdown": {"drainSeconds": 40}}, "must exceed .* which is 45"),
        (POSTGRES | {"ingress": {"enabled": True}}, "ingress.host"),
    ],
)
def test_values_that_contradict_each_other_are_refused_with_the_reason(
    values: dict[str, Any], reason: str
) -> None:
    with pytest.raises(HelmRenderError, match=reason):
        render(values)


@pytest.mark.parametrize("missing", sorted(CREDENTIALS))
def test_each_credential_of_the_default_client_is_asked_for(missing: str) -> None:
    secrets = {name: text for name, text in CREDENTIALS.items() if name != missing}

    with pytest.raises(HelmRenderError, match=f"{missing} is missing"):
        render({"secrets": secrets})


def test_named_clients_need_no_default_one() -> None:
    manifests = render({"secrets": {"RELAY_CLIENTS__ACME__CAMB_API_KEY": "key"}})

    assert "Secret" in {manifest["kind"] for manifest in manifests}


@pytest.mark.parametrize("short_form", ["api_tokens", "camb_api_key", "signing_secrets"])
def test_a_secret_among_the_settings_is_refused(short_form: str) -> None:
    with pytest.raises(HelmRenderError, match="is a secret and a ConfigMap is not"):
        render({"existingSecret": "relay", "config": {short_form: "x"}})


@pytest.mark.parametrize(
    ("config", "owner"),
    [
        ({"server": {"port": 8000}}, "service.port"),
        ({"server": {"operations_port": 9090}}, "operationsPort"),
        ({"server": {"drain": "PT1M"}}, "shutdown.drainSeconds"),
        ({"database": {"url": "postgresql://relay"}}, "database.urlSecret"),
        ({"database": {"migrate_at_start": True}}, "database.migration"),
    ],
)
def test_a_setting_that_the_chart_owns_is_refused_with_its_owner(config: dict[str, Any], owner: str) -> None:
    with pytest.raises(HelmRenderError, match=owner):
        render({"existingSecret": "relay", "config": config})
