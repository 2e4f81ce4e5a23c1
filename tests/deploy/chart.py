"""The chart as a function of values, through Helm's own library."""

import re
from pathlib import Path
from typing import Any

from helm_python import Chart, values_from_yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm"

Manifest = dict[str, Any]  # Kubernetes owns its shape, and the strict schemas judge it


def shapes() -> dict[str, Manifest]:
    files = sorted((CHART / "ci").glob("*-values.yaml"))
    return {file.name.removesuffix("-values.yaml"): values_from_yaml(file.read_text()) for file in files}


def render(values: Manifest, *, release: str = "relay", namespace: str = "media") -> list[Manifest]:
    """Every object of the release, hooks included, in the order of the templates' names."""
    with Chart.load(CHART) as chart:
        rendered = chart.render(values, name=release, namespace=namespace)
    texts = [text for path, text in sorted(rendered.items()) if path.endswith(".yaml")]
    documents = [document for text in texts for document in re.split(r"^---$", text, flags=re.MULTILINE)]
    return [manifest for document in documents if (manifest := values_from_yaml(document))]


def notes(values: Manifest) -> str:
    with Chart.load(CHART) as chart:
        return chart.render(values, name="relay", namespace="media")["camb-relay/templates/NOTES.txt"]


def only(kind: str, manifests: list[Manifest]) -> Manifest:
    [manifest] = [manifest for manifest in manifests if manifest["kind"] == kind]
    return manifest


def pods(manifests: list[Manifest]) -> list[Manifest]:
    return [
        manifest["spec"]["template"]["spec"]
        for manifest in manifests
        if "template" in manifest.get("spec", {})
    ]


def container(pod: Manifest) -> Manifest:
    [only_one] = pod["containers"]
    found: Manifest = only_one
    return found


def environment(manifests: list[Manifest]) -> dict[str, str]:
    variables: dict[str, str] = only("ConfigMap", manifests)["data"]
    return variables
