"""The API's contract as a page: made from the same table as the OpenAPI document, and readable without a network."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from relay import __version__
from relay.api.openapi import document
from relay.api.routes import OPERATIONS
from relay.console.pages import Pages
from relay.console.sessions import Viewer

Schema = Mapping[str, Any]  # JSON Schema owns its shape

_LONGEST_ENUM = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldView:
    name: str
    type: str
    required: bool
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerView:
    status: str
    description: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationView:
    method: str
    path: str
    id: str
    summary: str
    parameters: Sequence[FieldView]
    body: Sequence[FieldView]
    answers: Sequence[AnswerView]
    public: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    name: str
    description: str
    fields: Sequence[FieldView]


class ContractPages:
    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def contract(self, _request: Request, viewer: Viewer) -> Response:
        operations, models = _views()
        return self._pages.page("contract.html", viewer, {"operations": operations, "models": models})


@cache
def _views() -> tuple[Sequence[OperationView], Sequence[ModelView]]:
    whole = document(OPERATIONS, version=__version__)
    schemas: Mapping[str, Schema] = whole["components"]["schemas"]
    operations = [
        _operation(method, path, found, schemas)
        for path, methods in whole["paths"].items()
        for method, found in methods.items()
    ]
    models = [
        ModelView(name=name, description=_first(schema), fields=list(_fields(schema)))
        for name, schema in sorted(schemas.items())
        if "properties" in schema
    ]
    return operations, models


def _operation(
    method: str, path: str, found: Mapping[str, Any], schemas: Mapping[str, Schema]
) -> OperationView:
    body = found.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    return OperationView(
        method=method.upper(),
        path=path,
        id=found["operationId"],
        summary=found["summary"],
        parameters=[
            FieldView(
                name=each["name"],
                type=_type(each["schema"]),
                required=each["required"],
                description=each["schema"].get("description", ""),
            )
            for each in found.get("parameters", [])
        ],
        body=list(_fields(schemas[_name(body)])) if body else [],
        answers=[
            AnswerView(status=status, description=answer["description"], model=_model_of(answer))
            for status, answer in sorted(found["responses"].items())
        ],
        public=found.get("security") == [],
    )


def _fields(schema: Schema) -> Iterator[FieldView]:
    required = schema.get("required", ())
    for name, found in schema["properties"].items():
        yield FieldView(
            name=name,
            type=_type(found),
            required=name in required,
            description=found.get("description", ""),
        )


def _type(schema: Schema) -> str:
    choices = schema.get("enum", ())
    if choices:
        shown = ", ".join(map(str, choices[:_LONGEST_ENUM]))
        return shown if len(choices) <= _LONGEST_ENUM else f"{shown}, …"
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    words = (_name(schema), schema.get("const"), schema.get("format"), schema.get("type"))
    return next((str(word) for word in words if word), "anything")


def _model_of(answer: Mapping[str, Any]) -> str:
    return next((_name(content["schema"]) for content in answer.get("content", {}).values()), "")


def _name(schema: Schema) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _first(schema: Schema) -> str:
    return str(schema.get("description", "")).split("\n\n", 1)[0]
