"""What receivers answer with, on the wire: the status line and headers decide, and nothing but a proper 2xx is success."""

import gzip
from typing import Final

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from relay.domain.deliveries import Accepted, Failure, Rejected, Unreachable
from tests.receivers.calling import Caller
from tests.relays import SIGNING_SECRET
from tests.sockets import ACCEPTED, OK, Answer, answer, closing, listening

NOT_HTTP: Final = Unreachable(failure=Failure.PROTOCOL, detail="the answer was not proper HTTP")


def starting(line: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {line}", *headers, "content-length: 0", "", ""]).encode()


@pytest.mark.parametrize("status", [0, 99, 101, 300, 304, 399, 401, 407, 421, 426, 451, 511, 600, 999])
async def test_a_status_outside_2xx_is_a_failure_whatever_it_may_mean(caller: Caller, status: int) -> None:
    async with listening(starting(f"{status:03} Odd")) as server:
        attempt = await caller.call(server.origin)

    assert attempt.outcome == Rejected(http_status=status)
    assert len(server.received) == 1


@pytest.mark.parametrize("status", ["20", "2000", "2xx", "+200", "-200", "200.5", "２００"])  # noqa: RUF001 - wide digits
async def test_a_status_that_is_no_number_of_three_digits_is_no_answer(caller: Caller, status: str) -> None:
    async with listening(starting(f"{status} OK")) as server:
        attempt = await caller.call(server.origin)

    assert attempt.outcome == NOT_HTTP


OTHER_PROTOCOLS: Final[dict[str, bytes]] = {
    "HTTP/0.9": b"<html>it works</html>",
    "HTTP/2, its preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2, its settings": b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "HTTP/3 in words": b"HTTP/3 200 OK\r\n\r\n",
    "HTTP in small letters": b"http/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    "Shoutcast": b"ICY 200 OK\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.9\r\n",
    "SMTP": b"220 mail.test ESMTP\r\n",
    "a TLS alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "zeroes": b"\x00" * 1_000,
    "a byte order mark": b"\xef\xbb\xbf" + OK,
}


@pytest.mark.parametrize("said", OTHER_PROTOCOLS.values(), ids=OTHER_PROTOCOLS)
async def test_another_protocol_is_no_answer(caller: Caller, said: bytes) -> None:
    async with listening(closing(said)) as server:
        attempt = await caller.call(server.origin)

    assert attempt.outcome == NOT_HTTP


async def test_http_1_0_is_understood(caller: Caller) -> None:
    async with listening(closing(b"HTTP/1.0 200 OK\r\n\r\nok")) as server:
        attempt = await caller.call(server.origin)

    assert (attempt.outcome, attempt.answer) == (Accepted(http_status=200), b"ok")


HEADS_THAT_LIE: Final[dict[str, bytes]] = {
    "a negative length": b"content-length: -1",
    "a length with a sign": b"content-length: +2",
    "a length in hexadecimal": b"content-length: 0x2",
    "a length beyond any": b"content-length: 99999999999999999999999",
    "two lengths that differ": b"content-length: 2\r\ncontent-length: 3",
    "two lengths in one": b"content-length: 2, 2",
    "a length beside chunks": b"content-length: 2\r\ntransfer-encoding: chunked",
    "chunks beside a length": b"transfer-encoding: chunked\r\ncontent-length: 2",
    "a NUL in a value": b"x: a\x00b",
    "a bare carriage return": b"x: a\rb",
    "a space in a name": b"x y: a",
    "a line without a colon": b"nonsense",
}


@pytest.mark.parametrize("lie", HEADS_THAT_LIE.values(), ids=HEADS_THAT_LIE)
async def test_a_head_that_can_be_read_in_two_ways_is_no_answer(caller: Caller, lie: bytes) -> None:
    async with listening(b"HTTP/1.1 200 OK\r\n" + lie + b"\r\n\r\nok") as server:
        attempt = await caller.call(server.origin)

    assert (attempt.outcome, attempt.answer) == (NOT_HTTP, b"")


BODIES_THAT_LIE: Final[dict[str, tuple[Answer, bytes]]] = {
    "shorter than its length": (closing(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"), b"abc"),
    "longer than its length": (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nabc", b"a"),
    "a 204 with a length and a body": (b"HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nok", b""),
    "a 204 with a body of no length": (b"HTTP/1.1 204 No Content\r\n\r\n<html>thanks", b""),
    "a 204 in chunks": (
        b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"",
    ),
    "a 205 with a body": (b"HTTP/1.1 205 Reset Content\r\ncontent-length: 3\r\n\r\nabc", b"abc"),
    "a chunk beyond any": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\nabc",
        b"",
    ),
    "a chunk of no size": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc", b""),
    "said to be gzip and is not": (answer("200 OK", b"plain", content_encoding="gzip"), b"plain"),
    "in codings nobody knows": (answer("200 OK", b"odd", content_encoding="br, zstd, rot13"), b"odd"),
}


@pytest.mark.parametrize(("said", "kept"), BODIES_THAT_LIE.values(), ids=BODIES_THAT_LIE)
async def test_a_body_that_lies_does_not_take_a_2xx_back(caller: Caller, said: Answer, kept: bytes) -> None:
    async with listening(said) as server:
        attempt = await caller.call(server.origin)

    assert isinstance(attempt.outcome, Accepted)
    assert attempt.answer == kept
    assert len(server.received) == 1


async def test_a_gzip_bomb_is_kept_as_it_came_and_never_unpacked(caller: Caller) -> None:
    bomb = gzip.compress(bytes(20_000_000))
    async with listening(answer("500 Bang", bomb, content_encoding="gzip")) as server:
        attempt = await caller.call(server.origin)

    assert attempt.outcome == Rejected(http_status=500)
    assert attempt.answer == bomb[:4_096]
    assert server.received[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("value", [b"\xff\xfe", b"\xc3\xbc", "日本".encode(), b"\x80" * 500])
async def test_header_values_that_are_not_ascii_hurt_nobody(caller: Caller, value: bytes) -> None:
    names = (b"retry-after", b"location", b"server", b"set-cookie", b"content-type", b"content-encoding")
    head = b"".join(name + b": " + value + b"\r\n" for name in names)
    async with (
        listening(b"HTTP/1.1 204 No Content\r\n" + head + b"\r\n") as good,
        listening(b"HTTP/1.1 503 " + value + b"\r\n" + head + b"content-length: 0\r\n\r\n") as bad,
    ):
        accepted = await caller.call(good.origin)
        rejected = await caller.call(bad.origin)

    assert accepted.outcome == Accepted(http_status=204)
    assert rejected.outcome == Rejected(http_status=503, retry_after=None)


INVITATIONS: Final[dict[str, bytes]] = {
    "a refresh": answer("200 OK", refresh="0; url=http://169.254.169.254/"),
    "another service": answer("200 OK", alt_svc='h3=":443"'),
    "a password": answer("401 Unauthorized", www_authenticate='Basic realm="x"'),
    "a proxy's password": answer("407 Proxy Authentication Required", proxy_authenticate="Basic"),
    "another protocol": answer("426 Upgrade Required", upgrade="h2c", connection="upgrade"),
    "another connection": answer("421 Misdirected Request"),
    "more time": answer("408 Request Timeout", connection="close"),
    "a cookie": answer("400 Bad Request", set_cookie="a=b; Path=/"),
}


@pytest.mark.parametrize("said", INVITATIONS.values(), ids=INVITATIONS)
async def test_no_answer_makes_the_relay_ask_again_by_itself_or_remember_anything(
    caller: Caller, said: bytes
) -> None:
    async with listening(said) as server:
        for _ in range(2):
            await caller.call(f"http://hooks.test:{server.port}/")  # of an address no cookie would be kept

    first, second = server.received
    assert {received.method for received in server.received} == {b"POST"}
    assert first.headers.keys() == second.headers.keys()
    assert not {"cookie", "authorization", "proxy-authorization"} & second.headers.keys()


async def test_id_timestamp_and_body_are_all_under_the_signature(caller: Caller) -> None:
    async with listening(ACCEPTED) as server:
        await caller.call(server.origin)

    received = server.received[0]
    headers, webhook = received.headers, Webhook(SIGNING_SECRET)
    later = str(int(headers["webhook-timestamp"]) + 1)
    webhook.verify(received.body, headers)
    for changed, body in (
        (headers | {"webhook-id": "evt_other"}, received.body),
        (headers | {"webhook-timestamp": later}, received.body),
        (headers, received.body + b" "),
    ):
        with pytest.raises(WebhookVerificationError):
            webhook.verify(body, changed)
