"""Every recipe for receiving, run as somebody would run it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import pytest

from relay.domain.deliveries import Accepted
from tests.recipes.receivers import Receiver
from tests.recipes.relaying import BODY, forged, new_id, send, sent, signed

HEAVY = BODY.replace(b"1.0", b'"' + b"." * 600_000 + b'"')
"""CAMB's answer may have 256 KiB and be in a body twice."""
TOO_HEAVY = BODY + b" " * (3 << 20)
POISON = b'"not what the work expects"'


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        yield client


async def test_a_notification_is_kept_byte_for_byte_before_it_is_answered(receiver: Receiver) -> None:
    event = new_id()

    outcome = await send(receiver.url, event)

    assert outcome == Accepted(http_status=204)
    assert (await receiver.inbox.kept())[event] == BODY


async def test_what_comes_again_is_accepted_again_and_kept_once(receiver: Receiver) -> None:
    event = new_id()
    before = await receiver.inbox.kept()

    outcomes = await asyncio.gather(*(send(receiver.url, event) for _ in range(4)))

    assert outcomes == [Accepted(http_status=204)] * 4
    assert await receiver.inbox.kept() == {**before, event: BODY}


async def test_nothing_forged_changed_or_stale_is_kept_and_no_answer_says_why(
    receiver: Receiver, client: httpx.AsyncClient
) -> None:
    forgeries = await forged()
    before = await receiver.inbox.kept()

    answers = {
        how: await client.post(receiver.url, headers=dict(each.headers), content=each.body)
        for how, each in forgeries.items()
    }

    assert {how: answer.status_code for how, answer in answers.items()} == dict.fromkeys(forgeries, 401)
    assert len({answer.content for answer in answers.values()}) == 1
    assert await receiver.inbox.kept() == before
    assert "Traceback" not in receiver.log


async def test_a_second_id_beside_the_signed_one_makes_no_second_row(
    receiver: Receiver, client: httpx.AsyncClient
) -> None:
    notification = await sent(new_id())
    mine = notification.headers["webhook-id"]
    before = await receiver.inbox.kept()

    for pair in (("evt_more", mine), (mine, "evt_more")):
        others = [(name, value) for name, value in notification.headers.items() if name != "webhook-id"]
        ids = [("webhook-id", each) for each in pair]
        answer = await client.post(receiver.url, headers=[*others, *ids], content=notification.body)
        assert answer.status_code in {204, 401}

    assert (await receiver.inbox.kept()).keys() <= {*before, mine}


async def test_a_heavy_notification_is_kept_whole(receiver: Receiver) -> None:
    event = new_id()

    outcome = await send(receiver.url, event, body=HEAVY)

    assert outcome == Accepted(http_status=204)
    assert (await receiver.inbox.kept())[event] == HEAVY


async def test_nothing_beyond_a_limit_is_kept_though_it_is_signed(
    receiver: Receiver, client: httpx.AsyncClient
) -> None:
    async def in_chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(TOO_HEAVY), 65_536):
            yield TOO_HEAVY[at : at + 65_536]

    before = await receiver.inbox.kept()

    for content in (TOO_HEAVY, in_chunks()):
        with suppress(httpx.TransportError):  # hung up on, in the middle
            answer = await client.post(receiver.url, headers=dict(signed(TOO_HEAVY).headers), content=content)
            assert answer.status_code in {400, 401, 413}

    assert await receiver.inbox.kept() == before


async def test_a_caller_that_leaves_in_the_middle_takes_nobody_along(receiver: Receiver) -> None:
    where = urlsplit(receiver.url)
    event = new_id()

    _, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(b"POST /hooks/camb HTTP/1.1\r\nhost: me\r\ncontent-length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    assert await send(receiver.url, event) == Accepted(http_status=204)


async def test_only_a_post_is_looked_at(receiver: Receiver, client: httpx.AsyncClient) -> None:
    answer = await client.get(receiver.url)

    assert answer.status_code in {404, 405}


async def test_what_was_accepted_is_worked_on_once_and_what_fails_holds_up_nothing(
    receiver: Receiver,
) -> None:
    body = BODY.replace(b"task-1", b"task-of-the-work")
    await send(receiver.url, new_id(), body=POISON)
    event = new_id()
    for _ in range(2):
        await send(receiver.url, event, body=body)

    said = [receiver.work_until_it_fails() for _ in range(3)]

    line = "task.succeeded task-of-the-work https://camb.test/result/7"
    assert "".join(said).splitlines().count(line) == 1
