import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from relay.settings import ClientSettings, ConfigurationError, Settings, load_settings
from relay.settings.callback_headers import CallbackHeaderSettings
from relay.settings.names import KeyPath, dotted, settings_in
from relay.settings.values import duration_text

CONFIG = Path(__file__).parent.parent / "config"
REFERENCE = (CONFIG / "relay.toml").read_text()
SETTINGS = dict(settings_in(Settings))
EVERY_SETTING = (
    SETTINGS
    | {("clients", "shop", key): field for key, field in ClientSettings.model_fields.items()}
    | {
        ("clients", "shop", "callback_headers", key): field
        for key, field in CallbackHeaderSettings.model_fields.items()
    }
)
SWITCHED_OFF = re.compile(r"^#(?=[a-z\[])", re.MULTILINE)


def comments_in(text: str) -> dict[str, str]:
    """The words right above each key, by its dotted path; a table's keys may be switched off."""
    found: dict[str, str] = {}
    table = ""
    words: list[str] = []
    for line in text.splitlines():
        if line.startswith("# "):
            words.append(line.removeprefix("# "))
            continue
        if heading := re.fullmatch(r"#?\[\[(.+)\]\]", line):
            found[heading[1]] = " ".join(words)
            table = f"{heading[1]}."
        elif heading := re.fullmatch(r"#?\[(.+)\]", line):
            table = f"{heading[1]}."
        elif setting := re.match(r"#?([a-z_]+) = ", line):
            found[table + setting[1]] = " ".join(words)
        words = []
    return found


def ends_of(field: FieldInfo) -> list[object]:
    """Every lower and upper bound of a setting, those of its items included."""
    metadata = list(field.metadata)
    pending = [field.annotation]
    while pending:
        annotation = pending.pop()
        metadata += getattr(annotation, "__metadata__", ())
        pending += get_args(annotation)
    constraints = [each for item in metadata for each in getattr(item, "metadata", [item])]
    ends = [getattr(each, name, None) for each in constraints for name in ("ge", "le")]
    return [end for end in ends if end is not None]


def written(bound: object) -> str:
    if isinstance(bound, timedelta):
        return duration_text(bound)
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


def load(path: Path, environ: dict[str, str] | None = None) -> Settings:
    return load_settings(config=path, secrets_dir=None, environ=environ or {}, cwd=path.parent)


def test_the_reference_file_changes_nothing() -> None:
    settings = load(CONFIG / "relay.toml")

    assert settings == Settings()


@pytest.mark.parametrize("path", EVERY_SETTING, ids=dotted)
def test_the_reference_file_explains_every_setting_in_the_words_of_the_class(path: KeyPath) -> None:
    comments = comments_in(REFERENCE)

    assert comments[dotted(path)] == EVERY_SETTING[path].description


@pytest.mark.parametrize("path", SETTINGS, ids=dotted)
def test_the_reference_file_holds_every_setting_that_has_a_default(path: KeyPath) -> None:
    node: object = tomllib.loads(REFERENCE)

    for key in path:
        node = node.get(key) if isinstance(node, dict) else None

    assert (node is None) == (SETTINGS[path].default is None)


def test_the_reference_file_knows_no_setting_that_the_class_does_not() -> None:
    assert set(comments_in(REFERENCE)) == set(map(dotted, EVERY_SETTING))


def test_what_the_reference_file_switches_off_is_right_but_for_the_secrets(tmp_path: Path) -> None:
    everything = tmp_path / "relay.toml"
    everything.write_text(SWITCHED_OFF.sub("", REFERENCE))

    with pytest.raises(ConfigurationError) as refusal:
        load(everything)

    assert [problem.partition(" in ")[0] for problem in refusal.value.problems] == [
        "clients.shop.api_tokens",
        "clients.shop.signing_secrets",
        "clients.shop.callback_headers",
    ]


@pytest.mark.parametrize("path", EVERY_SETTING, ids=dotted)
def test_a_description_states_both_ends_of_the_range(path: KeyPath) -> None:
    description = EVERY_SETTING[path].description or ""

    missing = [written(end) for end in ends_of(EVERY_SETTING[path]) if written(end) not in description]

    assert missing == []


def test_every_table_is_frozen_and_refuses_what_it_does_not_know() -> None:
    models: list[type[BaseModel]] = [Settings, ClientSettings, CallbackHeaderSettings]
    models += [type(value) for value in vars(Settings()).values() if isinstance(value, BaseModel)]

    assert all(model.model_config["frozen"] and model.model_config["extra"] == "forbid" for model in models)


def test_the_development_file_serves_a_loopback_callback_without_tls_and_stays_on_this_machine() -> None:
    settings = load(CONFIG / "development.toml")

    assert settings.missing_for_serving() == ()
    assert settings.server.host == "127.0.0.1"
    assert settings.camb.base_url == "http://127.0.0.1:8081/apis"
    assert settings.database.file == Path("relay-dev.db")
    assert settings.callbacks.allow_networks == ("loopback",)
    assert settings.callbacks.allow_http == "allowed-networks"
    assert list(settings.clients_by_name()) == ["development"]


def variables_in(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if line and not line.startswith("# "))
    return {name.removeprefix("#"): value for name, _, value in pairs}


def test_the_example_of_variables_says_what_to_fill_in(tmp_path: Path) -> None:
    untouched = {
        name: value
        for name, value in variables_in((CONFIG / "relay.env.example").read_text()).items()
        if not value
    }

    settings = load_settings(config=None, secrets_dir=None, environ=untouched, cwd=tmp_path)

    assert set(untouched) == {"RELAY_API_TOKENS", "RELAY_CAMB_API_KEY", "RELAY_SIGNING_SECRETS"}
    assert [message.split()[0] for message in settings.missing_for_serving()] == [
        "RELAY_CAMB_API_KEY",
        "RELAY_SIGNING_SECRETS",
    ]


def test_every_variable_of_the_example_is_known_and_right(tmp_path: Path) -> None:
    example = variables_in((CONFIG / "relay.env.example").read_text())
    filled = {name: value for name, value in example.items() if value} | {
        "RELAY_API_TOKENS": "a-token-of-a-client"
    }

    settings = load_settings(config=None, secrets_dir=None, environ=filled, cwd=tmp_path)

    assert settings.server.host == "0.0.0.0"  # noqa: S104 - what the example says for a container
    assert settings.database.dialect == "postgresql"
    assert settings.callbacks.allow_networks == ("10.0.0.0/8",)
