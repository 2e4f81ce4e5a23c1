"""What every refusal has in common."""

from typing import Any

import httpx


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem document of a refusal, held to RFC 9457 and to the request's id."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["status"] == status
    assert document["type"] == f"urn:camb-relay:problem:{status}"
    assert document["title"]
    assert document["detail"]
    assert document["request_id"] == answer.headers["x-request-id"]
    return document


def rules(answer: httpx.Response) -> dict[str, str]:
    """Each field that a 422 names, with the rule it broke."""
    return {error["field"]: error["rule"] for error in problem(answer, 422)["errors"]}
