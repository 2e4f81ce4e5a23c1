"""What an operator meets: help, exit codes, and messages that say what to do."""

import base64
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx
import pytest
import typer

from relay import __version__
from relay.cli import exits
from relay.cli.operate import app
from relay.webhook.signing import new_pair
from tests.demo.serving import official_sdk, served
from tests.e2e.neighbours import CAMB_KEY, SIGNING_SECRET, Neighbours
from tests.e2e.processes import COMMAND, MODULE, TOKEN, environment, run, serving, sqlite_url
from tests.postgres import PostgresServer
from tests.sockets import unused_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

USAGE: Final = 2

# Every command that there is, so that none comes without its help.
COMMANDS: Final = sorted(getattr(typer.main.get_command(app), "commands", {}))


def test_the_help_names_every_command_and_what_the_exit_codes_mean(tmp_path: Path) -> None:
    printed = run("--help", environ={}, folder=tmp_path)

    assert printed.returncode == 0
    assert {"serve", "migrate", "check-config", "secret", "healthcheck", "simulator"} <= set(COMMANDS)
    assert all(f" {command} " in printed.stdout for command in COMMANDS)
    assert "69 no usable database" in printed.stdout
    assert str(exits.CONFIGURATION) in printed.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_that_needs_no_configuration(command: str, tmp_path: Path) -> None:
    printed = run(command, "--help", environ={"RELAY_API_TOKEN": "wrong"}, folder=tmp_path)

    assert printed.returncode == 0
    assert f"relay {command}" in printed.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [COMMAND, MODULE], ids=["relay", "python -m relay"])
def test_both_ways_to_start_it_are_the_same_program(command: tuple[str, ...], tmp_path: Path) -> None:
    assert run("--version", environ={}, folder=tmp_path, command=command).stdout == f"{__version__}\n"


@pytest.mark.parametrize(
    "arguments", [("serv",), ("serve", "--port", "1"), ("simulator", "--submitted", "nonsense")]
)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...], tmp_path: Path) -> None:
    refused = run(*arguments, environ={}, folder=tmp_path)

    assert refused.returncode == USAGE
    assert refused.stdout == ""
    assert refused.stderr != ""


@pytest.mark.parametrize("command", ["serve", "migrate", "check-config", "healthcheck"])
def test_a_wrong_configuration_exits_with_78_and_every_error_at_once(command: str, tmp_path: Path) -> None:
    environ = {
        "RELAY_API_TOKEN": "somebodys-token",
        "RELAY_CAMB_API_KEY": "has a space",
        "RELAY_SIGNING_SECRETS": "whsec_short",
        "RELAY_DELIVERY__DEADLINE": "15",
        "RELAY_SERVER__PORT": "http",
        "RELAY_ROLE": "boss",
    }

    refused = run(command, environ=environ, folder=tmp_path)

    assert refused.returncode == exits.CONFIGURATION
    assert all(name in refused.stderr for name in environ)
    assert "did you mean RELAY_API_TOKENS?" in refused.stderr
    assert not any(value in refused.stderr for value in ("somebodys-token", "has a space", "whsec_short"))
    assert list(tmp_path.iterdir()) == []


def test_serve_refuses_without_a_signing_secret_and_names_the_command_that_makes_one(tmp_path: Path) -> None:
    environ = {"RELAY_API_TOKENS": TOKEN, "RELAY_CAMB_API_KEY": CAMB_KEY}

    refused = run("serve", environ=environ, folder=tmp_path)

    assert refused.returncode == exits.CONFIGURATION
    assert "RELAY_SIGNING_SECRETS is not set" in refused.stderr
    assert "`relay secret`" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_secret_that_was_made_is_accepted_and_no_two_are_the_same(tmp_path: Path) -> None:
    made = [run("secret", environ={}, folder=tmp_path).stdout.strip() for _ in range(2)]
    environ = {"RELAY_CAMB_API_KEY": CAMB_KEY, "RELAY_SIGNING_SECRETS": ",".join(made)}

    accepted = run("check-config", environ=environ, folder=tmp_path)

    assert made[0] != made[1]
    assert all(secret.startswith("whsec_") for secret in made)
    assert accepted.returncode == 0


def test_a_pair_that_was_made_is_accepted_and_its_public_half_is_shown_again(tmp_path: Path) -> None:
    made = run("secret", "--ed25519", environ={}, folder=tmp_path)
    pair, public = made.stdout.strip(), made.stderr.strip()
    environ = {
        "RELAY_CAMB_API_KEY": "canary-key",
        "RELAY_SIGNING_SECRETS": f"{pair},{SIGNING_SECRET}",
        "RELAY_API_TOKENS": TOKEN,
    }
    seed = pair.removeprefix("whsk_")[:32]

    accepted = run("check-config", environ=environ, folder=tmp_path)

    assert accepted.returncode == 0, accepted.stderr
    assert pair.startswith("whsk_")
    assert public.startswith("whpk_")
    assert f"client default: receivers verify with {public}\n" in accepted.stdout
    assert seed not in accepted.stdout + accepted.stderr


def test_a_pair_whose_halves_do_not_belong_together_is_a_wrong_configuration(tmp_path: Path) -> None:
    one, other = (
        base64.b64decode(new_pair(bytes([number]) * 32).text.removeprefix("whsk_")) for number in (1, 2)
    )
    crossed = base64.b64encode(one[:32] + other[32:]).decode()
    environ = {
        "RELAY_CAMB_API_KEY": "canary-key",
        "RELAY_SIGNING_SECRETS": f"{SIGNING_SECRET},whsk_{crossed}",
    }

    refused = run("check-config", environ=environ, folder=tmp_path)

    assert refused.returncode == 78
    assert "RELAY_SIGNING_SECRETS: item 2 should end in the public key" in refused.stderr
    assert crossed[:32] not in refused.stdout + refused.stderr


WITHOUT_CRYPTOGRAPHY = "import sys; sys.modules['cryptography'] = None; from relay.cli import main; main()"


@pytest.mark.parametrize(
    ("arguments", "exit_code"), [(("check-config",), 78), (("serve",), 78), (("secret", "--ed25519"), 69)]
)
def test_a_pair_without_its_library_is_refused_with_the_extras_name(
    arguments: tuple[str, ...], exit_code: int, tmp_path: Path
) -> None:
    pair = new_pair(bytes(range(32))).text
    environ = {"RELAY_CAMB_API_KEY": "canary-key", "RELAY_SIGNING_SECRETS": pair}

    refused = run(
        *arguments, environ=environ, folder=tmp_path, command=(sys.executable, "-c", WITHOUT_CRYPTOGRAPHY)
    )

    assert refused.returncode == exit_code
    assert "pip install camb-relay[ed25519]" in refused.stderr
    assert pair.removeprefix("whsk_")[:32] not in refused.stdout + refused.stderr


def test_check_config_shows_a_callback_headers_place_and_never_its_value(tmp_path: Path) -> None:
    (tmp_path / "value").write_text("Bearer canary-from-a-file\n")
    (tmp_path / "relay.toml").write_text(
        f"""
        [[clients.default.callback_headers]]
        origin = "https://hooks.test:443"
        name = "Authorization"
        value_file = "{tmp_path / "value"}"
        [[clients.default.callback_headers]]
        origin = "https://hooks.test"
        name = "x-key"
        value = "canary-in-the-file"
        """
    )
    environ = {"RELAY_CAMB_API_KEY": "canary-key", "RELAY_SIGNING_SECRETS": SIGNING_SECRET}

    shown = run("check-config", "--config", "relay.toml", environ=environ, folder=tmp_path)

    assert shown.returncode == 0, shown.stderr
    assert (
        "clients.default.callback_headers = authorization to https://hooks.test, x-key to https://hooks.test"
    ) in shown.stdout
    assert "canary" not in shown.stdout + shown.stderr


def test_check_config_shows_what_holds_and_masks_every_secret(tmp_path: Path) -> None:
    environ = {
        "RELAY_API_TOKENS": TOKEN,
        "RELAY_CAMB_API_KEY": CAMB_KEY,
        "RELAY_SIGNING_SECRETS": SIGNING_SECRET,
        "RELAY_DATABASE__URL": "postgresql://relay:canary-password@db.invalid:5432/relay",
        "RELAY_DELIVERY__DEADLINE": "PT7S",
    }

    shown = run("check-config", environ=environ, folder=tmp_path)

    assert shown.returncode == 0
    assert "delivery.deadline = PT7S" in shown.stdout.splitlines()
    assert "polling.min_pace = PT2S" in shown.stdout.splitlines()
    assert "database.url = postgresql://relay:***@db.invalid:5432/relay" in shown.stdout.splitlines()
    assert "clients.default.camb_api_key = **********" in shown.stdout.splitlines()
    output = shown.stdout + shown.stderr
    assert not any(secret in output for secret in (TOKEN, CAMB_KEY, SIGNING_SECRET, "canary-password"))


def with_clients(neighbours: Neighbours, keys: Mapping[str, str]) -> dict[str, str]:
    environ = {"RELAY_CAMB__BASE_URL": f"{neighbours.simulator_url}/apis"}
    for name, key in keys.items():
        prefix = f"RELAY_CLIENTS__{name.upper()}__"
        environ |= {
            f"{prefix}API_TOKENS": f"token-of-{name}",
            f"{prefix}CAMB_API_KEY": key,
            f"{prefix}SIGNING_SECRETS": SIGNING_SECRET,
        }
    return environ


def test_check_config_online_says_that_the_key_works(neighbours: Neighbours, tmp_path: Path) -> None:
    environ = with_clients(neighbours, {"shop": CAMB_KEY})

    checked = run("check-config", "--online", environ=environ, folder=tmp_path)

    assert checked.returncode == 0
    assert "client shop: the CAMB key works" in checked.stdout.splitlines()


async def test_check_config_online_says_which_key_does_not_work(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    nobody = unused_port()
    environ = with_clients(neighbours, {"shop": CAMB_KEY, "stale": "refused-key", "astray": CAMB_KEY})
    environ["RELAY_CLIENTS__ASTRAY__CAMB_BASE_URL"] = f"http://127.0.0.1:{nobody}/apis"

    checked = run("check-config", "--online", environ=environ, folder=tmp_path)

    assert checked.returncode == exits.FAILED
    lines = checked.stdout.splitlines()
    assert "client shop: the CAMB key works" in lines
    assert "client stale: CAMB refuses the key" in lines
    assert "client astray: no verdict, CAMB did not answer as expected: unreachable" in lines
    assert "refused-key" not in checked.stdout + checked.stderr


async def test_one_process_at_a_time_works_on_an_sqlite_file(neighbours: Neighbours, tmp_path: Path) -> None:
    environ = environment(neighbours, sqlite_url(tmp_path))

    async with serving(environ, tmp_path) as first:
        refused = [run(command, environ=environ, folder=tmp_path) for command in ("serve", "migrate")]
        registration = await first.register("success-first-goes-on", neighbours.hook("ok"))
        await first.reaches(registration, "delivered")

    assert [each.returncode for each in refused] == [exits.UNAVAILABLE, exits.UNAVAILABLE]
    assert all("another process works on this database" in each.stderr for each in refused)
    assert not any("Traceback" in each.stderr for each in refused)


async def test_a_port_that_is_taken_is_a_configuration_to_change(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    async with serving(environment(neighbours, sqlite_url(tmp_path)), tmp_path) as first:
        port = str(httpx.URL(first.url).port)
        other = environment(neighbours, f"sqlite:///{tmp_path / 'other.db'}", SERVER__PORT=port)

        refused = run("serve", environ=other, folder=tmp_path)

    assert refused.returncode == exits.CONFIGURATION
    assert "server.port" in refused.stderr
    assert "Traceback" not in refused.stderr


async def test_the_health_check_says_whether_somebody_is_there(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    environ = environment(neighbours, sqlite_url(tmp_path), SERVER__PORT=str(unused_port()))

    nobody = run("healthcheck", environ=environ, folder=tmp_path)
    async with serving(environ, tmp_path):
        alive = run("healthcheck", environ=environ, folder=tmp_path)
        ready = run("healthcheck", "--ready", environ=environ, folder=tmp_path)

    assert nobody.returncode == exits.FAILED
    assert "no answer on port" in nobody.stderr
    assert (alive.returncode, ready.returncode) == (0, 0)
    assert '"status":"ok"' in ready.stdout


async def test_the_operations_port_takes_health_and_metrics_away_from_the_api(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    port = unused_port()
    environ = environment(neighbours, sqlite_url(tmp_path), SERVER__OPERATIONS_PORT=str(port))

    async with serving(environ, tmp_path, operations_url=f"http://127.0.0.1:{port}") as relay:
        answers = [
            (await relay.api.get(f"http://127.0.0.1:{port}{path}")).status_code
            for path in ("/livez", "/readyz", "/metrics", "/v1/registrations")
        ]
        moved = [(await relay.api.get(path)).status_code for path in ("/livez", "/readyz", "/metrics")]
        checked = run("healthcheck", "--ready", environ=environ, folder=tmp_path)

    assert answers == [200, 200, 200, 404]
    assert moved == [404, 404, 404]
    assert checked.returncode == 0


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_migrating_again_changes_nothing(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = sqlite_url(tmp_path)
    if database == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        url = server.url_for(server.create_database())
    environ = {"RELAY_DATABASE__URL": url}

    first = run("migrate", environ=environ, folder=tmp_path)
    again = run("migrate", environ=environ, folder=tmp_path)

    assert (first.returncode, again.returncode) == (0, 0)
    assert "was empty" in first.stdout
    assert "nothing to do" in again.stdout
    assert first.stdout.split(",")[0] == again.stdout.split(",")[0]


@pytest.mark.postgres
def test_serve_refuses_a_postgresql_without_the_schema_and_names_the_command(
    neighbours: Neighbours, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    url = postgres_server.url_for(postgres_server.create_database())

    refused = run("serve", environ=environment(neighbours, url), folder=tmp_path)

    assert refused.returncode == exits.UNAVAILABLE
    assert "`relay migrate`" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("command", ["serve", "migrate"])
async def test_a_database_that_does_not_answer_exits_with_69_and_keeps_its_password(
    neighbours: Neighbours, tmp_path: Path, command: str
) -> None:
    url = f"postgresql://relay:canary-password@127.0.0.1:{unused_port()}/relay"

    refused = run(command, environ=environment(neighbours, url), folder=tmp_path)

    assert refused.returncode == exits.UNAVAILABLE
    assert "database" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "canary-password" not in refused.stdout + refused.stderr


async def test_the_simulator_command_serves_whoever_wants_to_try_an_application() -> None:
    with served("relay", "simulator", "--port", "0", "--key", CAMB_KEY, "--submitted", "error") as simulator:
        async with official_sdk(simulator.url, api_key=CAMB_KEY) as sdk:
            submitted = await sdk.text_to_audio.create_text_to_audio(prompt="rain")
            assert submitted.task_id is not None
            status = await sdk.text_to_audio.get_text_to_audio_status(submitted.task_id)
        exit_code = simulator.stop()

    assert status.status == "ERROR"
    assert exit_code == 0


def test_the_simulator_lists_its_behaviours(tmp_path: Path) -> None:
    printed = run("simulator", "--behaviours", environ={}, folder=tmp_path)

    assert printed.returncode == 0
    assert "late-404" in printed.stdout
