import base64
import hashlib
import logging
import traceback
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from relay.domain.clients import token_digest
from relay.domain.keys import SharedSecret
from relay.settings import ConfigurationError, DatabaseSettings, ServerSettings, Settings, load_settings

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
TOKEN = "a-token-of-a-client"
CLIENT_NAME_RULE = (
    "a client's name should be 1 to 32 of a-z, 0-9 and _, first a letter, without two _ in a row"
)
WHOLE = {"RELAY_API_TOKENS": TOKEN, "RELAY_CAMB_API_KEY": "a-camb-key", "RELAY_SIGNING_SECRETS": SECRET}


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    folder = tmp_path / "cwd"
    folder.mkdir()
    return folder


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def load(
    cwd: Path,
    environ: Mapping[str, str] | None = None,
    *,
    file: str | None = None,
    secrets: Path | None = None,
) -> Settings:
    config = None if file is None else written(cwd / "given.toml", file)
    return load_settings(config=config, secrets_dir=secrets, environ=environ or {}, cwd=cwd)


def problems(
    cwd: Path,
    environ: Mapping[str, str] | None = None,
    *,
    file: str | None = None,
    secrets: Path | None = None,
) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as refusal:
        load(cwd, environ, file=file, secrets=secrets)
    return refusal.value.problems


class TestPlaces:
    def test_with_nothing_given_the_defaults_hold(self, cwd: Path) -> None:
        assert load(cwd) == Settings()

    def test_later_places_win(self, cwd: Path, tmp_path: Path) -> None:
        secrets = tmp_path / "secrets"
        written(secrets / "RELAY_CAMB__CONCURRENCY", "3\n")
        written(secrets / "RELAY_CAMB__ANSWER_BYTES", "3000\n")
        environ = {"RELAY_CAMB__ANSWER_BYTES": "4000"}
        file = "[camb]\nrate_per_second = 2\nconcurrency = 2\nanswer_bytes = 2000\n"

        settings = load(cwd, environ, file=file, secrets=secrets)

        assert settings.camb.deadline == timedelta(seconds=10)
        assert settings.camb.rate_per_second == 2
        assert settings.camb.concurrency == 3
        assert settings.camb.answer_bytes == 4000

    def test_a_client_may_be_spread_over_the_places(self, cwd: Path, tmp_path: Path) -> None:
        secrets = tmp_path / "secrets"
        written(secrets / "RELAY_CLIENTS__SHOP__SIGNING_SECRETS", SECRET)
        environ = {"RELAY_CLIENTS__SHOP__CAMB_API_KEY": "a-camb-key"}

        settings = load(cwd, environ, file=f'[clients.shop]\napi_tokens = ["{TOKEN}"]\n', secrets=secrets)

        assert settings.missing_for_serving() == ()
        assert list(settings.clients_by_name()) == ["shop"]

    def test_a_named_file_wins_over_the_variable_and_the_variable_over_the_usual_place(
        self, cwd: Path
    ) -> None:
        written(cwd / "config" / "relay.toml", "[server]\nport = 1001\n")
        written(cwd / "other.toml", "[server]\nport = 1002\n")

        usual = load(cwd)
        by_variable = load(cwd, {"RELAY_CONFIG": "other.toml"})
        by_name = load(cwd, {"RELAY_CONFIG": "other.toml"}, file="[server]\nport = 1003\n")

        assert [usual.server.port, by_variable.server.port, by_name.server.port] == [1001, 1002, 1003]

    def test_a_named_secrets_folder_wins_over_the_variable(self, cwd: Path) -> None:
        written(cwd / "one" / "RELAY_SERVER__PORT", "1001")
        written(cwd / "two" / "RELAY_SERVER__PORT", "1002")

        by_variable = load(cwd, {"RELAY_SECRETS_DIR": "one"})
        by_name = load(cwd, {"RELAY_SECRETS_DIR": "one"}, secrets=Path("two"))

        assert [by_variable.server.port, by_name.server.port] == [1001, 1002]

    def test_settings_built_by_hand_ignore_the_process_environment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SERVER", '{"port": 1}')
        monkeypatch.setenv("role", "worker")

        assert Settings().server.port == 8080
        assert Settings().role == "all"

    def test_a_wrong_value_that_a_later_place_replaces_does_no_harm(self, cwd: Path) -> None:
        settings = load(cwd, {"RELAY_SERVER__PORT": "9000"}, file="[server]\nport = 70000\n")

        assert settings.server.port == 9000


class TestSecretsFolder:
    def test_a_mounted_kubernetes_secret_is_read_through_its_links(self, cwd: Path, tmp_path: Path) -> None:
        mounted = tmp_path / "mounted"
        for name, value in WHOLE.items():
            written(mounted / "..2026_11_23" / name, value + "\n")
        (mounted / "..data").symlink_to("..2026_11_23")
        for name in WHOLE:
            (mounted / name).symlink_to(Path("..data") / name)
        written(mounted / ".hidden", "anything")
        written(mounted / "tls.crt", "anything")

        settings = load(cwd, secrets=mounted)

        assert settings.missing_for_serving() == ()
        assert settings.clients["default"].api_tokens[0].get_secret_value() == TOKEN

    def test_an_unknown_file_of_our_prefix_is_refused(self, cwd: Path, tmp_path: Path) -> None:
        written(tmp_path / "RELAY_API_TOKEN", TOKEN)

        assert problems(cwd, secrets=tmp_path) == (
            f"RELAY_API_TOKEN in {tmp_path}: unknown variable; did you mean RELAY_API_TOKENS?",
        )

    def test_every_file_that_cannot_be_read_is_named(self, cwd: Path, tmp_path: Path) -> None:
        folder = tmp_path / "secrets"
        (folder / "RELAY_API_TOKENS").mkdir(parents=True)
        (folder / "RELAY_CAMB_API_KEY").write_bytes(b"\xff\xfe")
        (folder / "RELAY_SIGNING_SECRETS").symlink_to("nowhere")

        found = problems(cwd, secrets=folder)

        assert found == (
            f"{folder}/RELAY_API_TOKENS: cannot be read: Is a directory",
            f"{folder}/RELAY_CAMB_API_KEY: is not UTF-8 text",
            f"{folder}/RELAY_SIGNING_SECRETS: cannot be read: No such file or directory",
        )

    def test_a_folder_that_is_not_there_is_refused(self, cwd: Path) -> None:
        (found,) = problems(cwd, secrets=Path("absent"))

        assert found.startswith(f"{cwd}/absent: there is no such folder")


class TestFile:
    def test_a_file_that_was_named_must_be_there(self, cwd: Path) -> None:
        (found,) = problems(cwd, {"RELAY_CONFIG": "absent.toml"})

        assert found.startswith(f"{cwd}/absent.toml: there is no such file")

    def test_a_file_that_is_no_toml_is_refused_with_its_line(self, cwd: Path) -> None:
        (found,) = problems(cwd, file='[server]\nhost = "a" b\n')

        assert found.startswith(f"{cwd}/given.toml: is not TOML")
        assert "line 2" in found

    def test_a_file_that_is_not_text_is_refused(self, cwd: Path) -> None:
        config = cwd / "binary.toml"
        config.write_bytes(b"\xff\xfe")

        assert problems(cwd, {"RELAY_CONFIG": "binary.toml"}) == (f"{config}: is not UTF-8 text",)

    def test_an_unreadable_file_brings_no_second_complaint_about_what_it_may_have_said(
        self, cwd: Path
    ) -> None:
        environ = {"RELAY_CAMB_API_KEY": "a-camb-key", "RELAY_SERVER__HOST": "relay.internal"}

        found = problems(cwd, environ, file="[clients.default")

        assert len(found) == 1


TYPES = [
    ("RELAY_ROLE", "all", "role", "all"),
    ("RELAY_SERVER__HOST", "::1", "server.host", "::1"),
    ("RELAY_SERVER__HOST", "localhost", "server.host", "localhost"),
    ("RELAY_SERVER__PORT", "0", "server.port", 0),
    ("RELAY_SERVER__OPERATIONS_PORT", "9090", "server.operations_port", 9090),
    ("RELAY_SERVER__OPERATIONS_PORT", "", "server.operations_port", None),
    ("RELAY_SERVER__DRAIN", "PT1M30S", "server.drain", timedelta(seconds=90)),
    ("RELAY_DATABASE__MIGRATE_AT_START", "true", "database.migrate_at_start", True),
    ("RELAY_CAMB__BASE_URL", "http://127.0.0.1:8081/apis/", "camb.base_url", "http://127.0.0.1:8081/apis"),
    ("RELAY_CAMB__RATE_PER_SECOND", "0.5", "camb.rate_per_second", 0.5),
    ("RELAY_POLLING__TICK", "PT0.25S", "polling.tick", timedelta(milliseconds=250)),
    ("RELAY_POLLING__SLOW_KINDS", " dub , tts ", "polling.slow_kinds", ("dub", "tts")),
    ("RELAY_POLLING__SLOW_KINDS", "", "polling.slow_kinds", ()),
    (
        "RELAY_DELIVERY__RETRY_SCHEDULE",
        "PT5S,PT5M,P1W,P1DT2H",
        "delivery.retry_schedule",
        (timedelta(seconds=5), timedelta(minutes=5), timedelta(days=7), timedelta(hours=26)),
    ),
    (
        "RELAY_CALLBACKS__ALLOW_NETWORKS",
        "10.1.0.0/16,192.0.2.7,fd00::/8,loopback,private",
        "callbacks.allow_networks",
        ("10.1.0.0/16", "192.0.2.7/32", "fd00::/8", "loopback", "private"),
    ),
    (
        "RELAY_CALLBACKS__ALLOW_HOSTS",
        "hooks.example.com, *.example.org,192.0.2.7",
        "callbacks.allow_hosts",
        ("hooks.example.com", "*.example.org", "192.0.2.7"),
    ),
    ("RELAY_CALLBACKS__DENY_HOSTS", "2001:db8::/32", "callbacks.deny_hosts", ("2001:db8::/32",)),
    ("RELAY_CALLBACKS__ALLOW_HTTP", "allowed-networks", "callbacks.allow_http", "allowed-networks"),
    ("RELAY_RETENTION__DEAD", "P365D", "retention.dead", timedelta(days=365)),
    ("RELAY_LOGGING__LEVEL", "debug", "logging.level", "debug"),
]


@pytest.mark.parametrize(("variable", "text", "setting", "value"), TYPES)
def test_every_type_can_be_set_from_the_environment(
    cwd: Path, variable: str, text: str, setting: str, value: object
) -> None:
    found: object = load(cwd, {variable: text})

    for key in setting.split("."):
        found = getattr(found, key)

    assert found == value


UNKNOWN_VARIABLES = [
    ("RELAY_API_TOKEN", "RELAY_API_TOKENS"),
    ("RELAY_CAMB__API_KEY", "RELAY_CAMB_API_KEY"),
    ("RELAY_SIGNING_SECRET", "RELAY_SIGNING_SECRETS"),
    ("RELAY_DATABASE_URL", "RELAY_DATABASE__URL"),
    ("RELAY_DELIVERY__DEADLNE", "RELAY_DELIVERY__DEADLINE"),
    ("RELAY_LOG_LEVEL", "RELAY_LOGGING__LEVEL"),
    ("RELAY_PORT", "RELAY_SERVER__PORT"),
    ("RELAY_SERVER_PORT", "RELAY_SERVER__PORT"),
    ("RELAY_server__port", "RELAY_SERVER__PORT"),
    ("RELAY_CONFIGS", "RELAY_CONFIG"),
    ("RELAY_CLIENTS__SHOP__API_TOKEN", "RELAY_CLIENTS__SHOP__API_TOKENS"),
    ("RELAY_CLIENTS__SHOP__CAMB_KEY", "RELAY_CLIENTS__SHOP__CAMB_API_KEY"),
]


@pytest.mark.parametrize(("variable", "near"), UNKNOWN_VARIABLES)
def test_an_unknown_variable_is_refused_with_the_nearest_known_name(
    cwd: Path, variable: str, near: str
) -> None:
    assert problems(cwd, {variable: "8080"}) == (f"{variable}: unknown variable; did you mean {near}?",)


def test_a_variable_like_no_other_is_refused_without_a_guess(cwd: Path) -> None:
    assert problems(cwd, {"RELAY_ZZZZZZZZZZZZZZZ": "1"}) == ("RELAY_ZZZZZZZZZZZZZZZ: unknown variable",)


UNKNOWN_KEYS = [
    ('rolle = "all"', "rolle", "role"),
    ("[delivry]\ndeadline = 1", "delivry", "delivery"),
    ("[polling]\ntik = 1", "polling.tik", "polling.tick"),
    ("[server]\ndeadlines = 1", "server.deadlines", "delivery.deadline"),
    ('api_tokens = ["x"]', "api_tokens", "clients.default.api_tokens"),
    ("port = 1", "port", "server.port"),
    ('[clients.shop]\ncamb_key = "x"', "clients.shop.camb_key", "clients.shop.camb_api_key"),
]


@pytest.mark.parametrize(("file", "key", "near"), UNKNOWN_KEYS)
def test_an_unknown_key_of_the_file_is_refused_with_the_nearest_known_name(
    cwd: Path, file: str, key: str, near: str
) -> None:
    expected = f"{key} in {cwd}/given.toml: unknown setting; did you mean {near}?"

    assert problems(cwd, file=file) == (expected,)


def test_a_key_like_no_other_is_refused_without_a_guess(cwd: Path) -> None:
    assert problems(cwd, file="zzzzzzzzz = 1") == (f"zzzzzzzzz in {cwd}/given.toml: unknown setting",)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RELAY_SERVICE_HOST", "10.0.0.1"),
        ("RELAY_SERVICE_PORT", "8080"),
        ("RELAY_SERVICE_PORT_HTTP", "8080"),
        ("RELAY_PORT", "tcp://10.0.0.1:8080"),
        ("RELAY_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("RELAY_PORT_8080_TCP_PROTO", "tcp"),
        ("RELAY_PORT_8080_TCP_PORT", "8080"),
        ("RELAY_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("RELAY_API_SERVICE_HOST", "10.0.0.1"),
        ("RELAY_MY_RELAY_SERVICE_PORT_OPERATIONS", "9090"),
        ("RELAY_API_PORT", "tcp://10.0.0.1:80"),
        ("RELAY_POSTGRESQL_PORT_5432_TCP_ADDR", "10.0.0.1"),
        ("RELAY_URL", "http://127.0.0.1:8080"),
        ("RELAY_TOKEN", TOKEN),
        ("RELAY_PROFILE", "staging"),
        ("RELAYED", "1"),
        ("relay_server__port", "1"),
    ],
)
def test_service_links_and_the_command_lines_own_variables_are_ignored(
    cwd: Path, variable: str, value: str
) -> None:
    assert load(cwd, {variable: value}) == Settings()


WRONG_VALUES = [
    ("RELAY_ROLE", "both"),
    ("RELAY_SERVER__HOST", ""),
    ("RELAY_SERVER__HOST", "[::1]"),
    ("RELAY_SERVER__HOST", "a host"),
    ("RELAY_SERVER__PORT", "65536"),
    ("RELAY_SERVER__PORT", "-1"),
    ("RELAY_SERVER__PORT", "http"),
    ("RELAY_SERVER__OPERATIONS_PORT", "65536"),
    ("RELAY_SERVER__DRAIN", "PT0.5S"),
    ("RELAY_SERVER__DRAIN", "PT11M"),
    ("RELAY_SERVER__DRAIN", "20"),
    ("RELAY_SERVER__DRAIN", "00:00:20"),
    ("RELAY_SERVER__DRAIN", "P"),
    ("RELAY_SERVER__DRAIN", "PT"),
    ("RELAY_SERVER__DRAIN", "P5M"),
    ("RELAY_SERVER__DRAIN", "-PT20S"),
    ("RELAY_SERVER__DRAIN", ""),
    ("RELAY_DATABASE__URL", "relay.db"),
    ("RELAY_DATABASE__URL", "sqlite://"),
    ("RELAY_DATABASE__URL", "sqlite:///"),
    ("RELAY_DATABASE__URL", "sqlite:///:memory:"),
    ("RELAY_DATABASE__URL", "sqlite:///data/"),
    ("RELAY_DATABASE__URL", "sqlite:///relay.db?mode=memory"),
    ("RELAY_DATABASE__URL", "mysql://relay@db/relay"),
    ("RELAY_DATABASE__URL", "postgresql://relay@db"),
    ("RELAY_DATABASE__URL", "postgresql://relay@db:0/relay"),
    ("RELAY_DATABASE__URL", "postgresql://relay@[db/relay"),
    ("RELAY_DATABASE__URL", "postgresql://relay:pass/word@db/relay"),
    ("RELAY_DATABASE__URL", "postgresql://relay:pass?word@db/relay"),
    ("RELAY_DATABASE__URL", "postgresql://relay:pass#word@db/relay"),
    ("RELAY_DATABASE__URL", "postgresql://relay:pass@word@db/relay"),
    ("RELAY_DATABASE__URL", "postgresql://relay@db/relay?sslmode=please"),
    ("RELAY_DATABASE__URL", "postgresql://relay@db/relay?password=word"),
    ("RELAY_DATABASE__URL", "postgresql://relay@db/relay?sslmode=require&sslmode=disable"),
    ("RELAY_DATABASE__URL", "postgresql://relay@db/relay?sslmode=require&sslpassword=word"),
    ("RELAY_DATABASE__URL", "postgresql://relay@db/relay?sslmode=require&sslrootcert="),
    ("RELAY_DATABASE__URL", "postgresql://relay@db/relay?sslmode=require&sslrootcert=%00"),
    ("RELAY_DATABASE__URL", "postgresql://relay@db/relay?sslmode=require&sslrootcert=system"),
    ("RELAY_DATABASE__URL", "postgresql://relay@db/relay?sslmode=require&sslkey=/tls/key.pem"),
    ("RELAY_DATABASE__URL", "postgresql://relay@db/relay?sslmode=prefer&sslrootcert=/tls/ca.pem"),
    ("RELAY_DATABASE__URL", "postgresql://relay@db/relay?sslrootcert=/tls/ca.pem"),
    ("RELAY_DATABASE__URL", "postgresql://relay@db/relay?sslmode=verify-full"),
    ("RELAY_DATABASE__POOL_SIZE", "1"),
    ("RELAY_CAMB__BASE_URL", "client.camb.ai/apis"),
    ("RELAY_CAMB__BASE_URL", "ftp://client.camb.ai"),
    ("RELAY_CAMB__BASE_URL", "https:///apis"),
    ("RELAY_CAMB__BASE_URL", "https://user:word@client.camb.ai"),
    ("RELAY_CAMB__BASE_URL", "https://client.camb.ai/apis?"),
    ("RELAY_CAMB__BASE_URL", "https://client.camb.ai/apis#top"),
    ("RELAY_CAMB__BASE_URL", "https://client.camb.ai/a pis"),
    ("RELAY_CAMB__RATE_PER_SECOND", "0"),
    ("RELAY_CAMB__RATE_PER_SECOND", "nan"),
    ("RELAY_CAMB__CONCURRENCY", "0"),
    ("RELAY_POLLING__SLOW_KINDS", "dub,dubbing"),
    ("RELAY_POLLING__JITTER", "0.6"),
    ("RELAY_DELIVERY__RETRY_SCHEDULE", ""),
    ("RELAY_DELIVERY__RETRY_SCHEDULE", "PT5S,,PT5M"),
    ("RELAY_DELIVERY__RETRY_SCHEDULE", "PT5S,P31D"),
    ("RELAY_CALLBACKS__ALLOW_NETWORKS", "10.0.0.1/8"),
    ("RELAY_CALLBACKS__ALLOW_NETWORKS", "intranet"),
    ("RELAY_CALLBACKS__ALLOW_HOSTS", "https://hooks.example.com"),
    ("RELAY_CALLBACKS__ALLOW_HOSTS", "hooks.example.com:443"),
    ("RELAY_CALLBACKS__DENY_HOSTS", "*"),
    ("RELAY_CALLBACKS__DENY_HOSTS", "192.0.2.7/24"),
    ("RELAY_CALLBACKS__ALLOW_HTTP", "sometimes"),
    ("RELAY_REGISTRATIONS__EXPIRES_IN", "PT4S"),
    ("RELAY_REGISTRATIONS__EXPIRES_IN", "P31D"),
    ("RELAY_REGISTRATIONS__EXPIRES_IN", "PT5.5S"),
    ("RELAY_LOGGING__LEVEL", "LOUD"),
    ("RELAY_API_TOKENS", "short"),
    ("RELAY_API_TOKENS", f"{TOKEN},"),
    ("RELAY_API_TOKENS", "a token with spaces"),
    ("RELAY_CAMB_API_KEY", "a key"),
    ("RELAY_CAMB_API_KEY", "a-key\r\nx-header: 1"),
    ("RELAY_SIGNING_SECRETS", "whsec_"),
    ("RELAY_SIGNING_SECRETS", "a-secret-without-its-prefix"),
    ("RELAY_SIGNING_SECRETS", "whsec_not*base64"),
    ("RELAY_SIGNING_SECRETS", "whsec_" + base64.b64encode(bytes(23)).decode()),
    ("RELAY_SIGNING_SECRETS", "whsec_" + base64.b64encode(bytes(65)).decode()),
    ("RELAY_SIGNING_SECRETS", ",".join([SECRET] * 9)),
    ("RELAY_CLIENTS__SHOP__DEFAULT_KIND", "dubbing"),
    ("RELAY_CLIENTS__9SHOP__DEFAULT_KIND", "dub"),
    ("RELAY_CLIENTS__A__B__DEFAULT_KIND", "dub"),
    ("RELAY_CLIENTS__" + "A" * 33 + "__DEFAULT_KIND", "dub"),
]


@pytest.mark.parametrize(("variable", "value"), WRONG_VALUES)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(cwd: Path, variable: str, value: str) -> None:
    (found,) = problems(cwd, {variable: value})

    assert found.startswith(f"{variable}: ")


@pytest.mark.parametrize(
    ("file", "rule"),
    [
        ("server = 5", "server in {file}: should be a table"),
        ("clients = 5", "clients in {file}: should be a table"),
        ("[clients]\nshop = 5", "clients.shop in {file}: should be a table"),
        ('[polling]\nslow_kinds = "dub"', "polling.slow_kinds in {file}: should be a list"),
        ("[camb]\nconcurrency = true", "camb.concurrency in {file}: should not be true or false"),
        (
            "[camb]\ndeadline = 5",
            'camb.deadline in {file}: should be an ISO 8601 duration such as "PT5M" (5 minutes) or "P30D" (30 days)',
        ),
        ('[clients.Shop]\ndefault_kind = "dub"', f"clients.Shop in {{file}}: {CLIENT_NAME_RULE}"),
    ],
)
def test_a_wrong_shape_is_refused_by_the_key_of_the_file(cwd: Path, file: str, rule: str) -> None:
    assert problems(cwd, file=file) == (rule.format(file=cwd / "given.toml"),)


class TestContradictions:
    @pytest.mark.parametrize(
        ("environ", "places", "rule"),
        [
            (
                {"RELAY_DELIVERY__DEADLINE": "PT21S"},
                "RELAY_DELIVERY__DEADLINE",
                "server.drain should not be below delivery.deadline",
            ),
            (
                {"RELAY_SERVER__DRAIN": "PT20S", "RELAY_CAMB__DEADLINE": "PT20.1S"},
                "RELAY_SERVER__DRAIN, RELAY_CAMB__DEADLINE",
                "server.drain should not be below camb.deadline",
            ),
            (
                {"RELAY_POLLING__MAX_PACE": "PT1S"},
                "RELAY_POLLING__MAX_PACE",
                "polling.max_pace should not be below polling.min_pace",
            ),
            (
                {"RELAY_POLLING__SLOW_MAX_PACE": "PT1S"},
                "RELAY_POLLING__SLOW_MAX_PACE",
                "polling.slow_max_pace should not be below polling.min_pace",
            ),
            (
                {"RELAY_DELIVERY__RETRY_AFTER_CEILING": "PT1S"},
                "RELAY_DELIVERY__RETRY_AFTER_CEILING",
                "delivery.retry_after_ceiling should not be below delivery.pause_without_retry_after",
            ),
            ({"RELAY_ROLE": "worker"}, "RELAY_ROLE", "role should be all on SQLite"),
            (
                {"RELAY_SERVER__OPERATIONS_PORT": "8080"},
                "RELAY_SERVER__OPERATIONS_PORT",
                "server.operations_port should differ from server.port",
            ),
            (
                WHOLE | {"RELAY_API_TOKENS": "", "RELAY_SERVER__HOST": "0.0.0.0"},  # noqa: S104 - what is refused
                "RELAY_SERVER__HOST, RELAY_API_TOKENS",
                "server.host should be loopback while client default has no API token: set RELAY_API_TOKENS",
            ),
            (
                {"RELAY_CLIENTS__SHOP__DEFAULT_KIND": "dub", "RELAY_SERVER__HOST": "relay.internal"},
                "RELAY_SERVER__HOST",
                "server.host should be loopback while client shop has no API token",
            ),
            (
                {
                    "RELAY_CLIENTS__A__API_TOKENS": TOKEN,
                    "RELAY_CLIENTS__B__API_TOKENS": f"other-token,{TOKEN}",
                },
                "RELAY_CLIENTS__B__API_TOKENS, RELAY_CLIENTS__A__API_TOKENS",
                "clients.b.api_tokens shares a token with client a",
            ),
            (
                {"RELAY_CLIENTS__A__DEFAULT_KIND": "dub", "RELAY_CLIENTS__B__API_TOKENS": ""},
                "RELAY_CLIENTS__B__API_TOKENS",
                "clients.b.api_tokens is empty, and so is client a's",
            ),
            (
                {
                    "RELAY_CLIENTS__A__API_TOKENS": TOKEN,
                    "RELAY_OPERATOR__API_TOKENS": f"operators-own,{TOKEN}",
                },
                "RELAY_OPERATOR__API_TOKENS, RELAY_CLIENTS__A__API_TOKENS",
                "operator.api_tokens shares a token with client a",
            ),
        ],
    )
    def test_settings_that_contradict_each_other_are_refused(
        self, cwd: Path, environ: dict[str, str], places: str, rule: str
    ) -> None:
        (found,) = problems(cwd, environ)

        assert found.startswith(f"{places}: {rule}")

    def test_a_contradiction_of_settings_that_nobody_set_names_the_setting(self, cwd: Path) -> None:
        environ = {"RELAY_CLIENTS__A__DEFAULT_KIND": "dub", "RELAY_CLIENTS__B__DEFAULT_KIND": "dub"}

        (found,) = problems(cwd, environ)

        assert found.startswith("clients.b.api_tokens is empty, and so is client a's")

    def test_they_are_refused_in_settings_built_by_hand_too(self) -> None:
        with pytest.raises(ValidationError, match=r"server\.drain should not be below delivery\.deadline"):
            Settings(server=ServerSettings(drain=timedelta(seconds=14)))

    @pytest.mark.parametrize(
        "environ",
        [
            {"RELAY_CAMB_API_KEY": "a-camb-key", "RELAY_SERVER__HOST": "127.0.0.2"},
            {"RELAY_CAMB_API_KEY": "a-camb-key", "RELAY_SERVER__HOST": "localhost"},
            {"RELAY_CLIENTS__A__DEFAULT_KIND": "dub", "RELAY_CLIENTS__B__API_TOKENS": TOKEN},
            {
                "RELAY_ROLE": "worker",
                "RELAY_DATABASE__URL": "postgresql://relay@db/relay",
                "RELAY_CAMB_API_KEY": "a-camb-key",
                "RELAY_SERVER__HOST": "0.0.0.0",  # noqa: S104 - a worker serves its health alone
            },
            {"RELAY_SERVER__PORT": "0", "RELAY_SERVER__OPERATIONS_PORT": "0"},
        ],
    )
    def test_what_only_looks_like_a_contradiction_is_accepted(
        self, cwd: Path, environ: dict[str, str]
    ) -> None:
        assert load(cwd, environ) != Settings()

    def test_a_wrong_value_does_not_hide_a_contradiction_elsewhere(self, cwd: Path) -> None:
        environ = {"RELAY_LOGGING__LEVEL": "loud", "RELAY_DELIVERY__DEADLINE": "PT30S"}

        found = problems(cwd, environ)

        assert [problem.partition(":")[0] for problem in found] == [
            "RELAY_LOGGING__LEVEL",
            "RELAY_DELIVERY__DEADLINE",
        ]

    def test_a_wrong_value_makes_no_contradiction_of_its_own(self, cwd: Path) -> None:
        environ = {
            "RELAY_POLLING__MIN_PACE": "PT2M",
            "RELAY_POLLING__MAX_PACE": "5m",
            "RELAY_POLLING__SLOW_MAX_PACE": "PT9M",
        }

        (found,) = problems(cwd, environ)

        assert found.startswith("RELAY_POLLING__MAX_PACE: should be an ISO 8601 duration")


def test_every_problem_of_every_place_is_told_at_once(cwd: Path, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    written(secrets / "RELAY_CAMB_API_KEYS", "a-camb-key")
    written(secrets / "RELAY_SIGNING_SECRETS", "whsec_short")
    environ = {"RELAY_API_TOKEN": TOKEN, "RELAY_DELIVERY__RETRY_SCHEDULE": "PT5S,5,PT"}
    file = "[server]\nport = 70000\n[polling]\ntik = 1\n[clients.shop]\ncamb_api_key = 5\napi_tokens = ['a-token-of-a-shop']\n"

    found = problems(cwd, environ, file=file, secrets=secrets)

    assert [problem.partition(": ")[0] for problem in found] == [
        "RELAY_API_TOKEN",
        f"RELAY_CAMB_API_KEYS in {secrets}",
        f"server.port in {cwd}/given.toml",
        f"polling.tik in {cwd}/given.toml",
        "RELAY_DELIVERY__RETRY_SCHEDULE",
        "RELAY_DELIVERY__RETRY_SCHEDULE",
        f"clients.shop.camb_api_key in {cwd}/given.toml",
        f"RELAY_SIGNING_SECRETS in {secrets}",
    ]


def test_one_setting_under_two_names_in_one_place_is_refused(cwd: Path) -> None:
    (found,) = problems(cwd, {"RELAY_API_TOKENS": TOKEN, "RELAY_CLIENTS__DEFAULT__API_TOKENS": TOKEN})

    assert found == (
        "RELAY_CLIENTS__DEFAULT__API_TOKENS: is the same setting as RELAY_API_TOKENS; keep one of them"
    )


class TestClients:
    def test_the_short_form_makes_the_client_default(self, cwd: Path) -> None:
        client = load(cwd, WHOLE | {"RELAY_API_TOKENS": f"{TOKEN}, second-token"}).clients_by_name()[
            "default"
        ]

        assert client.name == "default"
        assert client.camb_base_url == "https://client.camb.ai/apis"
        assert client.camb_api_key == "a-camb-key"
        assert client.api_token_digests == {
            hashlib.sha256(token).digest() for token in (TOKEN.encode(), b"second-token")
        }
        assert client.signing_keys == (SharedSecret(secret=KEY),)
        assert client.default_kind == "text-to-sound"

    def test_the_first_signing_secret_signs_first(self, cwd: Path) -> None:
        newer = bytes(64)
        secrets = f"whsec_{base64.b64encode(newer).decode()},{SECRET}"

        client = load(cwd, WHOLE | {"RELAY_SIGNING_SECRETS": secrets}).clients_by_name()["default"]

        assert client.signing_keys == (SharedSecret(secret=newer), SharedSecret(secret=KEY))

    def test_each_client_may_have_its_own_camb_and_kind(self, cwd: Path) -> None:
        file = f"""
            [camb]
            base_url = "https://camb.example/apis"
            [clients.shop]
            api_tokens = ["{TOKEN}"]
            camb_api_key = "shop-key"
            camb_base_url = "https://other.example/apis/"
            signing_secrets = ["{SECRET}"]
            default_kind = "dub"
            [clients.studio_]
            camb_api_key = "studio-key"
            signing_secrets = ["{SECRET}"]
        """

        clients = load(cwd, {"RELAY_CLIENTS__STUDIO___DEFAULT_KIND": "tts"}, file=file).clients_by_name()

        assert [(c.name, c.camb_base_url, c.default_kind) for c in clients.values()] == [
            ("shop", "https://other.example/apis", "dub"),
            ("studio_", "https://camb.example/apis", "tts"),
        ]

    def test_without_a_client_serving_lacks_a_key_and_a_signing_secret(self, cwd: Path) -> None:
        key, secret = load(cwd).missing_for_serving()

        assert key.startswith("RELAY_CAMB_API_KEY is not set")
        assert secret.startswith("RELAY_SIGNING_SECRETS is not set")
        assert "`relay secret`" in secret

    def test_what_each_client_lacks_is_named_by_its_own_variable(self, cwd: Path) -> None:
        environ = WHOLE | {"RELAY_CLIENTS__SHOP__API_TOKENS": "other-token"}

        missing = load(cwd, environ).missing_for_serving()

        assert [message.split()[0] for message in missing] == [
            "RELAY_CLIENTS__SHOP__CAMB_API_KEY",
            "RELAY_CLIENTS__SHOP__SIGNING_SECRETS",
        ]

    def test_clients_that_lack_something_cannot_be_had(self, cwd: Path) -> None:
        settings = load(cwd, {"RELAY_API_TOKENS": TOKEN})

        with pytest.raises(ConfigurationError) as refusal:
            settings.clients_by_name()

        assert refusal.value.problems == settings.missing_for_serving()


class TestDatabase:
    @pytest.mark.parametrize(
        ("url", "file"),
        [("sqlite:///relay.db", Path("relay.db")), ("sqlite:////data/relay.db", Path("/data/relay.db"))],
    )
    def test_a_sqlite_url_names_a_relative_or_an_absolute_file(self, cwd: Path, url: str, file: Path) -> None:
        database = load(cwd, {"RELAY_DATABASE__URL": url}).database

        assert (database.dialect, database.file, database.masked_url) == ("sqlite", file, url)

    @pytest.mark.parametrize(
        ("url", "masked"),
        [
            ("postgresql://relay:p%40ss@db:5432/relay", "postgresql://relay:***@db:5432/relay"),
            (
                "postgresql://relay:relay@db/relay?sslmode=require",
                "postgresql://relay:***@db/relay?sslmode=require",
            ),
            ("postgresql://relay@[::1]/relay", "postgresql://relay@[::1]/relay"),
            *(
                (f"postgresql://relay@db/relay?{query}", f"postgresql://relay@db/relay?{query}")
                for query in (
                    "sslmode=verify-full&sslrootcert=system",
                    "sslmode=verify-ca&sslrootcert=/tls/ca.pem&sslcert=/tls/cert.pem&sslkey=/tls/key.pem",
                    "sslmode=require&sslcert=/tls/both.pem",
                )
            ),
        ],
    )
    def test_a_postgresql_url_shows_all_but_its_password(self, cwd: Path, url: str, masked: str) -> None:
        database = load(cwd, {"RELAY_DATABASE__URL": url}).database

        assert (database.dialect, database.file, database.masked_url) == ("postgresql", None, masked)
        assert database.url.get_secret_value() == url


class TestSecrecy:
    CANARY = "canary0canary0canary"

    def test_no_refusal_repeats_a_value(
        self, cwd: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        caplog.set_level(logging.DEBUG)
        secrets = tmp_path / "secrets"
        written(secrets / "RELAY_CLIENTS__SHOP__CAMB_API_KEY", f"{self.CANARY} ")
        written(secrets / "RELAY_SIGNING_SECRET", self.CANARY)
        environ = {
            "RELAY_API_TOKEN": self.CANARY,
            "RELAY_API_TOKENS": f"{self.CANARY},{self.CANARY}!",
            "RELAY_OPERATOR__API_TOKENS": f"{self.CANARY},",
            "RELAY_CONSOLE__ENABLED": self.CANARY,
            "RELAY_CAMB_API_KEY": f"{self.CANARY} ",
            "RELAY_SIGNING_SECRETS": f"whsec_{self.CANARY}*",
            "RELAY_DATABASE__URL": f"postgresql://relay:1/{self.CANARY}@db/relay",
            "RELAY_CAMB__BASE_URL": f"https://{self.CANARY}@client.camb.ai",
            "RELAY_SERVER__PORT": self.CANARY,
            "RELAY_SERVER__DRAIN": self.CANARY,
            "RELAY_LOGGING__LEVEL": self.CANARY,
            "RELAY_CALLBACKS__ALLOW_NETWORKS": self.CANARY,
            "RELAY_CALLBACKS__DENY_HOSTS": f"{self.CANARY}:443",
            "RELAY_POLLING__SLOW_KINDS": self.CANARY,
            "RELAY_POLLING__GROWTH": self.CANARY,
            "RELAY_DATABASE__MIGRATE_AT_START": self.CANARY,
        }
        file = f"""
            polling = "{self.CANARY}"
            [clients.studio]
            api_tokens = "{self.CANARY}"
            camb_api_key = ["{self.CANARY}"]
            signing_secrets = [{{ secret = "{self.CANARY}" }}]
            camb_token = "{self.CANARY}"
            [clients.other]
            api_tokens = ["{self.CANARY}"]
            [clients.another]
            api_tokens = ["{self.CANARY}"]
        """

        with pytest.raises(ConfigurationError) as refusal:
            load(cwd, environ, file=file, secrets=secrets)

        assert len(refusal.value.problems) > len(environ)
        told = (str(refusal.value), repr(refusal.value), *traceback.format_exception(refusal.value))
        assert refusal.value.__cause__ is None
        assert self.CANARY not in "\n".join((*told, caplog.text, *capfd.readouterr()))

    def test_a_file_that_is_no_toml_is_refused_without_its_text(self, cwd: Path) -> None:
        for file in (f"camb_api_key = {self.CANARY}", f'a = "{self.CANARY}', f'a = "b"{self.CANARY}'):
            (found,) = problems(cwd, file=file)

            assert self.CANARY not in found

    def test_nothing_that_describes_the_settings_shows_a_secret(self, cwd: Path) -> None:
        key = base64.b64encode(self.CANARY.encode() * 2).decode()
        environ = {
            "RELAY_API_TOKENS": self.CANARY,
            "RELAY_OPERATOR__API_TOKENS": f"{self.CANARY}-operator",
            "RELAY_CAMB_API_KEY": self.CANARY,
            "RELAY_SIGNING_SECRETS": f"whsec_{key}",
            "RELAY_DATABASE__URL": f"postgresql://relay:{self.CANARY}@db/relay?sslmode=require",
        }

        settings = load(cwd, environ)

        clients = settings.clients_by_name()
        told = [
            repr(settings),
            str(settings),
            settings.model_dump_json(),
            repr(settings.describe()),
            repr(clients),
        ]
        for secret in (
            self.CANARY,
            key,
            repr(self.CANARY.encode()),
            hashlib.sha256(self.CANARY.encode()).hexdigest(),
        ):
            assert secret not in "\n".join(told)

    def test_settings_built_wrong_by_hand_do_not_repeat_the_value(self) -> None:
        with pytest.raises(ValidationError) as refusal:
            DatabaseSettings.model_validate({"url": f"mysql://relay:{self.CANARY}@db/relay"})

        assert self.CANARY not in str(refusal.value)


def test_the_description_lists_every_setting_with_its_value_and_masks_secrets(cwd: Path) -> None:
    environ = WHOLE | {
        "RELAY_API_TOKENS": f"{TOKEN},another-token",
        "RELAY_DATABASE__URL": "postgresql://relay:password@db/relay",
        "RELAY_RETENTION__DEAD": "P400DT1H0.5S",
        "RELAY_POLLING__TICK": "PT0.25S",
    }

    rows = dict(load(cwd, environ).describe())

    assert rows["role"] == "all"
    assert rows["server.operations_port"] == "not set"
    assert rows["server.drain"] == "PT20S"
    assert rows["database.url"] == "postgresql://relay:***@db/relay"
    assert rows["database.migrate_at_start"] == "false"
    assert rows["polling.tick"] == "PT0.25S"
    assert rows["polling.slow_max_pace"] == "PT1M"
    assert rows["delivery.retry_schedule"] == "PT5S, PT5M, PT30M, PT2H, PT5H, PT10H, PT14H, PT20H, P1D"
    assert rows["callbacks.allow_networks"] == "none"
    assert rows["retention.dead"] == "P400DT1H0.5S"
    assert rows["clients.default.api_tokens"] == "**********, **********"
    assert rows["clients.default.camb_api_key"] == "**********"
    assert rows["clients.default.default_kind"] == "text-to-sound"


def test_an_operators_tokens_are_known_by_their_digests_and_no_clients(cwd: Path) -> None:
    settings = load(cwd, WHOLE | {"RELAY_OPERATOR__API_TOKENS": "operators-own,operators-other"})

    assert settings.operator_digests() == {token_digest("operators-own"), token_digest("operators-other")}
    assert dict(settings.describe())["operator.api_tokens"] == "**********, **********"
    assert not settings.operator_digests() & settings.clients_by_name()["default"].api_token_digests


def test_the_console_is_on_until_somebody_switches_it_off(cwd: Path) -> None:
    assert load(cwd).console.enabled
    assert not load(cwd, {"RELAY_CONSOLE__ENABLED": "false"}).console.enabled


def test_settings_cannot_be_changed(cwd: Path) -> None:
    settings = load(cwd)

    with pytest.raises(ValidationError):
        settings.server.port = 1  # type: ignore[misc]  # a frozen model, as mypy knows
