"""`config` in `helm/values.schema.json`, made from the relay's own settings: `python -m tests.deploy.settings_schema`."""

import json
from collections.abc import Mapping
from typing import Any

from relay.settings import Settings
from relay.settings.names import SHORT_FORMS
from tests.deploy.chart import CHART

SCHEMA = CHART / "values.schema.json"
CHECKED = {"enum", "items", "maxItems", "maximum", "minItems", "minimum", "type"}
# The chart says itself where these belong, in words that a schema has not.
LEFT_TO_THE_GUARDS: frozenset[tuple[str, str]] = frozenset(
    {
        ("", "role"),
        ("server", "port"),
        ("server", "operations_port"),
        ("server", "drain"),
        ("database", "url"),
        ("database", "migrate_at_start"),
        ("clients", "api_tokens"),
        ("clients", "camb_api_key"),
        ("clients", "signing_secrets"),
        ("clients", "callback_headers"),
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
    if (table, key) in LEFT_TO_THE_GUARDS:
        return True
    kind = next((each for each in found.get("anyOf", []) if each["type"] != "null"), found)
    checked = {word: kind[word] for word in sorted(CHECKED & kind.keys())}
    if "items" in checked:
        checked["items"] = {"type": kind["items"]["type"]}
    if "enum" in checked:
        checked["enum"] = [*checked["enum"], None]
    return {"description": found["description"]} | checked | {"type": [kind["type"], "null"]}


def main() -> None:
    schema = json.loads(SCHEMA.read_text())
    schema["properties"]["config"] = config()
    SCHEMA.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
