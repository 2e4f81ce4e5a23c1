"""Debian's promtool, taken out of its package: the server in there is neither installed nor started."""

import platform
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.deploy.chart import ROOT
from tests.deploy.checks.steps import Looking

OWN: Final = ROOT / ".tools" / "promtool"
PATIENCE: Final = 300
"""Seconds that a download may take."""


def at_hand() -> Looking:
    if shutil.which("promtool") is None and not OWN.exists():
        if shutil.which("apt-get") is None:
            yield f"promtool is missing on this {platform.system()}: install Prometheus, or put it into the PATH"
        wrong = _take_out()
        if wrong:
            yield wrong
    return _output("--version").stdout.split(" (")[0]


def wrong_with(folder: Path, *arguments: str) -> str | None:
    """What promtool says against the files there, if anything."""
    done = _output(*arguments, folder=folder)
    return None if done.returncode == 0 else f"{done.stdout}{done.stderr}"


def _output(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [shutil.which("promtool") or OWN, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _take_out() -> str | None:
    """What went wrong, if anything did."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for command in (["apt-get", "update", "-qq"], ["apt-get", "download", "-qq", "prometheus"]):
            done = _run(*command, folder=folder)
            if done.returncode and command[1] == "download":
                return f"{' '.join(command)}: {done.stderr}"
        [package] = folder.glob("prometheus_*.deb")
        done = _run("dpkg-deb", "--extract", package.name, "out", folder=folder)
        if done.returncode:
            return f"{package.name}: {done.stderr}"
        OWN.parent.mkdir(exist_ok=True)
        shutil.copy(folder / "out" / "usr" / "bin" / "promtool", OWN)
    return None


def _run(program: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = shutil.which(program)
    assert path is not None, program
    return subprocess.run(
        [path, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
