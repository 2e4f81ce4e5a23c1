"""buildah and podman with images, containers and volumes of their own, which are gone afterwards."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

HOME: Final = Path(tempfile.gettempdir()) / f"relay-image-{os.getuid()}"
"""Short, for sockets are made below it; always the same, so that the next run finds what a killed one has left."""

_KEPT: Final = ("lock", "containers.conf", "storage.conf")

_STORAGE: Final = """
[storage]
driver = "overlay"
graphroot = "{home}/graph"
runroot = "{home}/run"
"""

# runc, because crun refuses hybrid control groups; the limits, because a sandbox may not raise its own.
_CONTAINERS: Final = """
[containers]
default_ulimits = ["nofile=10000:10000", "nproc=4096:4096"]
log_driver = "k8s-file"
[network]
network_backend = "netavark"
network_config_dir = "{home}/networks"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = "runc"
static_dir = "{home}/libpod"
tmp_dir = "{home}/state"
volume_path = "{home}/volumes"
"""


class Engine:
    def __init__(self, home: Path) -> None:
        self.home = home
        self._containers = home / "containers.conf"
        self._storage = home / "storage.conf"
        self._containers.write_text(_CONTAINERS.format(home=home))
        self._storage.write_text(_STORAGE.format(home=home))

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator[Self]:
        """Waits for another run on this machine to end."""
        HOME.mkdir(mode=0o700, exist_ok=True)
        with (HOME / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            engine = cls(HOME)
            engine.clear()
            try:
                yield engine
            finally:
                engine.clear()

    def podman(self, *arguments: str) -> str:
        return self.run("/usr/bin/podman", *arguments).stdout.strip()

    def buildah(self, *arguments: str) -> str:
        return self.run("/usr/bin/buildah", *arguments).stdout.strip()

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [
                "/usr/bin/env",
                f"CONTAINERS_CONF={self._containers}",
                f"CONTAINERS_STORAGE_CONF={self._storage}",
                *command,
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done

    def clear(self) -> None:
        """Whatever state a run was killed in."""
        self.run("/usr/bin/podman", "rm", "--all", "--force", "--time", "0", "--volumes", check=False)
        mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for place in reversed(mounted):
            if Path(place).is_relative_to(self.home):
                self.run("/usr/bin/umount", "--lazy", place, check=False)
        for entry in self.home.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name not in _KEPT:
                entry.unlink()
