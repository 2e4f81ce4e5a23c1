"""Read the configuration from its four places, and say everything that is wrong with it at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from pydantic_settings import InitSettingsSource

from relay.settings.errors import ConfigurationError
from relay.settings.layers import Layer, read_environment, read_file, read_secrets
from relay.settings.model import Contradiction, Contradictory, Settings
from relay.settings.names import KeyPath, Names, dotted

DEFAULT_FILE: Final = Path("config") / "relay.toml"

# Where pydantic's words are about Python.
_RULES: Final = {
    "dict_type": "should be a table",
    "missing": "is missing",
    "model_type": "should be a table",
    "tuple_type": "should be a list",
}


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """One line of a ValidationError; `item` is the place in a list, from 1, and `inside` a key of the table there."""

    kind: str
    path: KeyPath
    item: int | None
    inside: str
    text: str
    cause: object


def _faults(error: ValidationError) -> Iterator[_Fault]:
    for detail in error.errors(include_url=False, include_input=False):
        keys = [key for key in detail["loc"] if key != "[key]"]
        at = next((at for at, key in enumerate(keys) if isinstance(key, int)), len(keys))
        yield _Fault(
            kind=detail["type"],
            path=tuple(map(str, keys[:at])),
            item=next((key + 1 for key in keys[at:] if isinstance(key, int)), None),
            inside=".".join(map(str, keys[at + 1 :])),
            text=detail["msg"],
            cause=detail.get("ctx", {}).get("error"),
        )


def _explained(error: ValidationError, layers: list[Layer], names: Names) -> Iterator[str]:
    """Contradictions show only once each value is right alone: the wrong ones are out for a second look."""
    wrong: set[KeyPath] = set()
    for fault in _faults(error):
        if not isinstance(fault.cause, Contradictory):
            wrong.add(fault.path)
            yield f"{_place(fault.path, layers) or dotted(fault.path)}: {_rule(fault, names)}"
    for contradiction in _contradictions([layer.without(wrong) for layer in layers]):
        if not wrong.intersection(contradiction.paths):
            places = [place for path in contradiction.paths if (place := _place(path, layers)) is not None]
            where = f"{', '.join(places)}: " if places else ""
            yield f"{where}{dotted(contradiction.paths[0])} {contradiction.rule}"


def _contradictions(layers: list[Layer]) -> tuple[Contradiction, ...]:
    if any(layer.unread for layer in layers):
        return ()
    try:
        _built(layers)
    except ValidationError as exc:
        return tuple(
            each
            for fault in _faults(exc)
            if isinstance(fault.cause, Contradictory)
            for each in fault.cause.found
        )
    return ()


def _place(path: KeyPath, layers: list[Layer]) -> str | None:
    """Where the word that counts is said; None for a default."""
    return next((place for layer in layers if (place := layer.place(path)) is not None), None)


def _rule(fault: _Fault, names: Names) -> str:
    item = "" if fault.item is None else f"item {fault.item} "
    if fault.inside:
        item += f"{fault.inside} "
    match fault.kind:
        case "extra_forbidden" if fault.inside:
            return f"{item}is no setting of that table"
        case "extra_forbidden":
            near = names.nearest_key(fault.path)
            return "unknown setting" + (f"; did you mean {near}?" if near else "")
        case "value_error":
            return f"{item}{fault.cause}"
        case kind:
            return item + _RULES.get(kind, fault.text.removeprefix("Input ").removeprefix("Tuple "))
