"""What of `helm/values.schema.json` is made of the relay's own settings, by `python -m tests.deploy.settings_schema`.

These are `config`, and the names of variables in `secrets` and `extraEnv`.
"""

import json
from collections.abc import Mapping
from typing import Any

from relay.settings import ClientSettings, Settings
from relay.settings.names import COMMAND_LINE, PREFIX, SHORT_FORMS, settings_in, variable_of
from tests.deploy.chart import CHART

SCHEMA = CHART / "values.schema.json"
CHECKED = {"enum", "items", "maxItems", "maximum", "minItems", "minimum", "type"}
# The guards say where these belong instead, and secrets too, in words that a schema has not.
THE_CHARTS_OWN: frozenset[tuple[str, str]] = frozenset(
    {
        ("", "role"),
        ("server", "port"),
        ("server", "operations_port"),
        ("server", "drain"),
        ("database", "url"),
        ("database", "migrate_at_start"),
    }
)

Schema = dict[str, Any]  # JSON Schema owns its shape


def config() -> Schema:
    """Every setting by table, with its type and bounds; null stands for its default."""
    document = Settings.model_json_schema()
    tables = document["$defs"]
    properties: Schema = {path[-1]: True for path in SHORT_FORMS.values()}
    for key, found in document["properties"].items():
        if "$ref" in found:
            properties[key] = _table(key, tables[found["$ref"].rpartition("/")[2]])
        elif key == "clients":
            properties[key] = {
                "type": "object",
                "propertyNames": {"pattern": "^[a-z][a-z0-9]*(_[a-z0-9]+)*$", "maxLength": 32},
                "additionalProperties": _table(key, tables["ClientSettings"]),
            }
        else:
            properties[key] = _setting("", key, found)
    return {"type": "object", "additionalProperties": False, "properties": properties}


def secret_names() -> Schema:
    """Any setting may be kept in a Secret, but what the chart sets itself would win over most of these."""
    owned = {variable_of(tuple(filter(None, path))) for path in THE_CHARTS_OWN} - {"RELAY_DATABASE__URL"}
    return {"pattern": _pattern(_variables() - owned)}


def variable_names() -> Schema:
    """Of others' variables the chart knows nothing. No lookahead: Helm's patterns are Go's."""
    return {"anyOf": [{"not": {"pattern": f"^{PREFIX}"}}, {"pattern": _pattern(_variables() | COMMAND_LINE)}]}


def _variables() -> set[str]:
    return {variable_of(path) for path, _ in settings_in(Settings)} | SHORT_FORMS.keys()


def _pattern(variables: set[str]) -> str:
    ends = "|".join(sorted(variable.removeprefix(PREFIX) for variable in variables))
    keys = "|".join(sorted(key.upper() for key in ClientSettings.model_fields))
    return f"^{PREFIX}({ends}|CLIENTS__[A-Z][A-Z0-9]*(_[A-Z0-9]+)*__({keys}))$"


def _table(name: str, table: Mapping[str, Any]) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {key: _setting(name, key, found) for key, found in table["properties"].items()},
    }


def _setting(table: str, key: str, found: Mapping[str, Any]) -> Schema | bool:
    kind = next((each for each in found.get("anyOf", []) if each["type"] != "null"), found)
    if (table, key) in THE_CHARTS_OWN or _is_secret(kind):
        return True
    checked = {word: kind[word] for word in sorted(CHECKED & kind.keys())}
    if "items" in checked:
        checked["items"] = {"type": kind["items"]["type"]}
    if "enum" in checked:
        checked["enum"] = [*checked["enum"], None]
    return {"description": found["description"]} | checked | {"type": [kind["type"], "null"]}


def _is_secret(kind: Mapping[str, Any]) -> bool:
    """As pydantic marks a SecretStr; a list of tables is the callback headers', and secret for their values."""
    items = kind.get("items", {})
    return any("writeOnly" in each for each in (kind, items)) or "$ref" in items


def main() -> None:
    schema = json.loads(SCHEMA.read_text())
    schema["properties"]["config"] = config()
    schema["properties"]["secrets"]["propertyNames"] = secret_names()
    schema["properties"]["extraEnv"]["items"]["properties"]["name"] = {
        "type": "string",
        "minLength": 1,
    } | variable_names()
    SCHEMA.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
