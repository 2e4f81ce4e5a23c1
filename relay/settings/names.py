"""What settings are called in the file and in the environment, and what a wrong name was meant to be."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from relay.settings.sections import ClientSettings

KeyPath = tuple[str, ...]

PREFIX: Final = "RELAY_"
DEFAULT_CLIENT: Final = "default"
SHORT_FORMS: Final[Mapping[str, KeyPath]] = MappingProxyType(
    {
        f"{PREFIX}{key.upper()}": ("clients", DEFAULT_CLIENT, key)
        for key in ("api_tokens", "camb_api_key", "signing_secrets")
    }
)

_CLIENTS_PREFIX = f"{PREFIX}CLIENTS__"
COMMAND_LINE: Final = frozenset(
    {"RELAY_URL", "RELAY_TOKEN", "RELAY_PROFILE", "RELAY_CONFIG", "RELAY_SECRETS_DIR"}
)
# Kubernetes writes these into every container, for each Service of the namespace called `relay` or `relay-…`.
# A double underscore is a setting's, and a port that is no URL was written by a person.
_SERVICE_LINK = re.compile(
    r"RELAY(?:_[A-Z0-9]+)*?_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9]+)*|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_SERVICE_LINK_PORT = re.compile(r"RELAY(?:_[A-Z0-9]+)*?_PORT")
_SERVICE_URL = re.compile(r"(?:tcp|udp|sctp)://")


def dotted(path: KeyPath) -> str:
    return ".".join(path)


def variable_of(path: KeyPath) -> str:
    """The shortest name: `RELAY_API_TOKENS` where there is one, else `RELAY_SECTION__KEY`."""
    for name, short in SHORT_FORMS.items():
        if short == path:
            return name
    return PREFIX + "__".join(path).upper()


def is_foreign(name: str, value: str = "") -> bool:
    """Whether a variable is no setting: not of our prefix, the command line's own, or Kubernetes'."""
    return (
        not name.startswith(PREFIX)
        or name in COMMAND_LINE
        or _SERVICE_LINK.fullmatch(name) is not None
        or (_SERVICE_LINK_PORT.fullmatch(name) is not None and _SERVICE_URL.match(value) is not None)
    )


def is_list(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is tuple


def is_list_of_tables(field: FieldInfo) -> bool:
    items = get_args(field.annotation)[:1] if is_list(field) else ()
    return any(isinstance(item, type) and issubclass(item, BaseModel) for item in items)


def is_optional(field: FieldInfo) -> bool:
    return type(None) in get_args(field.annotation)


def settings_in(model: type[BaseModel], above: KeyPath = ()) -> Iterator[tuple[KeyPath, FieldInfo]]:
    """Every setting but the clients', whose names are not known beforehand."""
    for key, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from settings_in(annotation, (*above, key))
        elif get_origin(annotation) is not Mapping:
            yield (*above, key), field


class Names:
    """The names that the settings of `model` may be given."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._fields = dict(settings_in(model))
        self._tables = tuple(key for key in model.model_fields if (key,) not in self._fields)
        self._variables: dict[str, KeyPath] = {variable_of(path): path for path in self._fields} | dict(
            SHORT_FORMS
        )

    def path_of(self, variable: str) -> KeyPath | None:
        """None where no setting has that variable; a client's name is not judged here."""
        if variable.startswith(_CLIENTS_PREFIX) and variable == variable.upper():
            for key in ClientSettings.model_fields:
                client = variable.removeprefix(_CLIENTS_PREFIX).removesuffix(f"__{key.upper()}")
                if variable == f"{_CLIENTS_PREFIX}{client}__{key.upper()}":
                    return ("clients", client.lower(), key)
        return self._variables.get(variable)

    def field(self, path: KeyPath) -> FieldInfo:
        """The field of a path that `path_of` gave."""
        return ClientSettings.model_fields[path[-1]] if path[0] == "clients" else self._fields[path]

    def nearest_variable(self, variable: str) -> str | None:
        variable = variable.upper()
        client = variable.removeprefix(_CLIENTS_PREFIX).rpartition("__")[0]
        known = [*self._variables, *COMMAND_LINE]
        if variable.startswith(_CLIENTS_PREFIX) and client:
            known += [f"{_CLIENTS_PREFIX}{client}__{key.upper()}" for key in ClientSettings.model_fields]
        # RELAY_PORT has lost its section.
        shortened = {f"{PREFIX}{path[-1].upper()}": variable_of(path) for path in self._fields}
        return _nearest(variable, shortened | {name: name for name in known})

    def nearest_key(self, path: KeyPath) -> str | None:
        """A key of the same table if one is near, else a setting or a table anywhere."""
        siblings = [known for known in self._fields if known[:-1] == path[:-1]]
        if path[0] == "clients":
            siblings = [(*path[:-1], key) for key in ClientSettings.model_fields]
        near = _nearest(path[-1], {known[-1]: dotted(known) for known in siblings})
        if near is not None:
            return near
        anywhere = {dotted(known): dotted(known) for known in self._fields} | {
            name: name for name in self._tables
        }
        if len(path) == 1:
            # A key that stands above all tables may have lost its own.
            anywhere |= {known[-1]: dotted(known) for known in self._fields}
            anywhere |= {key: f"clients.{DEFAULT_CLIENT}.{key}" for key in ClientSettings.model_fields}
        return _nearest(dotted(path), anywhere)


def _nearest(name: str, known: Mapping[str, str]) -> str | None:
    """`known` maps a spelling to what is then suggested."""
    close = get_close_matches(name, known, n=1)
    return known[close[0]] if close else None
