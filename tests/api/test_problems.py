from collections.abc import AsyncIterator, Callable

import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from relay.api.middleware import RequestContext
from relay.api.problems import on_http_error, on_relay_error
from relay.domain.errors import BrokenRule, NotFound, Overloaded, RelayError
from tests.api.problems import problem


def application(error: Exception) -> httpx.AsyncClient:
    """An application in which every call comes to that end."""

    async def fail(_request: Request) -> Response:
        raise error

    async def fail_late(_request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"begun"
            raise error

        return StreamingResponse(body())

    app = Starlette(
        routes=[Route("/", fail), Route("/late", fail_late)],
        middleware=[Middleware(RequestContext, new_id=lambda: "req_made")],
        exception_handlers={HTTPException: on_http_error, RelayError: on_relay_error},
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://relay")


@pytest.mark.parametrize("error", [BrokenRule("no such transition"), ZeroDivisionError("canary")])
async def test_a_fault_of_ours_is_a_500_whose_cause_is_logged_and_not_told(error: Exception) -> None:
    with capture_logs() as logs:
        answer = await application(error).get("/")

    assert "logged" in problem(answer, 500)["detail"]
    assert "canary" not in answer.text
    (line,) = logs
    assert (line["event"], line["method"], line["exc_info"]) == ("request.failed", "GET", True)


async def test_a_fault_after_the_answer_has_begun_breaks_it_off() -> None:
    with capture_logs() as logs, pytest.raises(ZeroDivisionError):
        await application(ZeroDivisionError()).get("/late")

    assert [line["event"] for line in logs] == ["request.failed"]


async def test_too_much_at_once_is_answered_503_with_retry_after() -> None:
    answer = await application(Overloaded("too many writes are waiting")).get("/")

    assert problem(answer, 503)["detail"] == "too many writes are waiting"
    assert answer.headers["retry-after"] == "2"


async def test_a_refusal_that_has_no_title_of_its_own_has_one_all_the_same() -> None:
    answer = await application(HTTPException(418, "a teapot")).get("/")

    assert problem(answer, 418)["title"] == "The request failed"
    assert answer.json()["detail"] == "a teapot"


@pytest.mark.parametrize("handler", [on_http_error, on_relay_error])
def test_a_handler_leaves_alone_what_is_not_its_own(
    handler: Callable[[Request, Exception], Response],
) -> None:
    with pytest.raises(KeyError):
        handler(Request({"type": "http"}), KeyError("stranger"))


async def test_a_callers_request_id_is_answered_and_logged() -> None:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        answer = await application(ZeroDivisionError()).get("/", headers={"x-request-id": "order-7.a_B"})

    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "order-7.a_B"
    assert logs[0]["request_id"] == "order-7.a_B"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a\tb", "evil\\n", "ü"])
async def test_a_request_id_that_could_do_harm_is_replaced(given: str) -> None:
    answer = await application(NotFound("nothing")).get("/", headers={b"x-request-id": given.encode()})

    assert answer.headers["x-request-id"] == "req_made"


async def test_what_is_not_http_passes_by() -> None:
    messages: list[str] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        messages.append(message["type"])

    async def accept(scope: Scope, receive: Receive, send: Send) -> None:
        assert "request_id" not in scope
        await send({"type": "websocket.accept"})

    await RequestContext(accept, new_id=lambda: "req_made")({"type": "websocket"}, receive, send)

    assert messages == ["websocket.accept"]
