"""Read the configuration from its four places, and say everything that is wrong with it at once."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import InitSettingsSource

from relay.settings.errors import ConfigurationError
from relay.settings.layers import Layer, read_environment, read_file, read_secrets
from relay.settings.model import CONTRADICTORY, Contradiction, Settings
from relay.settings.names import KeyPath, Names, dotted

DEFAULT_FILE: Final = Path("config") / "relay.toml"


def load_settings(
    *, config: Path | None, secrets_dir: Path | None, environ: Mapping[str, str], cwd: Path
) -> Settings:
    """Later wins: defaults, file, secrets folder, environment. Raises ConfigurationError with every problem.

    Without `config` it is RELAY_CONFIG, else `config/relay.toml` if there is one; without `secrets_dir` it is
    RELAY_SECRETS_DIR. Relative paths start from `cwd`.
    """
    names = Names(Settings)
    layers = [read_environment(environ, names)]
    folder = secrets_dir or _path(environ.get("RELAY_SECRETS_DIR"))
    if folder is not None:
        layers.append(read_secrets(cwd / folder, names))
    file = config or _path(environ.get("RELAY_CONFIG"))
    if file is not None or (cwd / DEFAULT_FILE).exists():
        layers.append(read_file(cwd / (file or DEFAULT_FILE)))
    problems = [problem for layer in layers for problem in layer.problems]
    try:
        settings = _built(layers)
    except ValidationError as exc:
        problems += _explained(exc, layers, names)
    else:
        if not problems:
            return settings
    # Not chained: a ValidationError still holds what it was given.
    raise ConfigurationError(tuple(problems)) from None


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _built(layers: list[Layer]) -> Settings:
    return Settings(_build_sources=(tuple(InitSettingsSource(Settings, layer.tree) for layer in layers), {}))


def _explained(error: ValidationError, layers: list[Layer], names: Names) -> Iterator[str]:
    """Contradictions show only once each value is right alone: the wrong ones are out for a second look."""
    wrong: set[KeyPath] = set()
    for detail in error.errors(include_url=False, include_input=False):
        if detail["type"] != CONTRADICTORY:
            path = _path_in(detail)
            wrong.add(path)
            yield f"{_place(path, layers) or dotted(path)}: {_rule(detail, path, names)}"
    for contradiction in _contradictions([layer.without(wrong) for layer in layers]):
        if not wrong.intersection(contradiction.paths):
            places = [place for path in contradiction.paths if (place := _place(path, layers)) is not None]
            yield f"{', '.join(places)}: {dotted(contradiction.paths[0])} {contradiction.rule}"


def _contradictions(layers: list[Layer]) -> tuple[Contradiction, ...]:
    if any(layer.unread for layer in layers):
        return ()
    try:
        _built(layers)
    except ValidationError as exc:
        for detail in exc.errors(include_url=False, include_input=False):
            if detail["type"] == CONTRADICTORY:
                found: tuple[Contradiction, ...] = detail["ctx"]["found"]
                return found
    return ()


def _path_in(detail: ErrorDetails) -> KeyPath:
    """The setting at fault: a list's item counts as the list."""
    path: list[str] = []
    for key in detail["loc"]:
        if not isinstance(key, str) or key == "[key]":
            break
        path.append(key)
    return tuple(path)


def _place(path: KeyPath, layers: list[Layer]) -> str | None:
    """Where the word that counts is said; None for a default."""
    return next((place for layer in layers if (place := layer.place(path)) is not None), None)


def _rule(detail: ErrorDetails, path: KeyPath, names: Names) -> str:
    item = next((f"item {key + 1} " for key in detail["loc"] if isinstance(key, int)), "")
    match detail["type"]:
        case "extra_forbidden":
            near = names.nearest_key(path)
            return "unknown setting" + (f"; did you mean {near}?" if near else "")
        case "value_error":
            return f"{item}{detail['ctx']['error']}"
        case "model_type" | "model_attributes_type" | "mapping_type" | "dict_type":
            return "should be a table"
        case "tuple_type":
            return "should be a list"
        case _:
            return item + detail["msg"].removeprefix("Input ").removeprefix("Tuple ")
