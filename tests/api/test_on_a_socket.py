from collections.abc import AsyncIterator

import orjson
import pytest
from structlog.testing import capture_logs

from relay.api.requests import MAX_BODY
from relay.ports import create_app
from tests.relays import HOOK, TOKEN, RelayInHand
from tests.serving import RawAnswer, Served, serving

GOOD = orjson.dumps({"task_id": "task-1", "callback_url": HOOK})
LARGE = GOOD + b" " * MAX_BODY


def head(*more: bytes) -> bytes:
    lines = (
        b"POST /v1/registrations HTTP/1.1",
        b"host: relay",
        b"authorization: Bearer " + TOKEN.encode(),
        b"content-type: application/json",
        *more,
    )
    return b"\r\n".join(lines) + b"\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.fixture
async def served(relay: RelayInHand) -> AsyncIterator[Served]:
    async with serving(create_app(relay.relay)) as served:
        yield served


def refused_as_too_large(answer: RawAnswer) -> bool:
    document = orjson.loads(answer.body)
    return (
        answer.status == document["status"] == 413
        and answer.headers["content-type"] == "application/problem+json"
        and document["detail"] == f"the body must be at most {MAX_BODY} bytes"
        and answer.headers["connection"] == "close"
    )


async def test_what_announces_too_much_is_refused_before_it_is_sent(
    relay: RelayInHand, served: Served
) -> None:
    before = await relay.stored()

    answer = await served.exchange(head(b"content-length: 100000000"), b"{")

    assert refused_as_too_large(answer)
    assert await relay.stored() == before


async def test_what_is_sent_whole_and_too_large_is_refused(relay: RelayInHand, served: Served) -> None:
    before = await relay.stored()

    answer = await served.exchange(head(b"content-length: %d" % len(LARGE)), LARGE)

    assert refused_as_too_large(answer)
    assert await relay.stored() == before


async def test_what_is_chunked_and_too_large_is_refused_without_its_end(
    relay: RelayInHand, served: Served
) -> None:
    before = await relay.stored()

    answer = await served.exchange(head(b"transfer-encoding: chunked"), *[chunk(b" " * 8_192)] * 9)

    assert refused_as_too_large(answer)
    assert await relay.stored() == before


async def test_a_content_length_that_says_too_little_cuts_the_body_off(
    relay: RelayInHand, served: Served
) -> None:
    before = await relay.stored()

    answer = await served.exchange(head(b"content-length: 10"), LARGE)

    assert answer.status == 400
    assert await relay.stored() == before


async def test_a_content_length_beside_chunks_is_not_believed(relay: RelayInHand, served: Served) -> None:
    before = await relay.stored()

    answer = await served.exchange(
        head(b"content-length: 10", b"transfer-encoding: chunked"), *[chunk(b" " * 8_192)] * 9
    )

    assert answer.status == 400
    assert await relay.stored() == before


async def test_a_body_that_breaks_off_stores_nothing_and_is_no_fault_of_ours(
    relay: RelayInHand, served: Served
) -> None:
    before = await relay.stored()

    with capture_logs() as logs:
        await served.hang_up_after(head(b"content-length: %d" % (len(GOOD) + 1)), GOOD)
        await served.exchange(head(b"content-length: 2"), b"{}")  # the server has read past the first by now
        await relay.settle()

    assert logs == []
    assert await relay.stored() == before


async def test_a_chunked_body_within_its_bounds_is_taken(relay: RelayInHand, served: Served) -> None:
    answer = await served.exchange(
        head(b"transfer-encoding: chunked"), chunk(GOOD[:10]), chunk(GOOD[10:]), chunk(b"")
    )

    assert answer.status == 201
    assert answer.headers["location"].startswith("/v1/registrations/reg_")
