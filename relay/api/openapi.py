"""The OpenAPI 3.1 document, made from the table of calls and the models of schemas.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from relay.api.problems import CONTENT_TYPE
from relay.api.schemas import Problem, RegistrationRequest

_REF: Final = "#/components/schemas/{model}"
_PROBLEMS: Final = {
    400: "The body is not JSON.",
    401: "No API token, or one that is not known.",
    403: "An operator's token, which reads the console and nothing else.",
    404: "Nothing of that id, or another client's.",
    408: "The body took too long.",
    409: "Its state, or what stands already, does not allow it.",
    410: "What comes next after the cursor is gone, or the cursor is another store's; `oldest` is one to go on from.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "Something in the request breaks a rule; `errors` names the field and the rule.",
    429: "More than this client may have taken on: send it again after Retry-After.",
    503: "Not available at the moment: send the same request again after Retry-After; it is never stored twice.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call. `problems` are the statuses it can refuse with, beside 401, 403 and 503 where it is not `public`."""

    method: str
    path: str
    id: str
    summary: str
    answers: dict[int, type[BaseModel]]
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    problems: tuple[int, ...] = ()
    of: str = "reg"
    """What the id in its path begins with."""
    located: tuple[int, ...] = ()
    """The answers that carry a Location."""
    headers: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """The schemas of headers that it heeds."""
    streamed: str | None = None
    """The media type, where its answer has no end and is made of many such models."""
    public: bool = False
    """Whether it needs no token, and is answered from memory."""


def document(operations: Sequence[Operation], *, version: str) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "camb-relay",
            "version": version,
            "summary": "Register a CAMB.AI task; be notified at a callback URL, or pull the event, when the task ends.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(operations),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _schemas(operations: Sequence[Operation]) -> dict[str, Any]:
    asked = {operation.body for operation in operations if operation.body is not None} | {RegistrationRequest}
    answered = {model for operation in operations for model in operation.answers.values()} | {Problem}
    ordered = sorted(asked, key=_name), sorted(answered, key=_name)
    _, definitions = models_json_schema(
        [(model, "validation") for model in ordered[0]] + [(model, "serialization") for model in ordered[1]],
        ref_template=_REF,
    )
    schemas: dict[str, Any] = definitions["$defs"]
    return schemas


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {"operationId": operation.id, "summary": operation.summary}
    parameters = _parameters(operation)
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _content("application/json", operation.body)}
    described["responses"] = {
        str(status): _streamed(model, operation.streamed)
        if operation.streamed
        else _answer(model, located=status in operation.located)
        for status, model in operation.answers.items()
    } | {
        str(status): {"description": _PROBLEMS[status], "content": _content(CONTENT_TYPE, Problem)}
        for status in sorted({*operation.problems} | (set() if operation.public else {401, 403, 503}))
    }
    if operation.public:
        described["security"] = []
    return described


def _answer(model: type[BaseModel], *, located: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": (model.__doc__ or "The answer.").strip(),
        "content": _content("application/json", model),
    }
    if located:
        answer["headers"] = {"Location": {"required": True, "schema": {"type": "string"}}}
    return answer


def _streamed(model: type[BaseModel], media_type: str) -> dict[str, Any]:
    """OpenAPI 3.1 knows nothing of what a stream is made of."""
    return {
        "description": f"Without end; each one: {(model.__doc__ or model.__name__).strip()}",
        "content": {media_type: {"schema": {"type": "string"}}},
    }


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    id_ = {"type": "string", "pattern": f"^{operation.of}_[0-9a-f]{{32}}$"}
    path = [{"name": "id", "in": "path", "required": True, "schema": id_}] if "{id}" in operation.path else []
    path += [
        {"name": name, "in": "header", "required": False, "schema": schema}
        for name, schema in operation.headers.items()
    ]
    if operation.query is None:
        return path
    properties = operation.query.model_json_schema(ref_template=_REF)
    definitions = properties.get("$defs", {})
    return path + [
        {"name": name, "in": "query", "required": False, "schema": _inlined(schema, definitions)}
        for name, schema in properties["properties"].items()
    ]


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:  # noqa: ANN401 - a JSON schema
    """A parameter cannot be null, and stands alone: no reference, no null branch."""
    branches = [branch for branch in schema.get("anyOf", [schema]) if branch.get("type") != "null"]
    branch = branches[0]
    if "$ref" in branch:
        branch = definitions[branch["$ref"].rpartition("/")[2]]
    outer = {
        key: value for key, value in schema.items() if key in {"description", "default"} and value is not None
    }
    return {key: value for key, value in branch.items() if key != "title"} | outer


def _content(media_type: str, model: type[BaseModel]) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": _REF.format(model=model.__name__)}}}


def _name(model: type[BaseModel]) -> str:
    return model.__name__
