"""Kubernetes' own objects by the strict schemas of each version."""

from collections.abc import Sequence

from jsonschema import ValidationError

from tests.deploy.chart import CUSTOM, validate
from tests.deploy.checks.renders import Rendered
from tests.deploy.checks.steps import Looking


def hold(renders: Sequence[Rendered]) -> Looking:
    held = 0
    for rendered in renders:
        for manifest in rendered.manifests():
            what = f"{rendered.shape}, {manifest['kind']} {manifest['metadata']['name']}"
            try:
                validate(manifest, rendered.kubernetes)
            except FileNotFoundError:
                yield (
                    f"{what}: Kubernetes {rendered.kubernetes} knows no {manifest['apiVersion']} "
                    f"{manifest['kind']}, and it is none of the custom resources {', '.join(sorted(CUSTOM))}"
                )
            except ValidationError as error:
                yield f"{what}, Kubernetes {rendered.kubernetes}: {error.json_path}: {error.message}"
            held += manifest["kind"] not in CUSTOM
    versions = sorted({rendered.kubernetes for rendered in renders})
    return f"{held} objects by the schemas of Kubernetes {', '.join(versions)}"
