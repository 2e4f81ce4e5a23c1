"""The transport on real sockets: what leaves, what is understood of the answer, and what is kept."""

import asyncio
import errno
import gzip
import socket
import ssl
import struct
from collections.abc import AsyncIterator

import httpx
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from relay.framing import MAX_HEADS
from relay.transport import (
    USER_AGENT,
    AiohttpTransport,
    NameResolutionError,
    TlsError,
    read_answer,
    release,
    tls_context,
)
from tests.sockets import (
    ACCEPTED,
    OK,
    Answer,
    Exchange,
    SocketServer,
    answer,
    closing,
    dripping,
    hanging,
    in_bytes,
    listening,
    pouring,
    unused_port,
)

LIMIT = 4096
INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    async with AiohttpTransport(tls_context()) as transport:
        yield transport


async def exchange(
    transport: AiohttpTransport, request: httpx.Request, limit: int = LIMIT
) -> tuple[httpx.Response, bytes]:
    body = bytearray()
    response = await transport.handle_async_request(request)
    try:
        await read_answer(response, limit, body)
    finally:
        await release(response)
    return response, bytes(body)


def untrusted(reason: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "127.0.0.1")
    error.verify_message = reason
    return error


def get(server: SocketServer, target: bytes = b"/") -> httpx.Request:
    return httpx.Request("GET", server.origin, extensions={"target": target})


def post(server: SocketServer, body: bytes = b"{}") -> httpx.Request:
    return httpx.Request("POST", server.origin, headers={"content-type": "application/json"}, content=body)


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/a/../b",
        b"/./a",
        b"//x",
        b"/a//b/",
        b"/?sig=a%2Bb%2Fc%3D",
        b"/a?b?c?",
        b"/a??",
        b"/%2e%2e/%2E",
        b"/tts/%2e%2e",
        b"/tts/a%2Fb%3Fc",
        b"/%C3%BC/%c3%bc",
        b"/%zz%",
        b"/a+b;c=d,e:f@g!$&'()*",
        b'/{"a"}|\\^`[x]<y>',
    ],
)
async def test_a_target_reaches_the_wire_byte_for_byte(transport: AiohttpTransport, target: bytes) -> None:
    async with listening(OK) as server:
        await exchange(transport, get(server, target))

    assert server.received[0].target == target


async def test_without_a_target_the_url_says_where_to_go(transport: AiohttpTransport) -> None:
    async with listening(OK) as server:
        await exchange(transport, httpx.Request("GET", f"{server.origin}/a?b=c"))

    assert server.received[0].target == b"/a?b=c"


async def test_headers_and_body_leave_as_given_and_nothing_is_added_but_the_necessary(
    transport: AiohttpTransport,
) -> None:
    async with listening(OK) as server:
        await exchange(transport, post(server, b'{"a": 1}'))

    received = server.received[0]
    assert received.method == b"POST"
    assert received.body == b'{"a": 1}'
    assert received.headers == {
        "host": f"127.0.0.1:{server.port}",
        "accept": "*/*",
        "accept-encoding": "identity",
        "user-agent": USER_AGENT,
        "content-type": "application/json",
        "content-length": "8",
    }


async def test_a_callers_user_agent_replaces_ours(transport: AiohttpTransport) -> None:
    async with listening(OK) as server:
        await exchange(transport, httpx.Request("GET", server.origin, headers={"user-agent": "mine"}))

    assert server.received[0].headers["user-agent"] == "mine"


async def test_a_get_carries_no_body_and_no_length(transport: AiohttpTransport) -> None:
    async with listening(OK) as server:
        await exchange(transport, get(server))

    assert "content-length" not in server.received[0].headers


async def test_an_ipv6_literal_is_dialled_and_bracketed(transport: AiohttpTransport) -> None:
    async with listening(OK, host="::1") as server:
        await exchange(transport, get(server))

    assert server.received[0].headers["host"] == f"[::1]:{server.port}"


async def test_no_cookie_is_kept(transport: AiohttpTransport) -> None:
    async with listening(answer("200 OK", set_cookie="a=b; Path=/")) as server:
        await exchange(transport, get(server))
        await exchange(transport, get(server))

    assert "cookie" not in server.received[1].headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_is_never_followed(
    transport: AiohttpTransport, status: int
) -> None:
    async with listening(answer(f"{status} Moved", location="/elsewhere")) as server:
        response, _ = await exchange(transport, post(server))

    assert response.status_code == status
    assert len(server.received) == 1


async def test_the_environments_proxy_is_not_used(
    transport: AiohttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(OK) as server, listening(answer("502 Proxy")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.origin)
        response, _ = await exchange(transport, get(server))

    assert response.status_code == 200


async def test_nothing_is_decompressed_and_a_bomb_stays_small(transport: AiohttpTransport) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    async with listening(answer("200 OK", bomb, content_encoding="gzip")) as server:
        _, body = await exchange(transport, get(server))

    assert body == bomb[:LIMIT]


async def test_a_body_read_to_its_end_gives_the_connection_back(transport: AiohttpTransport) -> None:
    async with listening(OK) as server:
        for _ in range(3):
            await exchange(transport, post(server))

    assert server.connections == 1


async def test_a_body_longer_than_its_bound_drops_the_connection(transport: AiohttpTransport) -> None:
    async with listening(answer("200 OK", b"x" * 5_000_000), OK) as server:
        _, body = await exchange(transport, post(server), limit=10)
        await exchange(transport, post(server))

    assert body == b"x" * 10
    assert server.connections == 2


async def test_a_body_of_exactly_its_bound_is_whole(transport: AiohttpTransport) -> None:
    body = bytearray()
    async with listening(OK) as server:
        response = await transport.handle_async_request(get(server))
        whole = await read_answer(response, 2, body)
        await release(response)

    assert whole
    assert body == b"ok"


async def test_an_endless_answer_is_read_to_its_bound_and_hung_up_on(transport: AiohttpTransport) -> None:
    async with listening(pouring(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536)) as server:
        _, body = await exchange(transport, get(server))
        await asyncio.wait_for(server.hung_up.wait(), 5)

    assert body == b"x" * LIMIT


DECIDED = {
    "a 204 with a body": (b"HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nok", 204, b""),
    "a 204 with a body of no length": (b"HTTP/1.1 204 No Content\r\n\r\n<html>something", 204, b""),
    "a 304 with a body": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 2\r\n\r\nok", 304, b""),
    "more than was announced": (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokand more", 200, b"ok"),
    "a status beyond 599": (b"HTTP/1.1 600 Odd\r\ncontent-length: 0\r\n\r\n", 600, b""),
    "no reason": (b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", 200, b""),
    "bare line feeds": (b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok", 200, b"ok"),
    "an upgrade": (b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", 101, b""),
    "an early hint": (INTERIM + OK, 200, b"ok"),
    "as many hints as may be": (INTERIM * (MAX_HEADS - 1) + OK, 200, b"ok"),
    "headers beyond ASCII": (
        b"HTTP/1.1 200 OK\r\nx: \xff\xc3\xbc\r\nset-cookie: \xff=\xff\r\ncontent-length: 0\r\n\r\n",
        200,
        b"",
    ),
}


@pytest.mark.parametrize(("raw", "status", "kept"), DECIDED.values(), ids=DECIDED)
async def test_status_line_and_headers_decide_whatever_follows_them(
    transport: AiohttpTransport, raw: bytes, status: int, kept: bytes
) -> None:
    async with listening(raw) as server:
        response, body = await exchange(transport, post(server))

    assert response.status_code == status
    assert body == kept


async def test_an_answer_in_single_bytes_is_understood(transport: AiohttpTransport) -> None:
    async with listening(in_bytes(INTERIM + OK)) as server:
        response, body = await exchange(transport, post(server))

    assert response.status_code == 200
    assert body == b"ok"


async def test_header_values_that_are_not_ascii_can_be_read(transport: AiohttpTransport) -> None:
    raw = b"HTTP/1.1 503 Down\r\nretry-after: \xc3\xbc\xff\r\ncontent-length: 0\r\n\r\n"
    async with listening(raw) as server:
        response, _ = await exchange(transport, post(server))

    assert response.headers["retry-after"] == "\xc3\xbc\xff"


NOT_HTTP: dict[str, Answer] = {
    "nothing": closing(b""),
    "half a head": closing(b"HTTP/1.1 200 OK\r\ncontent-le"),
    "another protocol": b"SSH-2.0-OpenSSH_9.9\r\n",
    "a body alone": b"hello",
    "a status of four digits": b"HTTP/1.1 1000 Odd\r\n\r\n",
    "NUL in a header": b"HTTP/1.1 200 OK\r\nx: a\x00b\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
    "a huge header": b"HTTP/1.1 200 OK\r\nx: " + b"a" * 20_000 + b"\r\n\r\n",
    "too many headers": b"HTTP/1.1 200 OK\r\n" + b"x: a\r\n" * 1000 + b"\r\n",
    "too many early hints": INTERIM * MAX_HEADS + OK,
    "empty lines": b"\r\n" * 100_000,
    "1xx without end": pouring(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
}


@pytest.mark.parametrize("raw", NOT_HTTP.values(), ids=NOT_HTTP)
async def test_what_is_not_an_http_answer_is_a_protocol_error(
    transport: AiohttpTransport, raw: Answer
) -> None:
    async with listening(raw) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            await asyncio.wait_for(exchange(transport, post(server)), 5)

    assert len(server.received) == 1


BROKEN: dict[str, Answer] = {
    "too short": closing(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"),
    "no chunk": CHUNKED + b"zz\r\n",
    "no second chunk": CHUNKED + b"3\r\nabc\r\nzz\r\n",
    "half a chunk": closing(CHUNKED + b"3\r\nab"),
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
async def test_a_broken_body_fails_once_its_break_is_known(transport: AiohttpTransport, raw: Answer) -> None:
    async with listening(raw) as server:
        response = await transport.handle_async_request(get(server))
        with pytest.raises(httpx.RemoteProtocolError):
            await asyncio.wait_for(read_answer(response, LIMIT, bytearray()), 5)
        await release(response)

    assert response.status_code == 200


async def test_a_connection_reset_within_a_body_is_told(transport: AiohttpTransport) -> None:
    async with listening(hanging(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")) as server:
        response = await transport.handle_async_request(get(server))
        server.writers[0].transport.abort()
        with pytest.raises(httpx.TransportError):
            await asyncio.wait_for(read_answer(response, LIMIT, bytearray()), 5)
        await release(response)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_nothing_is_ever_sent_twice_by_itself(transport: AiohttpTransport, method: str) -> None:
    async with listening(OK, closing(b""), OK) as server:
        await exchange(transport, httpx.Request(method, server.origin, content=b"x"))
        with pytest.raises(httpx.RemoteProtocolError):
            await exchange(transport, httpx.Request(method, server.origin, content=b"x"))

    assert len(server.received) == 2


async def test_an_answer_nobody_asked_for_answers_no_later_request(transport: AiohttpTransport) -> None:
    async with listening(OK) as server:
        await exchange(transport, post(server))
        server.writers[0].write(answer("500 Forged"))
        await asyncio.wait_for(server.hung_up.wait(), 5)
        response, _ = await exchange(transport, post(server))

    assert response.status_code == 200
    assert server.connections == 2


async def test_a_connection_that_was_hung_up_on_without_a_word_is_not_sent_into(
    transport: AiohttpTransport,
) -> None:
    async with listening(closing(OK)) as server:
        answers = [await exchange(transport, post(server)) for _ in range(20)]

    assert {response.status_code for response, _ in answers} == {200}
    assert server.connections == len(server.received) == 20


async def test_a_refused_connection_names_no_address(transport: AiohttpTransport) -> None:
    port = unused_port()

    with pytest.raises(httpx.ConnectError, match="Connection refused") as refused:
        await exchange(transport, httpx.Request("GET", f"http://127.0.0.1:{port}"))

    assert "127" not in str(refused.value)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TimeoutError(errno.ETIMEDOUT, "127.0.0.1"), httpx.ConnectTimeout),
        (OSError(errno.ENETUNREACH, "127.0.0.1"), httpx.ConnectError),
        (OSError("127.0.0.1"), httpx.ConnectError),
        (ConnectionResetError(), TlsError),
        (untrusted("certificate has expired"), TlsError),
    ],
    ids=repr,
)
async def test_what_went_wrong_before_the_request_is_told_by_type_and_names_no_address(
    error: OSError, told: type[httpx.TransportError]
) -> None:
    def fail(_: object) -> socket.socket:
        raise error

    async with AiohttpTransport(tls_context(), socket_factory=fail) as transport:
        with pytest.raises(told) as failure:
            await exchange(transport, httpx.Request("GET", "http://127.0.0.1"))

    assert type(failure.value) is told
    assert str(failure.value)
    assert "127" not in str(failure.value)


async def test_a_connection_reset_before_an_answer_is_told(transport: AiohttpTransport) -> None:
    async def reset(exchange_: Exchange) -> None:
        linger = struct.pack("ii", 1, 0)
        exchange_.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        exchange_.writer.transport.abort()

    async with listening(reset) as server:
        with pytest.raises(httpx.NetworkError, match="the connection was lost"):
            await exchange(transport, post(server))


class NoNames(AbstractResolver):
    def __init__(self, error: Exception) -> None:
        self._error = error

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        raise self._error

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("error", [OSError(-2, "Name or service not known"), UnicodeError("label too long")])
async def test_a_name_that_cannot_be_resolved_is_told_apart(error: Exception) -> None:
    async with AiohttpTransport(tls_context(), resolver=NoNames(error)) as transport:
        with pytest.raises(NameResolutionError):
            await exchange(transport, httpx.Request("GET", "http://nowhere.example"))


def anonymous(purpose: int) -> ssl.SSLContext:
    """TLS without a certificate, so that the tests need none."""
    context = ssl.SSLContext(purpose)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AECDH-AES128-SHA:@SECLEVEL=0")
    return context


async def test_tls_connections_are_kept_and_told_the_name_they_are_for() -> None:
    names: list[str | None] = []
    server_side = anonymous(ssl.PROTOCOL_TLS_SERVER)
    server_side.sni_callback = lambda _socket, name, _context: names.append(name)
    client_side = anonymous(ssl.PROTOCOL_TLS_CLIENT)
    async with (
        listening(OK, tls=server_side) as server,
        AiohttpTransport(client_side, resolver=Loopback()) as transport,
    ):
        for _ in range(2):
            await exchange(transport, httpx.Request("GET", f"https://callbacks.example:{server.port}/"))

    assert names == ["callbacks.example"]
    assert server.connections == 1
    assert len(server.received) == 2


class Loopback(NoNames):
    def __init__(self) -> None:
        super().__init__(OSError())

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=2, proto=0, flags=0)]


async def test_a_failed_handshake_is_told_apart(transport: AiohttpTransport) -> None:
    async with listening(OK, tls=anonymous(ssl.PROTOCOL_TLS_SERVER)) as server:
        with pytest.raises(TlsError):
            await exchange(transport, get(server))

    assert server.received == []


async def test_plain_http_behind_an_https_url_is_a_tls_error(transport: AiohttpTransport) -> None:
    def blurt(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        writer.close()

    async with await asyncio.start_server(blurt, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TlsError):
            await exchange(transport, httpx.Request("GET", f"https://127.0.0.1:{port}"))


async def test_cancelling_a_request_hangs_up(transport: AiohttpTransport) -> None:
    async with listening(hanging()) as server:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(exchange(transport, post(server)), 0.2)
        server.ended.set()
        await asyncio.wait_for(server.hung_up.wait(), 5)

    assert len(server.received) == 1


async def test_a_dripping_body_can_be_left_at_any_time(transport: AiohttpTransport) -> None:
    body = bytearray()
    async with listening(dripping(b"HTTP/1.1 200 OK\r\n\r\n")) as server:
        response = await transport.handle_async_request(get(server))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read_answer(response, LIMIT, body), 0.2)
        await release(response)
        await asyncio.wait_for(server.hung_up.wait(), 5)

    assert set(body) == {ord("x")}


async def test_it_must_be_entered_before_it_is_used() -> None:
    transport = AiohttpTransport(tls_context())

    with pytest.raises(RuntimeError, match="enter the transport"):
        await transport.handle_async_request(httpx.Request("GET", "http://127.0.0.1"))
    await transport.aclose()


async def test_many_requests_go_out_at_once(transport: AiohttpTransport) -> None:
    async with listening(ACCEPTED) as server:
        answers = await asyncio.gather(*(exchange(transport, post(server)) for _ in range(150)))

    assert {response.status_code for response, _ in answers} == {204}
    assert len(server.received) == 150
