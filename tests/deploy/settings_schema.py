"""`config` in `helm/values.schema.json`, made from the relay's own settings: `python -m tests.deploy.settings_schema`."""

import json
from collections.abc import Mapping
from typing import Any

from relay.settings import Settings
from relay.settings.names import SHORT_FORMS
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
    SCHEMA.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
