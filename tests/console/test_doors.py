from collections.abc import Callable

import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from relay.console.doors import Doors
from relay.console.pages import Pages
from relay.console.sessions import Sessions
from relay.domain.errors import Conflict, DatabaseUnavailable, FieldError, InvalidInput, Overloaded, TooMany
from tests.console.browsing import Page
from tests.relays import HandClock


async def answer_of(error: Exception) -> httpx.Response:
    async def fails(_request: Request) -> Response:
        raise error

    clock = HandClock().clock
    doors = Doors(Pages(clock), Sessions({}, (), clock))
    transport = httpx.ASGITransport(Starlette(routes=[Route("/ui/x", doors.open(fails))]))
    async with httpx.AsyncClient(transport=transport, base_url="http://relay.test") as http:
        return await http.get("/ui/x")


@pytest.mark.parametrize(
    ("error", "status", "title", "words"),
    [
        (DatabaseUnavailable("gone"), 503, "Not available at the moment", "look at the relay's log"),
        (Overloaded("the queue is full"), 503, "Not available at the moment", "The queue is full."),
        (TooMany("ten are open", retry_after=7), 429, "More than this client may", "try again in 7 s"),
        (
            Conflict("it stands", existing="reg_1"),
            409,
            "In conflict with what stands",
            "look at it again",
        ),
        (
            InvalidInput(FieldError(field="cursor", rule="must be one")),
            422,
            "Invalid input",
            "cursor must be one",
        ),
        (HTTPException(418, "short and stout"), 418, "The request failed", "Short and stout."),
    ],
)
async def test_whatever_is_refused_is_a_page_that_says_what_to_do(
    error: Exception, status: int, title: str, words: str
) -> None:
    answer = await answer_of(error)

    assert answer.status_code == status
    assert title in Page(answer).text
    assert words in Page(answer).text
    assert "location" not in answer.headers


@pytest.mark.parametrize(("error", "after"), [(TooMany("x", retry_after=7), "7"), (Overloaded("x"), "2")])
async def test_when_to_try_again_is_told_to_machines_too(error: Exception, after: str) -> None:
    assert (await answer_of(error)).headers["retry-after"] == after


@pytest.mark.parametrize("make", [RuntimeError, ZeroDivisionError])
async def test_a_fault_of_ours_is_logged_and_not_told(make: Callable[[str], Exception]) -> None:
    with structlog.testing.capture_logs() as logs:
        answer = await answer_of(make("the password is canary"))

    assert answer.status_code == 500
    assert "canary" not in answer.text
    assert "A fault of the relay" in Page(answer).text
    assert [log["event"] for log in logs] == ["request.failed"]
