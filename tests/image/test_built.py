"""What the image is made of."""

import gzip
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.image import host
from tests.image.conftest import Figure, Start
from tests.test_home import locked

pytestmark = [pytest.mark.image, pytest.mark.timeout(600)]

MOST: Final = 60_000_000
"""Bytes of our layers, unpacked."""
OURS: Final = ("data", "opt/relay/", "opt/venv/")
BYTECODE: Final = "/__pycache__/"

ELSEWHERE: Final = {"colorama", "tzdata"}
"""Locked for Windows alone."""

UNCOMPILED: Final = """
import sys, importlib.util, pathlib
import relay.cli.operate, relay.cli.serving, relay.cli.migrating, http.client
for module in list(sys.modules.values()):
    file = getattr(module, "__file__", None) or ""
    compiled = pathlib.Path(importlib.util.cache_from_source(file)) if file.endswith(".py") else None
    if compiled and not compiled.exists() and module.__spec__.origin != "frozen":
        print(file)
"""


@pytest.fixture(scope="module")
def layers(archive: Path) -> Sequence[bytes]:
    """Ours: what stands on the base, the first one."""
    with tarfile.open(archive) as image:
        return [read(image, name) for name in manifest(image)["Layers"][1:]]


def manifest(image: tarfile.TarFile) -> dict[str, Any]:
    [described] = json.loads(read(image, "manifest.json"))
    found: dict[str, Any] = described
    return found


def read(image: tarfile.TarFile, name: str) -> bytes:
    file = image.extractfile(name)
    assert file is not None
    return file.read()


def members(layers: Sequence[bytes]) -> list[tarfile.TarInfo]:
    return [
        member for layer in layers for member in tarfile.open(fileobj=io.BytesIO(layer)) if not member.isdir()
    ]


def test_our_layers_are_small(layers: Sequence[bytes], figure: Figure) -> None:
    unpacked = [len(layer) for layer in layers]
    packed = sum(len(gzip.compress(layer, 6)) for layer in layers)

    parts = " + ".join(f"{size / 1e6:.1f}" for size in unpacked)
    figure(f"our layers: {sum(unpacked) / 1e6:.1f} MB ({parts}), {packed / 1e6:.1f} MB to pull")
    assert sum(unpacked) <= MOST


def test_nothing_of_the_build_is_left(layers: Sequence[bytes]) -> None:
    strange = [
        each.name
        for each in members(layers)
        if not each.name.startswith(OURS) and BYTECODE not in each.name and each.size
    ]

    assert strange == []


def test_whoever_runs_it_cannot_change_it(layers: Sequence[bytes]) -> None:
    files = [each for each in members(layers) if not each.issym()]

    assert {(each.uid, each.gid) for each in files} == {(0, 0)}
    assert [each.name for each in files if each.mode & 0o022] == []


async def test_nothing_is_compiled_when_it_starts(start: Start) -> None:
    container = start("-c", UNCOMPILED, options=("--entrypoint=python",))

    code = await container.ended()

    assert (code, container.logs) == (0, "")


@pytest.fixture
def structure(archive: Path, tmp_path: Path) -> Path:
    """A folder with the tool, the description and the image's metadata."""
    [tool] = host.KEPT.glob("tools/lib/python3*/site-packages/container_structure_test/bin/*")
    tmp_path.chmod(0o755)
    shutil.copyfile(tool, tmp_path / "tool")
    (tmp_path / "tool").chmod(0o755)
    shutil.copy(Path(__file__).with_name("structure.yaml"), tmp_path)
    with tarfile.open(archive) as image:
        (tmp_path / "metadata.json").write_bytes(read(image, manifest(image)["Config"]))
    return tmp_path


async def test_its_structure_is_as_described(structure: Path, start: Start) -> None:
    """Inside a container, where the tool takes a second; on the archive it takes ten for each file."""
    container = start(
        *("test", "--driver=host", "--force", "--no-color"),
        *("--metadata=/structure/metadata.json", "--config=/structure/structure.yaml"),
        options=(f"--volume={structure}:/structure:ro", "--entrypoint=/structure/tool"),
    )

    code = await container.ended()

    assert code == 0, container.logs


def test_the_bill_of_materials_names_every_dependency(archive: Path, figure: Figure) -> None:
    bill = host.ROOT / "build" / "sbom.spdx.json"
    bill.parent.mkdir(exist_ok=True)

    run("syft", "scan", f"docker-archive:{archive}", "--quiet", f"--output=spdx-json={bill}")

    wanted = set(locked("requirements.txt").items())
    listed = {(each["name"], each.get("versionInfo")) for each in json.loads(bill.read_text())["packages"]}
    figure(f"the bill of materials: {len(listed)} packages, in {bill.relative_to(host.ROOT)}")
    assert {name for name, _ in wanted - listed} == ELSEWHERE


def test_hadolint_finds_nothing() -> None:
    run("hadolint", str(host.ROOT / "Dockerfile"))


def run(tool: str, *arguments: str) -> None:
    done = subprocess.run(
        ["/usr/bin/env", "SYFT_CHECK_FOR_APP_UPDATE=false", host.TOOLS / tool, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
