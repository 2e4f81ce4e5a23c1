"""The chart as a function of values, through Helm's own library."""

import json
import re
from collections.abc import Iterable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from helm_python import Chart, values_from_yaml
from jsonschema import Draft202012Validator
from kubernetes_validate.utils import schema_contents
from referencing import Registry, Resource

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm"
KUBERNETES = ("1.30", "1.32", "1.35", "1.37")
CUSTOM = frozenset({"HTTPRoute", "PrometheusRule", "ScaledObject", "ServiceMonitor"})
"""Kinds that are none of Kubernetes' own."""

Manifest = dict[str, Any]  # Kubernetes owns its shape, and the strict schemas judge it

SQLITE: Manifest = {"existingSecret": "relay"}
POSTGRES: Manifest = {"existingSecret": "relay", "database": {"kind": "postgres"}, "replicas": 3}
SPLIT: Manifest = POSTGRES | {"split": {"enabled": True}}
CREDENTIALS = {
    "RELAY_API_TOKENS": "canary-token",
    "RELAY_CAMB_API_KEY": "canary-key",
    "RELAY_SIGNING_SECRETS": "whsec_Y2FuYXJ5",
}
ACME = {name.replace("RELAY_", "RELAY_CLIENTS__ACME__"): text for name, text in CREDENTIALS.items()}
"""A named client's."""
DATABASE_URL = "postgresql://relay:canary-password@db/relay"


def shapes() -> dict[str, Manifest]:
    files = sorted((CHART / "ci").glob("*-values.yaml"))
    return {file.name.removesuffix("-values.yaml"): values_from_yaml(file.read_text()) for file in files}


def rendered(values: Manifest, *, release: str = "relay", namespace: str = "media") -> dict[str, str]:
    with Chart.load(CHART) as chart:
        texts: dict[str, str] = chart.render(values, name=release, namespace=namespace)
    return texts


def render(values: Manifest, *, release: str = "relay", namespace: str = "media") -> list[Manifest]:
    """Every object of the release, hooks included, in the order of the templates' names."""
    return deepcopy(_objects(json.dumps(values), release, namespace))


@cache
def _objects(values: str, release: str, namespace: str) -> list[Manifest]:
    return objects(rendered(json.loads(values), release=release, namespace=namespace))


def objects(texts: dict[str, str]) -> list[Manifest]:
    ordered = [text for path, text in sorted(texts.items()) if path.endswith(".yaml")]
    documents = [document for text in ordered for document in re.split(r"^---$", text, flags=re.MULTILINE)]
    return [manifest for document in documents if (manifest := values_from_yaml(document))]


def validate(manifest: Manifest, version: str) -> None:
    """By the strict schema of that Kubernetes. Raises jsonschema's ValidationError."""
    if manifest["kind"] not in CUSTOM:
        _validator(manifest["kind"], manifest["apiVersion"], version).validate(manifest)


@cache
def _validator(kind: str, api_version: str, version: str) -> Any:  # noqa: ANN401 - jsonschema has no types
    """`kubernetes_validate.validate` reads two megabytes of definitions for each object; this one keeps them."""
    file = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    schema = schema_contents(f"{_folder(version)}/{kind.lower()}-{file}.json", version)
    return Draft202012Validator(schema, registry=Resource.from_contents(schema) @ _definitions(version))


@cache
def _definitions(version: str) -> Registry[Any]:
    contents = schema_contents(f"{_folder(version)}/_definitions.json", version)
    registry: Registry[Any] = Resource.from_contents(contents) @ Registry()
    return registry.crawl()


def _folder(version: str) -> str:
    return f"kubernetes-json-schema/v{version}.0-local-strict"


def notes(values: Manifest) -> str:
    return rendered(values)["camb-relay/templates/NOTES.txt"]


def kinds(manifests: Iterable[Manifest]) -> set[str]:
    return {manifest["kind"] for manifest in manifests}


def every(kind: str, manifests: list[Manifest]) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def only(kind: str, manifests: list[Manifest]) -> Manifest:
    [manifest] = every(kind, manifests)
    return manifest


def component(kind: str, name: str, manifests: list[Manifest]) -> Manifest:
    """The object of that kind that is labelled with the component."""
    [manifest] = [
        each
        for each in every(kind, manifests)
        if each["metadata"]["labels"]["app.kubernetes.io/component"] == name
    ]
    return manifest


def service(manifests: list[Manifest]) -> Manifest:
    return component("Service", "api", manifests)


def pods(manifests: list[Manifest]) -> list[Manifest]:
    """Of Deployments, Jobs and the test."""
    return [
        manifest["spec"] if manifest["kind"] == "Pod" else manifest["spec"]["template"]["spec"]
        for manifest in manifests
        if manifest["kind"] in {"Deployment", "Job", "Pod"}
    ]


def servers(manifests: list[Manifest]) -> list[Manifest]:
    """Those that serve."""
    return pods(every("Deployment", manifests))


def server(manifests: list[Manifest]) -> Manifest:
    [pod] = servers(manifests)
    return pod


def container(pod: Manifest) -> Manifest:
    [only_one] = pod["containers"]
    found: Manifest = only_one
    return found


def environment(manifests: list[Manifest]) -> dict[str, str]:
    [settings] = [
        each for each in every("ConfigMap", manifests) if "RELAY_SERVER__PORT" in each.get("data", {})
    ]
    variables: dict[str, str] = settings["data"]
    return variables


def variable(pod: Manifest, name: str) -> Manifest:
    [entry] = [entry for entry in container(pod)["env"] if entry["name"] == name]
    found: Manifest = entry
    return found
