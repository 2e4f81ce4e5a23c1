"""How long the relay waits by itself, where no setting says it."""

import asyncio
import random
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message

from relay.api.problems import Unacceptable
from relay.api.requests import BODY_SECONDS, read_json
from relay.domain.addresses import NetworkPolicy
from relay.domain.instants import SECOND
from relay.domain.urls import parse_callback_url
from relay.settings import Settings
from relay.telemetry import Metrics
from relay.traces import FLUSH_SECONDS, Traces
from relay.tracing.exporter import DEADLINE, Exporter
from relay.webhook.guard import LOOKUP_SECONDS, Guard
from tests.jumping import seconds_of
from tests.lookups import alike
from tests.relays import HandClock
from tests.tracing.test_exporter import sending, span


async def never(*_: object) -> Any:  # noqa: ANN401 - it answers nothing
    await asyncio.Event().wait()


async def read_a_body_that_never_ends() -> None:
    parts: list[Message] = [{"type": "http.request", "body": b"{", "more_body": True}]

    async def receive() -> Message:
        return parts.pop() if parts else await never()

    headers = [(b"content-type", b"application/json")]
    with pytest.raises(Unacceptable):
        await read_json(Request({"type": "http", "method": "POST", "headers": headers}, receive), 100)


def test_a_body_is_waited_for_for_ten_seconds() -> None:
    assert seconds_of(read_a_body_that_never_ends()) == BODY_SECONDS == 10


async def judge_a_name_that_is_never_found() -> None:
    assert (
        await Guard(NetworkPolicy(), alike(never)).judge("shop", parse_callback_url("https://slow.test/"))
        is None
    )


def test_the_names_of_a_request_are_waited_for_for_a_second() -> None:
    assert seconds_of(judge_a_name_that_is_never_found()) == LOOKUP_SECONDS == 1


async def send_spans_to_a_collector_that_never_answers() -> None:
    spans = sending(never)
    spans.exporter.add(span())
    await spans.pass_time()
    assert spans.count("exported") == 0


def test_a_collector_is_waited_for_for_ten_seconds() -> None:
    assert seconds_of(send_spans_to_a_collector_that_never_answers()) == DEADLINE / SECOND == 10


async def stop_with_spans_for_a_collector_that_never_answers() -> None:
    hands = HandClock()
    traces = Traces(
        Settings.model_validate({"tracing": {"endpoint": "https://collector.test"}}),
        httpx.MockTransport(never),
        clock=hands.clock,
        metrics=Metrics(),
        rng=random.Random(7),
    )
    async with traces.open(lambda: 100.0):
        assert isinstance(traces.exporter, Exporter)
        traces.exporter.add(span())


def test_a_stop_waits_for_a_collector_for_two_seconds() -> None:
    assert seconds_of(stop_with_spans_for_a_collector_that_never_answers()) == FLUSH_SECONDS == 2
