import asyncio
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from relay.cli.health import address, hosts_to_ask, quick_yes
from relay.settings import ConfigurationError, load_settings
from tests.cli.conftest import Shell

HOST = "RELAY_SERVER__HOST"
PORT = "RELAY_SERVER__PORT"
OPERATIONS = "RELAY_SERVER__OPERATIONS_PORT"
Said = tuple[Mapping[str, str], str, Mapping[str, str]]  # variables, the file, secrets

LEFT_TO_THE_SETTINGS: list[Said] = [
    ({PORT: "http"}, "", {}),
    ({PORT: ""}, "", {}),
    ({PORT: "0"}, "", {}),
    ({PORT: "65536"}, "", {}),
    ({PORT: "08080"}, "", {}),
    ({PORT: "٣"}, "", {}),
    ({}, "[server]\nport = true", {}),
    ({}, '[server]\nport = "9000"', {}),
    ({}, "[server]\nhost = 1", {}),
    ({}, "server = 1", {}),
    ({}, "[server", {}),
    ({"RELAY_CONFIG": "nowhere.toml"}, "", {}),
    ({"RELAY_SECRETS_DIR": "nowhere"}, "", {}),
]
PLAIN: list[Said] = [
    ({}, "", {}),
    ({HOST: "::1", PORT: "9000"}, "", {}),
    ({PORT: "9000", OPERATIONS: "9001"}, "", {}),
    ({}, '[server]\nhost = "192.0.2.1"\nport = 9000\noperations_port = 9001', {}),
    ({PORT: "9002"}, "[server]\nport = 9000", {}),
    ({OPERATIONS: " "}, "[server]\nport = 9000\noperations_port = 9001", {}),
    ({}, "[server]\nport = 9000", {PORT: "9001\r\n"}),
    ({PORT: "9002"}, "[server]\nport = 9000", {PORT: "9001", OPERATIONS: "9003"}),
    ({"RELAY_CONFIG": ""}, "[server]\nport = 9000", {}),
    ({"relay_server__port": "9001", "RELAY_PORT": "tcp://192.0.2.1:80"}, "[camb]\nrate_per_second = 3", {}),
]


def read(
    variables: Mapping[str, str], file: str, secrets: Mapping[str, str], folder: Path
) -> Mapping[str, str]:
    """The environment, with the file and the folder of secrets beside it."""
    environ = dict(variables)
    if file:
        (folder / "config").mkdir()
        (folder / "config" / "relay.toml").write_text(file)
    if secrets:
        (folder / "secrets").mkdir()
        environ["RELAY_SECRETS_DIR"] = "secrets"
    for name, text in secrets.items():
        (folder / "secrets" / name).write_text(text, newline="")
    return environ


@pytest.mark.parametrize(("variables", "file", "secrets"), [*PLAIN, *LEFT_TO_THE_SETTINGS])
def test_the_quick_question_goes_where_the_settings_say_or_nowhere(
    variables: Mapping[str, str], file: str, secrets: Mapping[str, str], tmp_path: Path
) -> None:
    environ = read(variables, file, secrets, tmp_path)
    try:
        server = load_settings(config=None, secrets_dir=None, environ=environ, cwd=tmp_path).server
    except ConfigurationError:
        meant = None
    else:
        meant = (server.host, server.port if server.operations_port is None else server.operations_port)

    found = address(environ, tmp_path)

    assert found in {meant, None}


@pytest.mark.parametrize(("variables", "file", "secrets"), PLAIN)
def test_what_is_plainly_said_is_found_without_the_settings(
    variables: Mapping[str, str], file: str, secrets: Mapping[str, str], tmp_path: Path
) -> None:
    assert address(read(variables, file, secrets, tmp_path), tmp_path) is not None


@pytest.mark.parametrize(("variables", "file", "secrets"), LEFT_TO_THE_SETTINGS)
def test_what_takes_a_rule_is_left_to_the_settings(
    variables: Mapping[str, str], file: str, secrets: Mapping[str, str], tmp_path: Path
) -> None:
    assert address(read(variables, file, secrets, tmp_path), tmp_path) is None


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("0.0.0.0", ["127.0.0.1"]),  # noqa: S104 - it is asked, and nothing is bound to it
        ("::", ["::1", "127.0.0.1"]),
        ("192.0.2.1", ["192.0.2.1"]),
    ],
)
def test_a_server_on_every_address_is_asked_on_this_machines_own(host: str, asked: list[str]) -> None:
    assert list(hosts_to_ask(host)) == asked


@pytest.mark.parametrize("arguments", [[], ["--ready"]])
async def test_a_relay_that_is_well_answers_at_once(
    shell: Shell, arguments: list[str], tmp_path: Path
) -> None:
    environ = {PORT: str(urlsplit(shell.url).port)}

    said = await asyncio.to_thread(quick_yes, arguments, environ, tmp_path)

    assert said is not None
    assert "ok" in said


@pytest.mark.parametrize("arguments", [["--help"], ["--config", "relay.toml"], ["--ready", "--ready"]])
async def test_any_other_wish_is_the_commands(shell: Shell, arguments: list[str], tmp_path: Path) -> None:
    environ = {PORT: str(urlsplit(shell.url).port)}

    assert await asyncio.to_thread(quick_yes, arguments, environ, tmp_path) is None


async def test_a_relay_that_drains_gets_no_quick_yes_when_asked_whether_it_is_ready(
    shell: Shell, tmp_path: Path
) -> None:
    environ = {PORT: str(urlsplit(shell.url).port)}
    shell.relay.relay.begin_drain()

    assert await asyncio.to_thread(quick_yes, ["--ready"], environ, tmp_path) is None
    assert await asyncio.to_thread(quick_yes, [], environ, tmp_path) is not None


def test_a_yes_loads_no_settings_and_no_command_line() -> None:
    code = "import sys, relay.cli, relay.cli.health; print(*{name.partition('.')[0] for name in sys.modules})"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert {"socket", "relay"} <= set(loaded.stdout.split())
    assert not {"pydantic", "pydantic_settings", "typer", "rich", "http", "ssl"} & set(loaded.stdout.split())
