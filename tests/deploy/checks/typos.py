"""A key that the chart does not know, at every place where values.schema.json describes an object, is refused by Helm.

So is a variable of the relay's that no setting has.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.deploy.chart import CHART
from tests.deploy.checks.steps import Looking
from tests.deploy.checks.tools import HELMS
from tests.deploy.refusals import MISTYPED_VARIABLES

Schema = Mapping[str, Any]  # JSON Schema owns its shape
Place = tuple[str | int, ...]

ANY_NAME: Final = "acme"
"""For a key that its owner chooses."""


def places(schema: Schema, definitions: Schema, place: Place = ()) -> Iterator[Place]:
    """Where the chart knows every key. Maps of free keys, and what Kubernetes owns, are none."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].removeprefix("#/definitions/")]
    for part in [*schema.get("allOf", []), *schema.get("oneOf", []), *schema.get("anyOf", [])]:
        yield from places(part, definitions, place)
    inner = schema.get("additionalProperties")
    if "properties" in schema or inner is False:
        yield place
    for key, value in schema.get("properties", {}).items():
        if isinstance(value, dict):
            yield from places(value, definitions, (*place, key))
    if isinstance(inner, dict):
        yield from places(inner, definitions, (*place, ANY_NAME))
    if isinstance(schema.get("items"), dict):
        yield from places(schema["items"], definitions, (*place, 0))


def mistyped(where: Mapping[Place, str]) -> dict[str, Any]:
    """Values with one key at each place."""
    values: dict[str, Any] = {}
    for place, key in where.items():
        holder: Any = values
        for step, inner in zip(place, (*place, "")[1:], strict=True):
            empty: Any = [] if isinstance(inner, int) else {}
            if isinstance(step, int):
                if not holder:
                    holder.append(empty)
                holder = holder[step]
            else:
                holder = holder.setdefault(step, empty)
        holder[key] = 1
    return values


def refuse() -> Looking:
    schema = json.loads((CHART / "values.schema.json").read_text())
    found = dict.fromkeys(places(schema, schema["definitions"]))
    where = {place: f"typo{number}x" for number, place in enumerate(found)}
    for helm in HELMS:
        done = helm.run("template", "relay", str(CHART), "--values", "-", stdin=json.dumps(mistyped(where)))
        said = done.stderr
        refused = [line for line in said.splitlines() if "dditional propert" in line]
        for place, key in where.items():
            if not any(key in line for line in refused):
                yield f"Helm {helm.version} takes a key that nobody knows in {'.'.join(map(str, place)) or 'the values'}"
        for values, culprit in MISTYPED_VARIABLES:
            done = helm.run("template", "relay", str(CHART), "--values", "-", stdin=json.dumps(values))
            if not done.returncode or culprit not in done.stderr:
                yield f"Helm {helm.version} takes a variable that nobody reads: {json.dumps(values)}"
    return (
        f"{len(where)} places refuse a key that nobody knows, "
        f"and {len(MISTYPED_VARIABLES)} variables that nobody reads are refused, with each Helm"
    )
