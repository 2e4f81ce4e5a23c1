"""What callers write, each kind of it within its bounds; and how we write a moment."""

import re
from typing import Annotated, Any, Final

import orjson
from pydantic import AfterValidator, Field, StringConstraints

from relay.domain.instants import parse_rfc3339
from relay.domain.kinds import KINDS
from relay.domain.urls import MAX_CALLBACK_URL, parse_origin

MAX_TASK_ID: Final = 256
MAX_METADATA_BYTES: Final = 4 * 1024
MAX_METADATA_DEPTH: Final = 5
MAX_MOMENT: Final = 64

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _without_control_characters(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("must hold no control characters")
    return text


def _small(metadata: dict[str, Any]) -> dict[str, Any]:
    if _deeper_than(metadata, MAX_METADATA_DEPTH):
        raise ValueError(f"must be nested at most {MAX_METADATA_DEPTH} deep")
    if len(orjson.dumps(metadata)) > MAX_METADATA_BYTES:
        raise ValueError(f"must be at most {MAX_METADATA_BYTES} bytes of JSON")
    return metadata


def _deeper_than(value: object, levels: int) -> bool:
    if isinstance(value, dict):
        return levels == 0 or any(_deeper_than(inner, levels - 1) for inner in value.values())
    if isinstance(value, list):
        return levels == 0 or any(_deeper_than(inner, levels - 1) for inner in value)
    return False


def _known_kind(name: str) -> str:
    if name not in KINDS:
        raise ValueError(f"must be one of {', '.join(KINDS)}")
    return name


def _readable(moment: str) -> str:
    parse_rfc3339(moment)
    return moment


KindName = Annotated[str, AfterValidator(_known_kind), Field(json_schema_extra={"enum": list(KINDS)})]
TaskId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_TASK_ID),
    AfterValidator(_without_control_characters),
    Field(
        description="CAMB's task id, opaque and used exactly as given. No control characters.",
        json_schema_extra={"pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"},
    ),
]
CallbackText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_CALLBACK_URL),
    Field(
        description="Where to POST the notification: plain ASCII as on the wire, https unless the operator allows http."
    ),
]
Metadata = Annotated[
    dict[str, Any],  # it was parsed from JSON: pydantic would only get lost in its depth
    AfterValidator(_small),
    Field(
        description=f"Handed back with the notification. At most {MAX_METADATA_BYTES} bytes of JSON, {MAX_METADATA_DEPTH} deep."
    ),
]
Origin = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_CALLBACK_URL), AfterValidator(parse_origin)
]
GivenMoment = Annotated[
    str,
    StringConstraints(max_length=MAX_MOMENT),
    AfterValidator(_readable),
    Field(json_schema_extra={"format": "date-time"}),
]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
