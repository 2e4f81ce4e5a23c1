"""Receivers that say when to come back, wisely or not."""

import re
from itertools import pairwise
from typing import Final

import pytest

from relay.domain.deliveries import Rejected
from tests.receivers.calling import Caller
from tests.relays import RelayInHand
from tests.sockets import ACCEPTED, listening

FIRST_WAIT: Final = 5.0
CEILING: Final = 86_400.0


def later(*values: str, status: str = "503 Busy") -> bytes:
    headers = "".join(f"retry-after: {value}\r\n" for value in values)
    return f"HTTP/1.1 {status}\r\n{headers}content-length: 0\r\n\r\n".encode("latin-1")


SENSIBLE: Final[dict[str, tuple[bytes, float]]] = {
    "seconds": (later("120"), 120),
    "seconds of a 429": (later("120", status="429 Slow Down"), 120),
    "a date": (later("Wed, 18 Nov 2026 11:08:40 GMT"), 120),
    "less than the schedule": (later("1"), FIRST_WAIT),
    "a far date": (later("Fri, 31 Dec 9999 23:59:59 GMT"), CEILING),
    "a number beyond any": (later("9" * 60), CEILING),
}
SENSELESS: Final[dict[str, bytes]] = {
    "zero": later("0"),
    "negative": later("-5"),
    "signed": later("+5"),
    "a fraction": later("1.5"),
    "an exponent": later("1e3"),
    "hexadecimal": later("0x10"),
    "digits of another script": later("\xb2"),
    "words": later("tomorrow"),
    "nothing": later(""),
    "a date gone by": later("Wed, 18 Nov 2020 11:08:40 GMT"),
    "a date that never was": later("Wed, 99 Nov 2026 99:99:99 GMT"),
    "a very long text": later("1" * 7_000),
    "two in one": later("5, 3600"),
    "two that differ": later("5", "3600"),
    "two that do not": later("3600", "3600"),
    "bytes": later("\xff\xfe"),
}


@pytest.mark.parametrize(("said", "wait"), SENSIBLE.values(), ids=SENSIBLE)
async def test_retry_after_is_kept_to_exactly_from_the_schedules_wait_up_to_the_ceiling(
    relay: RelayInHand, said: bytes, wait: float
) -> None:
    async with listening(said, ACCEPTED) as server:
        registration = await relay.register(callback_url=server.origin)
        await relay.pass_time(wait - 0.5)
        too_early = len(server.received)
        await relay.pass_time(1)
        resource = await relay.read(registration)

    assert too_early == 1
    assert resource["state"] == "delivered"


@pytest.mark.parametrize("said", SENSELESS.values(), ids=SENSELESS)
async def test_a_senseless_retry_after_asks_for_nothing(caller: Caller, said: bytes) -> None:
    async with listening(said) as server:
        attempt = await caller.call(server.origin)

    assert attempt.outcome == Rejected(http_status=503, retry_after=None)


async def test_a_wait_that_begins_anew_with_every_answer_ends_with_the_schedule(relay: RelayInHand) -> None:
    async with listening(later("60", status="429 Slow Down")) as server:
        registration = await relay.register(callback_url=server.origin)
        for _ in range(30):
            if (await relay.read(registration))["state"] != "delivering":
                break
            await relay.pass_time(CEILING)
        resource = await relay.read(registration)

    assert (resource["state"], resource["delivery"]["dead_reason"]) == ("dead", "exhausted")
    assert len(server.received) == 10


async def test_the_timestamp_is_new_on_each_try_while_id_and_body_stay(relay: RelayInHand) -> None:
    async with listening(later(status="500 Broken"), later("60"), ACCEPTED) as server:
        await relay.register(callback_url=server.origin)
        await relay.pass_to_next("deliveries")
        await relay.pass_to_next("deliveries")

    assert len(server.received) == 3
    stamps = [int(received.headers["webhook-timestamp"]) for received in server.received]
    assert [after - before for before, after in pairwise(stamps)] == [5, 300]
    assert len({received.headers["webhook-signature"] for received in server.received}) == 3
    assert len({received.headers["webhook-id"] for received in server.received}) == 1
    assert len({received.body for received in server.received}) == 1
    assert [received.headers["relay-attempt"] for received in server.received] == ["1", "2", "3"]
    assert re.fullmatch(r"evt_[0-9a-f]+", server.received[0].headers["webhook-id"])


async def test_a_receiver_that_is_gone_and_then_alive_again_gets_it_by_a_redelivery(
    relay: RelayInHand,
) -> None:
    async with listening(later(status="410 Gone"), later(status="500 Still waking"), ACCEPTED) as server:
        registration = await relay.register(callback_url=server.origin)
        gone = await relay.read(registration)
        await relay.pass_time(30 * CEILING)
        tried_when_gone = len(server.received)
        redelivered = await relay.api.post(f"/v1/registrations/{registration}/redeliver")
        await relay.settle()
        await relay.pass_to_next("deliveries")
        alive = await relay.read(registration)

    assert (gone["state"], gone["delivery"]["dead_reason"]) == ("dead", "gone")
    assert tried_when_gone == 1
    assert redelivered.status_code == 202
    assert (alive["state"], alive["delivery"]["dead_reason"]) == ("delivered", None)
    assert len({(received.headers["webhook-id"], received.body) for received in server.received}) == 1
