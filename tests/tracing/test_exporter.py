"""A collector that is slow, away, or will not have what it is sent: spans wait in bounds, and nobody waits for them."""

import asyncio
from dataclasses import dataclass

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)
from structlog.testing import capture_logs

from relay.domain.instants import SECOND, Instant
from relay.domain.traces import new_trace
from relay.telemetry import Metrics
from relay.tracing.exporter import MOST_AT_ONCE, MOST_WAITING, Collector, Exporter
from relay.tracing.otlp import Codec
from relay.tracing.spans import Span, SpanKind
from relay.transport import AiohttpTransport, tls_context
from tests.relays import Answer, HandClock, Held, Scripted
from tests.sockets import listening, pouring
from tests.tracing.collecting import seen_in

TAKEN = httpx.Response(200)
URL = "https://collector.test:4318/v1/traces"


def span(number: int = 1) -> Span:
    return Span(
        name="poll",
        kind=SpanKind.CLIENT,
        context=new_trace(1, number, sampled=True),
        parent=None,
        begun_at=Instant(number),
        ended_at=Instant(number + SECOND),
        attributes={"number": number},
    )


@dataclass(slots=True)
class Sending:
    exporter: Exporter
    collector: Scripted
    hands: HandClock
    metrics: Metrics

    async def pass_time(self, seconds: float = 0) -> None:
        """Move the clock, and wait for what is sent by then."""
        self.hands.advance(seconds)
        await self.exporter.run_once()
        for task in asyncio.all_tasks():
            if task.get_name() == "spans":
                await task

    def count(self, result: str) -> float:
        return self.metrics.registry.get_sample_value("relay_spans_total", {"result": result}) or 0.0

    @property
    def numbers(self) -> list[list[str | int]]:
        """Of the spans in each request."""
        return [
            [each.attributes["number"] for each in seen_in([request.content])]
            for request in self.collector.requests
        ]


def sending(*answers: Answer) -> Sending:
    hands, metrics = HandClock(), Metrics()
    collector = Scripted(list(answers), now=hands.clock.now)
    exporter = Exporter(
        httpx.MockTransport(collector),
        Collector(endpoint=URL, headers={"api-key": "canary"}),
        Codec("camb-relay", "instance-1"),
        clock=hands.clock,
        metrics=metrics,
    )
    return Sending(exporter, collector, hands, metrics)


async def test_spans_are_posted_together_to_the_collector_with_its_headers() -> None:
    spans = sending(TAKEN)
    for number in (1, 2):
        spans.exporter.add(span(number))

    await spans.pass_time()

    (request,) = spans.collector.requests
    assert (request.method, str(request.url)) == ("POST", URL)
    assert (request.headers["content-type"], request.headers["api-key"]) == (
        "application/x-protobuf",
        "canary",
    )
    assert spans.numbers == [[1, 2]]
    assert spans.count("exported") == 2


async def test_nothing_is_posted_where_there_is_nothing_to_post() -> None:
    spans = sending(TAKEN)

    await spans.pass_time()

    assert spans.collector.requests == []


async def test_a_full_batch_does_not_wait_for_the_next_second() -> None:
    held = Held(TAKEN)
    spans = sending(held)
    for number in range(1, MOST_AT_ONCE + 1):
        spans.exporter.add(span(number))

    await held.asked.wait()

    held.go.set()
    await spans.pass_time()
    assert [len(numbers) for numbers in spans.numbers] == [MOST_AT_ONCE]


async def test_many_spans_go_in_as_many_requests_as_it_takes() -> None:
    spans = sending(TAKEN)
    for number in range(1, MOST_AT_ONCE + 2):
        spans.exporter.add(span(number))

    await spans.pass_time()

    assert [len(numbers) for numbers in spans.numbers] == [MOST_AT_ONCE, 1]


async def test_what_comes_beyond_as_many_as_may_wait_is_dropped_and_counted() -> None:
    spans = sending(httpx.Response(503))

    for number in range(1, MOST_WAITING + 4):
        spans.exporter.add(span(number))
    await spans.pass_time()

    assert spans.count("dropped") == 3
    assert spans.count("exported") == 0


@pytest.mark.parametrize(
    "trouble",
    [*map(httpx.Response, (429, 502, 503, 504)), httpx.ConnectError("refused"), TimeoutError()],
    ids=["429", "502", "503", "504", "away", "late"],
)
async def test_spans_wait_for_a_collector_in_trouble_longer_each_time(trouble: Answer) -> None:
    spans = sending(trouble, trouble, TAKEN)
    spans.exporter.add(span())

    with capture_logs() as logs:
        for _ in range(5):
            await spans.pass_time(0.5)

    begun = [Instant(at - spans.collector.at[0]) for at in spans.collector.at]
    assert begun == [0, 1 * SECOND]
    await spans.pass_time(0.5)
    await spans.pass_time(0.5)
    assert len(spans.collector.at) == 3
    assert (spans.count("exported"), spans.count("dropped"), spans.count("refused")) == (1, 0, 0)
    assert [line["event"] for line in logs] == ["spans.unsent"]


async def test_a_collector_is_left_alone_for_as_long_as_it_asks_and_no_longer_than_ten_minutes() -> None:
    asking = httpx.Response(429, headers={"retry-after": "30"})
    greedy = httpx.Response(503, headers={"retry-after": "86400"})
    spans = sending(asking, greedy, TAKEN)
    spans.exporter.add(span())

    for _ in range(64):
        await spans.pass_time(10)

    assert [(at - spans.collector.at[0]) // SECOND for at in spans.collector.at] == [0, 30, 630]


async def test_pauses_double_up_to_a_minute() -> None:
    spans = sending(httpx.ConnectError("refused"))
    spans.exporter.add(span())

    for _ in range(300):
        await spans.pass_time(1)

    pauses = [
        (after - before) // SECOND
        for before, after in zip(spans.collector.at, spans.collector.at[1:], strict=False)
    ]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 500])
async def test_what_a_collector_refuses_is_not_sent_again(status: int) -> None:
    spans = sending(httpx.Response(status), TAKEN)
    spans.exporter.add(span(1))
    await spans.pass_time()
    spans.exporter.add(span(2))

    with capture_logs() as logs:
        await spans.pass_time()

    assert spans.numbers == [[1], [2]]
    assert (spans.count("refused"), spans.count("exported")) == (1, 1)
    assert [line["event"] for line in logs] == ["spans.sent_again"]


async def test_trouble_is_told_once_for_each_reason() -> None:
    spans = sending(httpx.Response(404))

    with capture_logs() as logs:
        for number in (1, 2, 3):
            spans.exporter.add(span(number))
            await spans.pass_time()

    assert [line["reason"] for line in logs] == ["the collector answered 404"]


async def test_spans_that_a_collector_took_and_then_rejected_are_counted() -> None:
    partial = ExportTraceServiceResponse(partial_success=ExportTracePartialSuccess(rejected_spans=2))
    spans = sending(httpx.Response(200, content=partial.SerializeToString()))
    for number in (1, 2, 3):
        spans.exporter.add(span(number))

    await spans.pass_time()

    assert (spans.count("exported"), spans.count("refused")) == (1, 2)


async def test_an_answer_that_is_no_otlp_is_still_a_yes() -> None:
    spans = sending(httpx.Response(200, content=b"<html>thanks</html>"))
    spans.exporter.add(span())

    await spans.pass_time()

    assert spans.count("exported") == 1


async def test_a_span_that_cannot_be_written_holds_up_no_other() -> None:
    spans = sending(TAKEN)
    spans.exporter.add(span(2**63))
    await spans.pass_time()

    spans.exporter.add(span(2))
    await spans.pass_time()

    assert spans.numbers == [[2]]
    assert (spans.count("refused"), spans.count("exported")) == (1, 1)


async def test_a_stop_sends_what_waits_whatever_pause_there_is() -> None:
    spans = sending(httpx.Response(503), TAKEN)
    spans.exporter.add(span())
    await spans.pass_time()

    await spans.exporter.close(2.0)

    assert spans.count("exported") == 1


async def test_a_stop_waits_for_a_collector_no_longer_than_it_may() -> None:
    held = Held(TAKEN)
    spans = sending(held)
    spans.exporter.add(span())
    await spans.exporter.run_once()
    await held.asked.wait()

    with capture_logs() as logs:
        await spans.exporter.close(0.01)

    assert (spans.count("dropped"), spans.count("exported")) == (1, 0)
    assert [(line["event"], line["spans"]) for line in logs] == [("spans.dropped", 1)]


async def test_an_endless_answer_is_cut_and_is_still_a_yes() -> None:
    metrics = Metrics()
    async with (
        listening(pouring(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536)) as server,
        AiohttpTransport(tls_context()) as transport,
    ):
        exporter = Exporter(
            transport,
            Collector(endpoint=f"{server.origin}/v1/traces", headers={}),
            Codec("camb-relay", "instance-1"),
            clock=HandClock().clock,
            metrics=metrics,
        )
        exporter.add(span())

        await exporter.close(5)

        await asyncio.wait_for(server.hung_up.wait(), 10)
    assert metrics.registry.get_sample_value("relay_spans_total", {"result": "exported"}) == 1


async def test_over_a_real_connection_a_collector_reads_the_same_spans() -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    async with listening(answer) as server, AiohttpTransport(tls_context()) as transport:
        exporter = Exporter(
            transport,
            Collector(endpoint=f"{server.origin}/v1/traces", headers={}),
            Codec("camb-relay", "instance-1"),
            clock=HandClock().clock,
            metrics=Metrics(),
        )
        exporter.add(span())

        await exporter.close(10)

    (received,) = server.received
    assert (received.method, received.target) == (b"POST", b"/v1/traces")
    assert [each.span_id for each in seen_in([received.body])] == [f"{1:016x}"]
