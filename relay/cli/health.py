"""Ask the relay on this machine whether it is well, with as little imported as a yes takes: it is asked every ten seconds."""

import socket
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_SECONDS: Final = 3
_LONGEST_ANSWER: Final = 65_536
_HIGHEST_PORT: Final = 65_535
_VARIABLES: Final = {
    "host": "RELAY_SERVER__HOST",
    "port": "RELAY_SERVER__PORT",
    "operations_port": "RELAY_SERVER__OPERATIONS_PORT",
}

Address = tuple[str, int]


def quick_yes(arguments: Sequence[str], environ: Mapping[str, str], cwd: Path) -> str | None:
    """What a relay that is well says; None where the command itself, which reads all settings, has to find the words."""
    if arguments not in ([], ["--ready"]):
        return None
    found = address(environ, cwd)
    if found is None:
        return None
    host, port = found
    for each in hosts_to_ask(host):
        try:
            return _ask((each, port), path_to_ask(ready=bool(arguments)))
        except (OSError, ValueError):  # nobody there, or nobody who speaks HTTP
            continue
    return None


def path_to_ask(*, ready: bool) -> str:
    return "/readyz" if ready else "/livez"


def hosts_to_ask(host: str) -> Sequence[str]:
    """Where a server that was told to listen on `host` answers this machine."""
    # Whoever listens on `::` may have found no IPv6 to listen on.
    every = {"0.0.0.0": ("127.0.0.1",), "::": ("::1", "127.0.0.1")}  # noqa: S104 - nothing is bound to it: whoever listens there is asked
    return every.get(host, (host,))


def address(environ: Mapping[str, str], cwd: Path) -> Address | None:
    """The host and the port for health as `load_settings` reads them; None where it takes the settings' own rules."""
    said: dict[str, object] = {"host": "127.0.0.1", "port": 8080, "operations_port": None}
    try:
        said |= _in_file(environ.get("RELAY_CONFIG"), cwd)
        said |= _in_folder(environ.get("RELAY_SECRETS_DIR"), cwd)
    except (OSError, ValueError):
        return None
    said |= _in_variables(environ)
    host, port, of_operations = said["host"], said["port"], said["operations_port"]
    asked = port if of_operations is None else of_operations
    if not isinstance(host, str) or type(port) is not int or type(asked) is not int:
        return None
    return (host, asked) if 0 < asked <= _HIGHEST_PORT else None


def _in_file(named: str | None, cwd: Path) -> dict[str, object]:
    file = cwd / (named or "config/relay.toml")
    if not named and not file.exists():
        return {}
    table = tomllib.loads(file.read_text(encoding="utf-8")).get("server", {})
    if not isinstance(table, dict):
        raise ValueError("server is no table")  # noqa: TRY004 - as tomllib answers what is no TOML
    return {key: table[key] for key in _VARIABLES if key in table}


def _in_folder(named: str | None, cwd: Path) -> dict[str, object]:
    if not named:
        return {}
    here = {file.name for file in (cwd / named).iterdir()}
    files = [cwd / named / variable for variable in _VARIABLES.values() if variable in here]
    return _in_variables({file.name: file.read_bytes().decode().rstrip("\r\n") for file in files})


def _in_variables(values: Mapping[str, str]) -> dict[str, object]:
    said: dict[str, object] = {key: values[name] for key, name in _VARIABLES.items() if name in values}
    for key in said.keys() - {"host"}:
        text = str(said[key])
        if text.isascii() and text.isdigit() and not text.startswith("0"):
            said[key] = int(text)
    if not str(said.get("operations_port", "-")).strip():
        said["operations_port"] = None
    return said


def _ask(server: Address, path: str) -> str | None:
    """The body of a 200. In HTTP/1.0, whose answers end with their connection: http.client would be half of the cost."""
    with socket.create_connection(server, timeout=_SECONDS) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = b""
        while len(answer) < _LONGEST_ANSWER and (more := connection.recv(_LONGEST_ANSWER)):
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    protocol, _, status = head.partition(b" ")
    return body.decode() if protocol.startswith(b"HTTP/1.") and status.startswith(b"200 ") else None
