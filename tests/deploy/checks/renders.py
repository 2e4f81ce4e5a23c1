"""Each shape through both Helms' commands, as an operator's would be."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.deploy.chart import CHART, KUBERNETES, Manifest, objects
from tests.deploy.checks.steps import Looking
from tests.deploy.checks.tools import HELM_3, HELM_4, HELMS, Helm

REFUSED: Final = "1.29"
"""The Kubernetes before the first whose containers can sleep in preStop."""
SOURCE: Final = re.compile(r"^# Source: [^/]+/(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    shape: str
    kubernetes: str
    text: str

    def manifests(self) -> list[Manifest]:
        return objects({"templates.yaml": self.text})


def files() -> dict[str, Path]:
    return {
        file.name.removesuffix("-values.yaml"): file for file in sorted((CHART / "ci").glob("*-values.yaml"))
    }


def lint() -> Looking:
    for shape, values in files().items():
        for helm in HELMS:
            done = helm.run("lint", str(CHART), "--strict", "--quiet", "--values", str(values))
            if done.returncode or done.stdout.strip():
                yield f"{shape}, Helm {helm.version}: {done.stdout}{done.stderr}"
    return f"{len(files())} shapes with each Helm"


def render(keep: Callable[[Rendered], None]) -> Looking:
    """Hands over what Helm 4 makes of each shape for each Kubernetes."""
    for shape, values in files().items():
        texts: dict[str, str] = {}
        for helm in (HELM_4, HELM_3):
            for version in KUBERNETES:
                done = _template(helm, values, version)
                if done[1]:
                    yield f"{shape}, Helm {helm.version}, Kubernetes {version}: {done[1]}"
                if helm is HELM_4:
                    texts[version] = done[0]
                    keep(Rendered(shape=shape, kubernetes=version, text=done[0]))
                elif difference := _first_difference(texts[version], done[0]):
                    yield f"{shape}, Kubernetes {version}: Helm 3 and Helm 4 differ: {difference}"
            again, _ = _template(helm, values, KUBERNETES[-1])
            if difference := _first_difference(texts[KUBERNETES[-1]], again):
                yield f"{shape}, Helm {helm.version}: two renders differ: {difference}"
    return (
        f"{len(files())} shapes for {len(KUBERNETES)} versions of Kubernetes, alike with each Helm and twice"
    )


def covered(renders: Sequence[Rendered]) -> Looking:
    """Whether some shape renders each template: what none does is held to nothing."""
    rendered = {source for each in renders for source in SOURCE.findall(each.text)}
    templates = sorted(str(file.relative_to(CHART)) for file in (CHART / "templates").rglob("*.yaml"))
    for template in templates:
        if template not in rendered:
            yield f"{template}: no values in helm/ci render it"
    return f"each of {len(templates)} is rendered by some shape"


def older() -> Looking:
    values = next(iter(files().values()))
    for helm in HELMS:
        _, refusal = _template(helm, values, REFUSED)
        if "incompatible with Kubernetes" not in refusal:
            yield f"Helm {helm.version} takes the chart for Kubernetes {REFUSED}: {refusal or 'without a word'}"
    return f"Kubernetes {REFUSED} is refused by each Helm"


def _template(helm: Helm, values: Path, kubernetes: str) -> tuple[str, str]:
    """The text, and what was said against it."""
    done = helm.run(
        *("template", "relay", str(CHART), "--namespace", "relay"),
        *("--kube-version", kubernetes, "--values", str(values)),
    )
    return done.stdout, done.stderr.strip() or ("" if done.returncode == 0 else "it failed without a word")


def _first_difference(one: str, other: str) -> str:
    pairs = zip([*one.splitlines(), "the end"], [*other.splitlines(), "the end"], strict=False)
    return next((f"{left!r} and {right!r}" for left, right in pairs if left != right), "")
