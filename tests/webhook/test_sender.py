import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import httpx
import pytest
import respx
from standardwebhooks import Webhook

from relay.clock import Clock, system_clock
from relay.domain.addresses import AllowHttp, NetworkPolicy, parse_networks
from relay.domain.clients import CallbackHeader, Client
from relay.domain.deliveries import Accepted, Blocked, Failure, Outcome, Rejected, Unreachable
from relay.domain.ids import EventId, RegistrationId
from relay.domain.instants import MILLISECOND, SECOND, Instant, Span
from relay.domain.keys import SharedSecret
from relay.domain.registrations import EventType
from relay.domain.urls import parse_callback_url
from relay.transport import USER_AGENT, BlockedAddress, NameResolutionError, TlsError, tls_context
from relay.webhook.guard import GuardedTransport
from relay.webhook.sender import Message, Sender
from relay.webhook.signing import Signer
from tests.sockets import (
    ACCEPTED,
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

KEY = SharedSecret(secret=bytes(range(32)))
BODY = b'{"type":"task.succeeded"}'
URL = "https://callbacks.example/hook?token=t"
AT_HOME = NetworkPolicy(allow_networks=parse_networks(["loopback"]), allow_http=AllowHttp.ALLOWED_NETWORKS)

MESSAGE = Message(
    event_id=EventId("evt_1"),
    event_type=EventType.TASK_SUCCEEDED,
    registration_id=RegistrationId("reg_1"),
    task_id="a/b?c ü",
    kind="tts",
    attempt=3,
    url=parse_callback_url(URL),
    body=BODY,
    client="shop",
)
SHOP = Client(
    name="shop",
    camb_base_url="https://camb.test",
    camb_api_key="k",
    api_token_digests=frozenset(),
    signing_keys=(KEY,),
    default_kind="tts",
)


@dataclass
class Hands:
    """A clock's two sources, moved by hand."""

    monotonic: int = 5 * SECOND
    wall: int = 1_795_000_000 * SECOND

    def clock(self) -> Clock:
        return Clock(lambda: self.monotonic, lambda: self.wall)


def sender(
    transport: httpx.AsyncBaseTransport,
    clock: Clock | None = None,
    *,
    clients: Sequence[Client] = (SHOP,),
    deadline: int = 15 * SECOND,
    answer_bytes: int = 4096,
) -> Sender:
    return Sender(
        transport,
        clients=clients,
        clock=clock or system_clock(),
        deadline=Span(deadline),
        answer_bytes=answer_bytes,
    )


def with_headers(*headers: CallbackHeader) -> list[Client]:
    return [replace(SHOP, callback_headers=headers)]


def routed(router: respx.Router) -> httpx.MockTransport:
    return httpx.MockTransport(router.async_handler)


def to(server: SocketServer, target: str = "/") -> Message:
    return replace(MESSAGE, url=parse_callback_url(server.origin + target))


@pytest.fixture
def router() -> respx.Router:
    return respx.Router()


@pytest.fixture
async def wire() -> AsyncIterator[GuardedTransport]:
    async def home(_: str) -> tuple[str, ...]:
        return ("127.0.0.1",)

    async with GuardedTransport(AT_HOME, home, tls_context()) as transport:
        yield transport


async def test_a_notification_carries_the_headers_of_standard_webhooks_and_our_own(
    router: respx.Router,
) -> None:
    route = router.post(URL).respond(204)
    hands = Hands()

    attempt = await sender(routed(router), hands.clock()).send(MESSAGE)

    request = route.calls.last.request
    assert attempt.outcome == Accepted(http_status=204)
    assert request.content == BODY
    assert dict(request.headers) == {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "webhook-id": "evt_1",
        "webhook-timestamp": "1795000000",
        "webhook-signature": Signer([KEY]).sign("evt_1", 1_795_000_000, BODY).decode(),
        "relay-registration-id": "reg_1",
        "relay-task-id": "a%2Fb%3Fc%20%C3%BC",
        "relay-kind": "tts",
        "relay-event-type": "task.succeeded",
        "relay-attempt": "3",
    }


async def test_a_test_event_has_no_headers_of_a_task(router: respx.Router) -> None:
    route = router.post(URL).respond(200)
    message = replace(
        MESSAGE, event_type=EventType.RELAY_TEST, registration_id=None, task_id=None, kind=None, attempt=1
    )

    await sender(routed(router)).send(message)

    ours = {name for name in route.calls.last.request.headers if name.startswith("relay-")}
    assert ours == {"relay-event-type", "relay-attempt"}


async def test_the_timestamp_is_the_wall_clocks_at_each_attempt(router: respx.Router) -> None:
    route = router.post(URL).respond(200)
    hands = Hands()
    sending = sender(routed(router), hands.clock())

    await sending.send(MESSAGE)
    hands.wall += 300 * SECOND
    await sending.send(MESSAGE)

    assert [call.request.headers["webhook-timestamp"] for call in route.calls] == ["1795000000", "1795000300"]


async def test_an_attempt_knows_when_it_began_and_how_long_it_took() -> None:
    hands = Hands()
    clock = hands.clock()

    def take_a_while(_: httpx.Request) -> httpx.Response:
        hands.monotonic += 250 * MILLISECOND
        return httpx.Response(200)

    attempt = await sender(httpx.MockTransport(take_a_while), clock).send(MESSAGE)

    assert attempt.started_at == Instant(1_795_000_000 * SECOND)
    assert attempt.duration == 250 * MILLISECOND


async def test_an_independent_verifier_accepts_what_arrives_on_the_wire(wire: GuardedTransport) -> None:
    async with listening(ACCEPTED) as server:
        attempt = await sender(wire).send(to(server))

    received = server.received[0]
    assert attempt.outcome == Accepted(http_status=204)
    assert Webhook(KEY.text).verify(received.body, received.headers) == {"type": "task.succeeded"}


@pytest.mark.parametrize(
    "target",
    [
        "/a/../b",
        "/?sig=a%2Bb%2Fc%3D",
        "//x",
        "/%2e%2e/%2E",
        "/a?b?",
        "/%zz",
        "/{x}|y",
        "/a?x=%C3%BC&y=%c3%bc",
    ],
)
async def test_a_callback_url_reaches_the_wire_byte_for_byte(wire: GuardedTransport, target: str) -> None:
    async with listening(ACCEPTED) as server:
        await sender(wire).send(to(server, target))

    assert server.received[0].target == target.encode()


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 299])
async def test_any_2xx_is_success(router: respx.Router, status: int) -> None:
    router.post(URL).respond(status)

    attempt = await sender(routed(router)).send(MESSAGE)

    assert attempt.outcome == Accepted(http_status=status)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_is_never_followed(wire: GuardedTransport, status: int) -> None:
    async with listening(answer(f"{status} Moved", location="/elsewhere")) as server:
        attempt = await sender(wire).send(to(server))

    assert attempt.outcome == Rejected(http_status=status)
    assert len(server.received) == 1


@pytest.mark.parametrize("status", [101, 400, 401, 404, 410, 429, 500, 502, 503, 504, 600])
async def test_anything_else_is_a_failure(router: respx.Router, status: int) -> None:
    router.post(URL).respond(status)

    attempt = await sender(routed(router)).send(MESSAGE)

    assert attempt.outcome == Rejected(http_status=status)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("120", 120 * SECOND),
        ("Wed, 18 Nov 2026 11:07:40 GMT", 60 * SECOND),
        ("0", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("5, 10", None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", None),
        ("\xfc", None),
    ],
)
async def test_what_retry_after_asks_for_is_told(router: respx.Router, value: str, wait: int | None) -> None:
    router.post(URL).mock(httpx.Response(503, headers=[(b"retry-after", value.encode("latin-1"))]))
    hands = Hands()

    attempt = await sender(routed(router), hands.clock()).send(MESSAGE)

    assert attempt.outcome == Rejected(http_status=503, retry_after=None if wait is None else Span(wait))


async def test_the_beginning_of_the_answer_is_kept(wire: GuardedTransport) -> None:
    async with listening(answer("500 Broken", b"a\x00\xff" * 2000)) as server:
        attempt = await sender(wire).send(to(server))

    assert attempt.answer == (b"a\x00\xff" * 2000)[:4096]


async def test_an_endless_answer_is_cut_and_changes_nothing(wire: GuardedTransport) -> None:
    async with listening(pouring(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536)) as server:
        attempt = await sender(wire).send(to(server))
        await asyncio.wait_for(server.hung_up.wait(), 10)

    assert attempt.outcome == Accepted(http_status=200)
    assert attempt.answer == b"x" * 4096


async def test_a_body_that_drips_past_the_deadline_changes_nothing(wire: GuardedTransport) -> None:
    async with listening(dripping(b"HTTP/1.1 200 OK\r\n\r\n")) as server:
        attempt = await sender(wire, deadline=300 * MILLISECOND).send(to(server))
        await asyncio.wait_for(server.hung_up.wait(), 10)

    assert attempt.outcome == Accepted(http_status=200)
    assert set(attempt.answer) == {ord("x")}
    assert 300 * MILLISECOND <= attempt.duration < 3 * SECOND


BODIES_THAT_CHANGE_NOTHING: dict[str, Answer] = {
    "a 204 with a body": b"HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nok",
    "a broken chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    "a connection cut": closing(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"),
    "more than announced": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more",
    "headers beyond ASCII": b"HTTP/1.1 200 OK\r\nx: \xff\xc3\xbc\r\nretry-after: \xff\r\ncontent-length: 0\r\n\r\n",
}


@pytest.mark.parametrize("raw", BODIES_THAT_CHANGE_NOTHING.values(), ids=BODIES_THAT_CHANGE_NOTHING)
async def test_the_status_line_and_headers_decide(wire: GuardedTransport, raw: Answer) -> None:
    async with listening(raw) as server:
        attempt = await sender(wire).send(to(server))

    assert isinstance(attempt.outcome, Accepted)


@pytest.mark.parametrize(
    "raw",
    [hanging(), hanging(b"HTTP/1.1 200 OK\r\n"), dripping(b"HTTP/1.1 200 OK\r\nx: ")],
    ids=["nothing", "half a head", "a dripping head"],
)
async def test_no_answer_within_the_deadline_is_a_timeout(wire: GuardedTransport, raw: Answer) -> None:
    async with listening(raw) as server:
        attempt = await sender(wire, deadline=300 * MILLISECOND).send(to(server))

    assert attempt.outcome == Unreachable(failure=Failure.TIMEOUT, detail="no answer within 0.3 s")
    assert attempt.duration < 3 * SECOND


async def test_the_deadline_covers_the_lookup_of_the_name() -> None:
    async def lookup(_: str) -> tuple[str, ...]:
        await asyncio.Event().wait()
        return ()

    async with GuardedTransport(AT_HOME, lookup, tls_context()) as transport:
        attempt = await sender(transport, deadline=100 * MILLISECOND).send(MESSAGE)

    assert attempt.outcome == Unreachable(failure=Failure.TIMEOUT, detail="no answer within 0.1 s")


async def test_floods_of_1xx_end_in_a_protocol_failure(wire: GuardedTransport) -> None:
    async with listening(pouring(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)) as server:
        attempt = await sender(wire).send(to(server))

    assert attempt.label == "protocol"
    assert attempt.duration < 5 * SECOND


async def test_nobody_listening_is_a_failure_to_connect_that_names_no_address(wire: GuardedTransport) -> None:
    url = parse_callback_url(f"http://127.0.0.1:{unused_port()}/")

    attempt = await sender(wire).send(replace(MESSAGE, url=url))

    assert attempt.outcome == Unreachable(failure=Failure.CONNECT, detail="Connection refused")


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (NameResolutionError("no such name"), Unreachable(failure=Failure.DNS, detail="no such name")),
        (TlsError("expired"), Unreachable(failure=Failure.TLS, detail="expired")),
        (httpx.ConnectError("refused"), Unreachable(failure=Failure.CONNECT, detail="refused")),
        (httpx.ConnectTimeout("late"), Unreachable(failure=Failure.TIMEOUT, detail="late")),
        (httpx.ReadTimeout("late"), Unreachable(failure=Failure.TIMEOUT, detail="late")),
        (httpx.RemoteProtocolError("odd"), Unreachable(failure=Failure.PROTOCOL, detail="odd")),
        (httpx.ReadError("reset"), Unreachable(failure=Failure.PROTOCOL, detail="reset")),
        (BlockedAddress("no", final=True), Blocked(rule="no", final=True)),
        (BlockedAddress("no", final=False), Blocked(rule="no", final=False)),
    ],
    ids=repr,
)
async def test_why_nothing_was_answered_is_told_by_type(
    error: httpx.TransportError, outcome: Outcome
) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    attempt = await sender(httpx.MockTransport(fail)).send(MESSAGE)

    assert attempt.outcome == outcome
    assert attempt.answer == b""


@pytest.mark.parametrize(
    ("url", "final"),
    [
        ("http://callbacks.example/", True),
        ("https://127.0.0.1/", True),
        ("https://[::ffff:7f00:1]/", True),
        ("https://callbacks.example/", False),
    ],
)
async def test_only_what_the_url_itself_says_is_blocked_for_good(url: str, *, final: bool) -> None:
    async def home(_: str) -> tuple[str, ...]:
        return ("127.0.0.1",)

    async with GuardedTransport(NetworkPolicy(), home, tls_context()) as transport:
        attempt = await sender(transport).send(replace(MESSAGE, url=parse_callback_url(url)))

    assert isinstance(attempt.outcome, Blocked)
    assert attempt.outcome.final == final
    assert "127" not in attempt.outcome.rule


async def test_cancelling_an_attempt_cancels_it(wire: GuardedTransport) -> None:
    async with listening(hanging(b"HTTP/1.1 200 OK\r\n\r\nabc")) as server:
        attempt = asyncio.create_task(sender(wire).send(to(server)))
        await asyncio.wait_for(server.arrived.wait(), 10)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        server.ended.set()
        await asyncio.wait_for(server.hung_up.wait(), 10)


async def test_connections_to_one_callback_are_kept(wire: GuardedTransport) -> None:
    async with listening(OK) as server:
        for _ in range(3):
            await sender(wire).send(to(server))

    assert server.connections == 1


async def test_a_callback_header_goes_to_its_origin(wire: GuardedTransport) -> None:
    value = 'a=b; "c"=\\d\te, f'
    async with listening(ACCEPTED) as server:
        headers = with_headers(
            CallbackHeader(origin=server.origin, name="authorization", value="Bearer of-the-gateway"),
            CallbackHeader(origin=server.origin, name="cookie", value=value),
            CallbackHeader(origin="https://callbacks.example", name="x-other", value="elsewhere"),
        )
        await sender(wire, clients=headers).send(to(server))

    received = server.received[0].headers
    assert received["authorization"] == "Bearer of-the-gateway"
    assert received["cookie"] == value
    assert "x-other" not in received
    assert received["webhook-id"] == "evt_1"


@pytest.mark.parametrize(
    ("origin", "url"),
    [
        ("https://callbacks.example", "http://callbacks.example/hook"),
        ("https://callbacks.example", "https://callbacks.example:8443/hook"),
        ("https://callbacks.example:8443", "https://callbacks.example/hook"),
        ("https://callbacks.example", "https://callbacks.example./hook"),
        ("https://callbacks.example", "https://www.callbacks.example/hook"),
        ("https://callbacks.example", "https://callbacks.example.evil.example/hook"),
        ("https://callbacks.example", "https://evil.example/?https://callbacks.example"),
        ("https://[2001:db8::1]", "https://[2001:db8::2]/"),
    ],
)
async def test_no_other_origin_gets_a_callback_header(router: respx.Router, origin: str, url: str) -> None:
    route = router.post(url).respond(204)
    headers = with_headers(CallbackHeader(origin=origin, name="authorization", value="Bearer canary"))

    await sender(routed(router), clients=headers).send(replace(MESSAGE, url=parse_callback_url(url)))

    assert "authorization" not in route.calls.last.request.headers


@pytest.mark.parametrize(
    "url",
    [
        "https://callbacks.example:443/hook",
        "https://CALLBACKS.example/hook",
        "HTTPS://callbacks.example?to=hook",
    ],
)
async def test_other_spellings_of_an_origin_are_that_origin(url: str) -> None:
    requests = []

    def take(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(204)

    headers = with_headers(
        CallbackHeader(origin="https://callbacks.example", name="authorization", value="Bearer canary")
    )

    await sender(httpx.MockTransport(take), clients=headers).send(
        replace(MESSAGE, url=parse_callback_url(url))
    )

    assert requests[0].headers["authorization"] == "Bearer canary"


async def test_another_client_does_not_send_a_clients_callback_headers(router: respx.Router) -> None:
    route = router.post(URL).respond(204)
    gateway = CallbackHeader(origin="https://callbacks.example", name="authorization", value="Bearer canary")
    clients = [*with_headers(gateway), replace(SHOP, name="other")]

    await sender(routed(router), clients=clients).send(replace(MESSAGE, client="other"))

    assert "authorization" not in route.calls.last.request.headers


async def test_a_redirect_takes_a_callback_header_nowhere(wire: GuardedTransport) -> None:
    async with (
        listening(ACCEPTED) as elsewhere,
        listening(answer("307 Moved", location=elsewhere.origin)) as server,
    ):
        gateway = CallbackHeader(origin=server.origin, name="authorization", value="Bearer canary")
        attempt = await sender(wire, clients=with_headers(gateway)).send(to(server))

    assert attempt.outcome == Rejected(http_status=307)
    assert len(server.received) == 1
    assert elsewhere.received == []


async def test_a_callback_that_repeats_the_header_it_was_sent_is_kept_without_it(
    wire: GuardedTransport,
) -> None:
    async with listening(
        answer("500 Broken", b'{"authorization": "Bearer canary-of-the-gateway"}')
    ) as server:
        gateway = CallbackHeader(
            origin=server.origin, name="authorization", value="Bearer canary-of-the-gateway"
        )
        attempt = await sender(wire, clients=with_headers(gateway)).send(to(server))

    assert attempt.answer == b'{"authorization": "***"}'


async def test_the_beginning_of_a_value_at_the_bound_of_an_answer_is_not_kept(
    wire: GuardedTransport,
) -> None:
    async with listening(answer("500 Broken", b"got: Bearer canary-of-the-gateway")) as server:
        gateway = CallbackHeader(
            origin=server.origin, name="authorization", value="Bearer canary-of-the-gateway"
        )
        attempt = await sender(wire, clients=with_headers(gateway), answer_bytes=20).send(to(server))

    assert attempt.answer == b"got: ***"
