"""The chart's words on restoring a backup, held to the objects that they speak of."""

import re

import pytest
from helm_python import values_from_yaml

from tests.deploy.chart import CHART, KUBERNETES, POSTGRES, SPLIT, Manifest, every, render, shapes, validate
from tests.deploy.refusals import BACKLOG

README = (CHART / "README.md").read_text()
[SECTION] = re.findall(r"^## Back up and restore$(.*?)^## ", README, re.MULTILINE | re.DOTALL)
BLOCKS: list[str] = re.findall(r"^```sh\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
[RESTORE] = [block for block in BLOCKS if "relay restore" in block]
KEEPER = "apply --filename keeper.yaml"


def labelled(selector: str, labels: dict[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in (each.split("=") for each in selector.split(",")))


def test_nothing_mounts_the_volume_before_the_relay_has_left_it() -> None:
    steps = [
        "> replicas",
        "--replicas 0",
        "--for delete pod",
        KEEPER,
        "relay restore",
        "delete pod relay-keeper",
    ]

    places = [RESTORE.index(step) for step in [*steps, "< replicas"]]

    assert places == sorted(places)


@pytest.mark.parametrize("shape", sorted(shapes()))
def test_all_that_serves_is_stopped_and_waited_for(shape: str) -> None:
    stopped, waited = re.findall(r"--selector (\S+) --(?:replicas|timeout)", RESTORE)
    deployments = every("Deployment", render(shapes()[shape]))

    assert deployments
    for each in deployments:
        assert labelled(stopped, each["metadata"]["labels"])
        assert labelled(waited, each["spec"]["template"]["metadata"]["labels"])


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_pod_that_restores_is_one_that_a_cluster_takes(version: str) -> None:
    [written] = [block for block in BLOCKS if block.startswith("cat > keeper.yaml")]
    manifest = values_from_yaml(written.split("\n", 1)[1].removesuffix("END\n"))

    validate(manifest, version)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (POSTGRES | {"autoscaling": BACKLOG}, "relay-camb-relay"),
        (SPLIT | {"split": {"enabled": True, "worker": {"autoscaling": BACKLOG}}}, "relay-camb-relay-worker"),
    ],
)
def test_keda_is_held_off_by_the_name_of_what_it_scales(values: Manifest, name: str) -> None:
    [scaled] = every("ScaledObject", render(values))

    assert scaled["metadata"]["name"] == name
    assert f"`{name}`" in SECTION or f"scaledobject {name} " in SECTION
    assert 'autoscaling.keda.sh/paused-replicas="0"' in SECTION
    assert "autoscaling.keda.sh/paused-replicas-\n" in SECTION
