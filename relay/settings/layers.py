"""The places that settings come from, each read into a tree that remembers where every word of it stands."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson
from pydantic_settings import TomlConfigSettingsSource

from relay.settings.model import Settings
from relay.settings.names import (
    KeyPath,
    Names,
    dotted,
    is_foreign,
    is_list,
    is_list_of_tables,
    is_optional,
)

Tree = dict[str, object]

_LONGEST_SECRET_FILE = 1_048_576  # a Kubernetes Secret holds no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What one place says. `source` is its file or folder, None for the environment.

    `variables` names the variable behind each path, and is empty for a file of keys. An `unread` layer could
    not be opened or parsed: what it would have said is unknown.
    """

    tree: Tree = field(default_factory=dict, repr=False)
    source: Path | None = None
    variables: Mapping[KeyPath, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    unread: bool = False

    def place(self, path: KeyPath) -> str | None:
        """Where this layer sets `path`; None where it does not."""
        if not _holds(self.tree, path):
            return None
        name = next(
            (name for known, name in self.variables.items() if known[: len(path)] == path), dotted(path)
        )
        return _located(name, self.source)

    def without(self, paths: Iterable[KeyPath]) -> "Layer":
        tree = self.tree
        for path in paths:
            tree = _pruned(tree, path)
        return replace(self, tree=tree)


def read_file(path: Path) -> Layer:
    if not path.is_file():
        return _unread(path, "there is no such file; --config and RELAY_CONFIG name a TOML file")
    try:
        return Layer(tree=TomlConfigSettingsSource(Settings, toml_file=path).toml_data, source=path)
    except OSError as exc:
        return _unread(path, f"cannot be read: {exc.strerror}")
    except UnicodeDecodeError:
        return _unread(path, "is not UTF-8 text")
    except ValueError as exc:
        # tomllib names a line and a column, and quotes no more than a key or one character.
        return _unread(path, f"is not TOML: {exc}")


def read_environment(environ: Mapping[str, str], names: Names) -> Layer:
    return _read_variables(environ, names, source=None, problems=())


def read_secrets(folder: Path, names: Names) -> Layer:
    """Files named like variables; a mounted Kubernetes Secret links each to a hidden `..data` folder."""
    if not folder.is_dir():
        return _unread(
            folder, "there is no such folder; --secrets-dir and RELAY_SECRETS_DIR name a folder of files"
        )
    try:
        files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    except OSError as exc:
        return _unread(folder, f"cannot be read: {exc.strerror}")
    values: dict[str, str] = {}
    problems: list[str] = []
    for file in files:
        if is_foreign(file.name):
            continue
        try:
            values[file.name] = _read_secret(file)
        except OSError as exc:
            problems.append(f"{file}: cannot be read: {exc.strerror}")
        except UnicodeDecodeError:
            problems.append(f"{file}: is not UTF-8 text")
    return _read_variables(values, names, source=folder, problems=tuple(problems))


def _read_secret(file: Path) -> str:
    with file.open("rb") as opened:
        return opened.read(_LONGEST_SECRET_FILE).decode().rstrip("\r\n")


def _read_variables(
    values: Mapping[str, str], names: Names, *, source: Path | None, problems: tuple[str, ...]
) -> Layer:
    tree: Tree = {}
    variables: dict[KeyPath, str] = {}
    found = list(problems)
    for name, value in sorted(values.items()):
        if is_foreign(name, value):
            continue
        path = names.path_of(name)
        if path is None:
            near = names.nearest_variable(name)
            found.append(
                f"{_located(name, source)}: unknown variable" + (f"; did you mean {near}?" if near else "")
            )
        elif path in variables:
            found.append(
                f"{_located(name, source)}: is the same setting as {variables[path]}; keep one of them"
            )
        else:
            try:
                _plant(tree, path, _parsed(value, names, path))
            except _NotJson as exc:
                found.append(f"{_located(name, source)}: {exc}")
            else:
                variables[path] = name
    return Layer(tree=tree, source=source, variables=variables, problems=tuple(found))


def _parsed(value: str, names: Names, path: KeyPath) -> object:
    """Lists are comma-separated, those of tables JSON; nothing is no item, or no value where a setting can do without.

    Raises _NotJson.
    """
    setting = names.field(path)
    if is_list_of_tables(setting):
        return _json(value) if value.strip() else []
    if is_list(setting):
        return [item.strip() for item in value.split(",")] if value.strip() else []
    return None if is_optional(setting) and not value.strip() else value


class _NotJson(ValueError):
    pass


def _json(value: str) -> object:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as exc:
        # The position alone: the document holds secrets.
        rule = 'should be JSON such as [{"origin": "https://…", "name": "…", "value": "…"}]'
        raise _NotJson(f"{rule}, and is none at line {exc.lineno}, column {exc.colno}") from None


def _unread(source: Path, rule: str) -> Layer:
    return Layer(source=source, problems=(f"{source}: {rule}",), unread=True)


def _located(name: str, source: Path | None) -> str:
    return name if source is None else f"{name} in {source}"


def _plant(tree: Tree, path: KeyPath, value: object) -> None:
    key, *rest = path
    if not rest:
        tree[key] = value
        return
    branch = tree.setdefault(key, {})
    if isinstance(branch, dict):
        _plant(branch, tuple(rest), value)


def _holds(tree: object, path: KeyPath) -> bool:
    if not path:
        return True
    return isinstance(tree, dict) and path[0] in tree and _holds(tree[path[0]], path[1:])


def _pruned(tree: Tree, path: KeyPath) -> Tree:
    key, *rest = path
    branch = tree.get(key)
    if rest and isinstance(branch, dict):
        return tree | {key: _pruned(branch, tuple(rest))}
    return {name: value for name, value in tree.items() if name != key}
