"""Exceptions become RFC 9457 problem documents, here and nowhere else."""

from typing import Any, Final

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from relay.domain.errors import (
    Conflict,
    DatabaseUnavailable,
    FieldError,
    Gone,
    InvalidInput,
    NotFound,
    Overloaded,
    RelayError,
    TooMany,
)

CONTENT_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 2

_RETRY_AFTER: Final = {"retry-after": str(RETRY_AFTER_SECONDS)}
_UNAVAILABLE: Final = "the database does not answer; send the same request again, which never stores it twice"
_NAMED: Final = 5
_SHOWN: Final = 80
_TITLES: Final = {
    400: "The body is not JSON",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "In conflict with what stands",
    410: "Gone",
    413: "Too large",
    415: "Not the right content type",
    408: "Too slow",
    422: "Invalid input",
    429: "More than this client may",
    500: "A fault of the relay",
    503: "Not available at the moment",
}


class Unacceptable(HTTPException):
    """A request refused before its content was looked at."""


def problem(
    status: int,
    detail: str,
    *,
    errors: tuple[FieldError, ...] = (),
    request_id: str | None = None,
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "type": f"urn:camb-relay:problem:{status}",
        "title": _TITLES.get(status, "The request failed"),
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }
    if errors:
        document["errors"] = [{"field": error.field, "rule": error.rule} for error in errors]
    return document


def problem_of(error: RelayError, request_id: str | None) -> tuple[dict[str, Any], dict[str, str]]:
    """The document, and the headers that go with it. What is a fault of ours is raised again, to be logged."""
    match error:
        case InvalidInput(errors=errors):
            fields = ", ".join(error.field[:_SHOWN] for error in errors[:_NAMED]) or "the body"
            detail = f"{fields}: see errors for the rules that were broken; nothing was changed"
            return problem(422, detail, errors=errors, request_id=request_id), {}
        case NotFound():
            return problem(404, str(error), request_id=request_id), {}
        case Conflict(existing=existing, fields=fields):
            errors = tuple(FieldError(field=field, rule="differs from what stands") for field in fields)
            headers = {"location": f"/v1/registrations/{existing}"} if existing else {}
            return problem(409, str(error), errors=errors, request_id=request_id), headers
        case Gone(oldest=oldest):
            return problem(410, str(error), request_id=request_id) | {"oldest": oldest}, {}
        case TooMany(retry_after=seconds):
            document = problem(429, str(error), request_id=request_id) | {"retry_after": seconds}
            return document, {"retry-after": str(seconds)}
        case Overloaded() | DatabaseUnavailable():
            detail = str(error) if isinstance(error, Overloaded) else _UNAVAILABLE
            return problem(503, detail, request_id=request_id), _RETRY_AFTER
        case _:
            raise error


def respond(document: dict[str, Any], headers: dict[str, str]) -> Response:
    return Response(orjson.dumps(document), document["status"], headers, media_type=CONTENT_TYPE)


def on_relay_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, RelayError):
        raise error
    return respond(*problem_of(error, request.scope.get("request_id")))


def on_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    details = {
        404: "there is nothing at this path; /openapi.json lists what there is",
        405: f"{request.method} is not for this path; see the allow header",
    }
    detail = details.get(error.status_code, error.detail)
    document = problem(error.status_code, detail, request_id=request.scope.get("request_id"))
    return respond(document, dict(error.headers or {}))
