"""Why a call came to nothing.

ClientError
├── NoAnswer   nobody answered, or not to the end
└── Problem    the relay said no, and why; or it was no relay that answered
"""

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import httpx

from relay.client.resources import FieldProblem

_SHOWN: Final = 200
_ERRNO: Final = re.compile(r"^\[Errno -?[0-9]+\] ")


class ClientError(Exception):
    """A call that came to nothing."""


class NoAnswer(ClientError):
    """Whether the relay has done what was asked nobody knows: every call may be repeated."""


class Problem(ClientError):
    """The relay's refusal, by the fields of its problem document (RFC 9457)."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        title: str = "",
        errors: Sequence[FieldProblem] = (),
        retry_after: int | None = None,
        request_id: str | None = None,
        oldest: str | None = None,
        location: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after = retry_after
        """Seconds after which to try again."""
        self.request_id = request_id
        self.oldest = oldest
        """With 410: the cursor from which on there are events."""
        self.location = location
        """With 409: the path of the registration that stands."""

    @property
    def passing(self) -> bool:
        """Whether the same call may succeed a little later."""
        return self.status >= HTTPStatus.INTERNAL_SERVER_ERROR or self.status in {
            HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.TOO_MANY_REQUESTS,
        }

    def __str__(self) -> str:
        if not self.errors:
            return self.detail
        return "; ".join(f"{error['field'] or 'the body'}: {error['rule']}" for error in self.errors)


def no_answer(url: str, error: httpx.RequestError) -> NoAnswer:
    if isinstance(error, httpx.TimeoutException):
        return NoAnswer(f"{url} did not answer in time")
    return NoAnswer(f"no answer from {url}: {said_by(error)}")


def said_by(error: httpx.RequestError) -> str:
    """In words, without an operating system's number."""
    return _ERRNO.sub("", str(error)) or type(error).__name__


def problem_of(response: httpx.Response) -> Problem:
    """For an answer outside 2xx that was read to its end."""
    try:
        document = json.loads(response.content)
    except ValueError:  # a UnicodeDecodeError is one, too
        return not_a_relay(response)
    if not isinstance(document, dict) or "detail" not in document:
        return not_a_relay(response)
    return problem_in(document, location=response.headers.get("location"))


def problem_in(document: Mapping[str, Any], *, location: str | None = None) -> Problem:
    """`document` is what the API calls a Problem."""
    return Problem(
        document["status"],
        document["detail"],
        title=document["title"],
        errors=document.get("errors") or (),
        retry_after=document.get("retry_after"),
        request_id=document.get("request_id"),
        oldest=document.get("oldest"),
        location=location,
    )


def not_a_relay(response: httpx.Response) -> Problem:
    said = f"{response.status_code} {response.reason_phrase}"
    to = response.headers.get("location")
    if to is not None:
        said += f" to {to}"
    detail = f"what answers at {response.request.url} is no relay: it says {said}"
    return Problem(response.status_code, detail[: _SHOWN * 2], title="Not a relay")
