import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import respx

from relay.camb import LONGEST_RETRY_AFTER, CambClient
from relay.clock import Clock, system_clock
from relay.domain.instants import MILLISECOND, SECOND, Instant, Span
from relay.domain.kinds import KINDS, Kind
from relay.domain.tasks import PollAnswer, PollResult, TaskReport, UpstreamError
from relay.transport import USER_AGENT, AiohttpTransport, NameResolutionError, tls_context
from tests.sockets import (
    OK,
    Answer,
    SocketServer,
    answer,
    closing,
    dripping,
    hanging,
    listening,
    pouring,
    unused_port,
)

BASE = "https://client.camb.example/apis"
KEY = "camb-key"
TTS = KINDS["tts"]
WALL = 1_795_000_000 * SECOND
SUCCESS = b'{"status": "SUCCESS", "run_id": 7}'


def client(
    transport: httpx.AsyncBaseTransport,
    clock: Clock | None = None,
    *,
    deadline: int = 10 * SECOND,
    answer_bytes: int = 262_144,
) -> CambClient:
    return CambClient(
        transport, clock=clock or system_clock(), deadline=Span(deadline), answer_bytes=answer_bytes
    )


def routed(router: respx.Router) -> httpx.MockTransport:
    return httpx.MockTransport(router.async_handler)


@pytest.fixture
def router() -> respx.Router:
    return respx.Router()


@pytest.fixture
async def wire() -> AsyncIterator[AiohttpTransport]:
    async with AiohttpTransport(tls_context()) as transport:
        yield transport


async def ask(camb: CambClient, server: SocketServer, task_id: str = "t1") -> PollAnswer:
    return (await camb.status(f"{server.origin}/apis", KEY, TTS, task_id)).answer


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_every_kind_is_asked_for_on_its_own_route(router: respx.Router, kind: Kind) -> None:
    route = router.get(f"{BASE}/{kind.status}/t1").respond(content=SUCCESS)

    poll = await client(routed(router)).status(BASE, KEY, kind, "t1")

    assert poll.answer.result is PollResult.TERMINAL
    assert dict(route.calls.last.request.headers) == {"user-agent": USER_AGENT, "x-api-key": KEY}


@pytest.mark.parametrize(
    ("task_id", "segment"),
    [
        ("t1", b"t1"),
        ("a/b?c", b"a%2Fb%3Fc"),
        ("..", b"%2E%2E"),
        (".", b"%2E"),
        ("%2e%2e", b"%252e%252e"),
        ("ü", b"%C3%BC"),
        ("a b#c;d=e&f+g", b"a%20b%23c%3Bd%3De%26f%2Bg"),
        ("\\", b"%5C"),
        ("..%2f", b"..%252f"),
    ],
)
async def test_a_task_id_reaches_camb_as_one_encoded_segment(
    wire: AiohttpTransport, task_id: str, segment: bytes
) -> None:
    async with listening(answer("200 OK", SUCCESS)) as server:
        found = await ask(client(wire), server, task_id)

    assert found.result is PollResult.TERMINAL
    assert server.received[0].target == b"/apis/tts/" + segment
    assert server.received[0].headers["x-api-key"] == KEY


@pytest.mark.parametrize(
    ("base", "target"),
    [("", b"/tts/t1"), ("/", b"/tts/t1"), ("/apis", b"/apis/tts/t1"), ("/a//b/", b"/a//b/tts/t1")],
)
async def test_a_base_url_may_have_a_path(wire: AiohttpTransport, base: str, target: bytes) -> None:
    async with listening(answer("200 OK", SUCCESS)) as server:
        await client(wire).status(server.origin + base, KEY, TTS, "t1")

    assert server.received[0].target == target


async def test_a_poll_knows_when_it_left_and_when_its_answer_was_there() -> None:
    now = [5 * SECOND]

    def take_a_while(_: httpx.Request) -> httpx.Response:
        now[0] += 40 * MILLISECOND
        return httpx.Response(200, content=b'{"status": "PENDING"}')

    clock = Clock(lambda: now[0], lambda: WALL)
    poll = await client(httpx.MockTransport(take_a_while), clock).status(BASE, KEY, TTS, "t1")

    assert poll.begun_at == Instant(WALL)
    assert poll.ended_at == Instant(WALL + 40 * MILLISECOND)


async def test_a_report_keeps_cambs_bytes_and_status(router: respx.Router) -> None:
    body = (
        b'{"status":"ERROR", "run_id": 7.0, "exception_reason":"SOURCE_TOO_LONG","message":{"a":1.10},"x":1}'
    )
    router.get(f"{BASE}/tts/t1").respond(203, content=body)

    poll = await client(routed(router)).status(BASE, KEY, TTS, "t1")

    assert isinstance(poll.answer, TaskReport)
    assert poll.answer.payload == body
    assert poll.answer.http_status == 203
    assert poll.answer.exception_reason == "SOURCE_TOO_LONG"


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (b'{"status": "PENDING"}', PollResult.PENDING),
        (b'{"status": "success"}', PollResult.TERMINAL),
        (b'"SUCCESS"', PollResult.TERMINAL),
        (b'[{"status": "FAILED"}]', PollResult.TERMINAL),
        (b'{"run_id": 1}', PollResult.UNKNOWN_STATUS),
        (b'{"status": "PROCESSING"}', PollResult.UNKNOWN_STATUS),
        (b"", PollResult.INVALID),
        (b"null", PollResult.INVALID),
        (b"<html>SUCCESS</html>", PollResult.INVALID),
        (b'{"status": "\xff"}', PollResult.INVALID),
        (b'{"status": "SUCCESS\x00"}', PollResult.INVALID),
        (b'{"status": "SUCCESS", "x": NaN}', PollResult.INVALID),
        (b'{"status": "SUCCESS"', PollResult.INVALID),
        (b"[" * 100_000, PollResult.INVALID),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_a_body_of_any_shape_is_read_or_refused(
    router: respx.Router, body: bytes, result: PollResult
) -> None:
    router.get(f"{BASE}/tts/t1").respond(200, content=body)

    poll = await client(routed(router)).status(BASE, KEY, TTS, "t1")

    assert poll.answer.result is result


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (301, PollResult.UNEXPECTED_STATUS),
        (302, PollResult.UNEXPECTED_STATUS),
        (400, PollResult.UNEXPECTED_STATUS),
        (401, PollResult.UNAUTHORIZED),
        (403, PollResult.UNAUTHORIZED),
        (404, PollResult.NOT_FOUND),
        (410, PollResult.UNEXPECTED_STATUS),
        (422, PollResult.UNEXPECTED_STATUS),
        (429, PollResult.RATE_LIMITED),
        (500, PollResult.SERVER_ERROR),
        (503, PollResult.SERVER_ERROR),
        (599, PollResult.SERVER_ERROR),
        (600, PollResult.UNEXPECTED_STATUS),
    ],
)
async def test_a_status_other_than_2xx_says_nothing_about_the_task(
    router: respx.Router, status: int, result: PollResult
) -> None:
    router.get(f"{BASE}/tts/t1").respond(status, content=SUCCESS)

    poll = await client(routed(router)).status(BASE, KEY, TTS, "t1")

    assert poll.answer == UpstreamError(result=result, http_status=status)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("7", 7 * SECOND),
        ("Wed, 18 Nov 2026 11:07:40 GMT", 60 * SECOND),
        ("9" * 60, LONGEST_RETRY_AFTER),
        ("-1", None),
        ("\xfc", None),
    ],
)
async def test_what_camb_asks_us_to_wait_is_told_within_reason(
    router: respx.Router, status: int, value: str, wait: int | None
) -> None:
    response = httpx.Response(status, headers=[(b"retry-after", value.encode("latin-1"))])
    router.get(f"{BASE}/tts/t1").mock(response)
    clock = Clock(lambda: 0, lambda: WALL)

    poll = await client(routed(router), clock).status(BASE, KEY, TTS, "t1")

    assert isinstance(poll.answer, UpstreamError)
    assert poll.answer.retry_after == wait


async def test_a_redirect_is_not_followed_and_the_key_stays_here(wire: AiohttpTransport) -> None:
    async with (
        listening(answer("200 OK", SUCCESS)) as elsewhere,
        listening(answer("302 Found", location=f"{elsewhere.origin}/x")) as server,
    ):
        found = await ask(client(wire), server)

    assert found == UpstreamError(result=PollResult.UNEXPECTED_STATUS, http_status=302)
    assert elsewhere.connections == 0


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
COSTS_ONE_POLL: dict[str, tuple[Answer, PollResult]] = {
    "nothing": (closing(b""), PollResult.UNREACHABLE),
    "not HTTP": (b"hello\r\n\r\n", PollResult.UNREACHABLE),
    "1xx without end": (pouring(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), PollResult.UNREACHABLE),
    "a body cut off": (closing(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"), PollResult.UNREACHABLE),
    "10 MB": (answer("200 OK", b'"' + b"x" * 10_000_000 + b'"'), PollResult.INVALID),
    "a body without end": (pouring(HEAD, b" " * 65536), PollResult.INVALID),
    "gzip": (answer("200 OK", b"\x1f\x8b\x08\x00", content_encoding="gzip"), PollResult.INVALID),
    "a 204 with a body": (b"HTTP/1.1 204 No Content\r\n\r\n" + SUCCESS, PollResult.INVALID),
    "silence": (hanging(), PollResult.TIMEOUT),
    "a dripping head": (dripping(b"HTTP/1.1 200 OK\r\nx: "), PollResult.TIMEOUT),
    "a dripping body": (dripping(HEAD), PollResult.TIMEOUT),
    "a 404 that drips": (dripping(b"HTTP/1.1 404 Not Found\r\n\r\n"), PollResult.NOT_FOUND),
    "a 500 cut off": (
        closing(b"HTTP/1.1 500 Broken\r\ncontent-length: 99\r\n\r\n<"),
        PollResult.SERVER_ERROR,
    ),
}


@pytest.mark.parametrize(("raw", "result"), COSTS_ONE_POLL.values(), ids=COSTS_ONE_POLL)
async def test_an_answer_of_any_shape_costs_one_poll(
    wire: AiohttpTransport, raw: Answer, result: PollResult
) -> None:
    async with listening(raw) as server:
        found = await asyncio.wait_for(ask(client(wire, deadline=500 * MILLISECOND), server), 10)

    assert found.result is result
    assert len(server.received) == 1


async def test_a_body_of_exactly_the_bound_is_read(wire: AiohttpTransport) -> None:
    async with listening(answer("200 OK", SUCCESS)) as server:
        whole = await ask(client(wire, answer_bytes=len(SUCCESS)), server)
        cut = await ask(client(wire, answer_bytes=len(SUCCESS) - 1), server)

    assert (whole.result, cut.result) == (PollResult.TERMINAL, PollResult.INVALID)


async def test_nobody_listening_is_unreachable(wire: AiohttpTransport) -> None:
    base_url = f"http://127.0.0.1:{unused_port()}"

    poll = await client(wire).status(base_url, KEY, TTS, "t1")

    assert poll.answer == UpstreamError(result=PollResult.UNREACHABLE)


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (NameResolutionError("no such name"), PollResult.UNREACHABLE),
        (httpx.ConnectTimeout("late"), PollResult.TIMEOUT),
        (httpx.ReadError("reset"), PollResult.UNREACHABLE),
    ],
    ids=repr,
)
async def test_no_answer_is_told_by_type(error: httpx.TransportError, result: PollResult) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    poll = await client(httpx.MockTransport(fail)).status(BASE, KEY, TTS, "t1")

    assert poll.answer == UpstreamError(result=result)


async def test_connections_to_camb_are_kept(wire: AiohttpTransport) -> None:
    async with listening(OK) as server:
        for _ in range(3):
            await ask(client(wire), server)

    assert server.connections == 1


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (404, PollResult.NOT_FOUND),
        (401, PollResult.UNAUTHORIZED),
        (403, PollResult.UNAUTHORIZED),
        (500, PollResult.SERVER_ERROR),
    ],
)
async def test_a_key_is_checked_by_asking_after_a_task_that_does_not_exist(
    router: respx.Router, status: int, result: PollResult
) -> None:
    route = router.get(f"{BASE}/text-to-sound/relay-check-config").respond(status)

    checked = await client(routed(router)).check(BASE, KEY)

    assert checked is result
    assert route.call_count == 1
