"""What every route asks of a request: who sends it, and a body within its bounds."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from itertools import islice
from typing import Any, Final, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from relay.api.problems import Unacceptable
from relay.domain.clients import Client, token_digest
from relay.domain.errors import FieldError, InvalidInput

Model = TypeVar("Model", bound=BaseModel)
Id = TypeVar("Id", bound=str)

MAX_BODY: Final = 64 * 1024
MAX_BATCH_BODY: Final = 8 * 1024 * 1024
BODY_SECONDS: Final = 10.0
MAX_ERRORS: Final = 10
"""How many of an item's broken rules an answer names."""
MAX_FIELD: Final = 200

NOT_FOR_OPERATORS: Final = (
    "this is an operator's token: it signs in to the console at /ui and reads there, and the API takes"
    " clients' tokens only"
)

# Where pydantic's words are about Python, not JSON.
_RULES: Final = {"model_type": "must be a JSON object", "dict_type": "must be a JSON object"}


class Callers:
    """Who is who by token. A client without any token is whoever sends none: the relay then listens on loopback only.

    `operators` are the digests of tokens that read the console and nothing else.
    """

    def __init__(self, clients: Mapping[str, Client], operators: Collection[bytes] = ()) -> None:
        self._operators = operators
        self._by_digest = {
            digest: client for client in clients.values() for digest in client.api_token_digests
        }
        self._anonymous = next((client for client in clients.values() if not client.api_token_digests), None)

    def identify(self, request: Request) -> Client:
        """Raises 401, and 403 for an operator's token."""
        header = request.headers.get("authorization")
        if header is None:
            if self._anonymous is not None:
                return self._anonymous
            raise _unauthenticated("send one of the client's API tokens as `Authorization: Bearer <token>`")
        scheme, _, token = header.partition(" ")
        # Looked up by its digest: how long that takes says nothing about any token.
        digest = token_digest(token.strip()) if scheme.lower() == "bearer" else b""
        client = self._by_digest.get(digest)
        if client is not None:
            return client
        if digest in self._operators:
            raise Unacceptable(403, NOT_FOR_OPERATORS)
        raise _unauthenticated("the API token is not known")


async def read_json(request: Request, limit: int, *, within: float = BODY_SECONDS) -> object:
    """The parsed body. Raises 415, 413, 408 and 400."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise Unacceptable(415, "send the body as content-type application/json")
    body = await read_body(request, limit, within=within)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Unacceptable(400, f"the body is not JSON: {error}") from None


async def read_body(request: Request, limit: int, *, within: float = BODY_SECONDS) -> bytearray:
    """Raises 413, 408 and 400."""
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_large(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(within):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise _too_large(limit)
    except TimeoutError:
        raise Unacceptable(408, f"the body took more than {within:g} s", {"connection": "close"}) from None
    except ClientDisconnect:  # nobody is there to read this; it is no fault of ours either
        raise Unacceptable(400, "the body broke off") from None
    return body


async def unless_left(request: Request, work: Coroutine[Any, Any, Response]) -> Response:
    """The work's answer; where the caller leaves meanwhile the work is given up, for the places of those who wait are few."""
    working = asyncio.create_task(work, name="waiting")
    leaving = asyncio.create_task(_left(request), name="waiting for a leave")
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else Response(status_code=499)
    finally:
        for each in (working, leaving):
            each.cancel()
        await asyncio.wait((working, leaving))


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def parse(model: type[Model], value: object) -> Model:
    """Raises InvalidInput with every field that breaks a rule."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise InvalidInput(*field_errors(error)) from None


def parse_query(model: type[Model], request: Request) -> Model:
    """Raises InvalidInput, also for a parameter that is given twice."""
    values: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in values:
            raise InvalidInput(FieldError(field=name[:MAX_FIELD], rule="must be given once"))
        values[name] = value
    return parse(model, values)


def parse_cursor(parse_id: Callable[[str], Id | None], cursor: str | None) -> Id | None:
    """The id of the last item of the page before. Raises InvalidInput."""
    if cursor is None:
        return None
    before = parse_id(cursor)
    if before is None:
        raise InvalidInput(FieldError(field="cursor", rule="must be the next_cursor of an earlier answer"))
    return before


def field_errors(error: ValidationError) -> tuple[FieldError, ...]:
    return tuple(
        FieldError(
            field=".".join(str(part) for part in fault["loc"])[:MAX_FIELD],
            rule=_RULES.get(fault["type"]) or fault["msg"].removeprefix("Value error, "),
        )
        for fault in islice(
            error.errors(include_url=False, include_context=False, include_input=False), MAX_ERRORS
        )
    )


def _unauthenticated(detail: str) -> Unacceptable:
    return Unacceptable(401, detail, {"www-authenticate": 'Bearer realm="relay"'})


def _too_large(limit: int) -> Unacceptable:
    return Unacceptable(413, f"the body must be at most {limit} bytes", {"connection": "close"})
