"""Registration, polls, event and attempts in one trace, as a collector sees them and as the callback is told."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import pytest
from structlog.testing import capture_logs

from relay.domain.instants import SECOND
from relay.services.spans import MOST_LINKS
from tests.relays import (
    FAILING,
    HOOK,
    OK,
    PENDING,
    SUCCESS,
    RelayInHand,
    Scripted,
    open_relay,
    settings_for,
    sqlite_url,
)
from tests.tracing.collecting import CLIENT, INTERNAL, SERVER, Seen, seen_in

TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
CALLER: Final = "b7ad6b7169203331"
SAMPLED: Final = f"00-{TRACE}-{CALLER}-01"
UNSAMPLED: Final = f"00-{TRACE}-{CALLER}-00"
COLLECTOR: Final = "https://collector.test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    relay: RelayInHand
    collector: Scripted

    async def register(
        self, traceparent: str | None = SAMPLED, *, hook: str = HOOK, tracestate: str | None = None
    ) -> str:
        given = {"traceparent": traceparent, "tracestate": tracestate}
        answer = await self.relay.api.post(
            "/v1/registrations",
            json={"task_id": "task-1", "callback_url": hook},
            headers={name: value for name, value in given.items() if value is not None},
        )
        await self.relay.settle()
        registration: str = answer.json()["id"]
        return registration

    async def spans(self) -> list[Seen]:
        """All that were ever sent, these being everything by now."""
        exporter = self.relay.relay.traces.exporter
        if exporter is not None:
            await exporter.run_once()
            await self.relay.settle()
        return seen_in(request.content for request in self.collector.requests)


@asynccontextmanager
async def tracing(folder: Path, template: Path, **section: object) -> AsyncIterator[Traced]:
    shutil.copy(template, folder)
    settings = settings_for(sqlite_url(folder), tracing={"endpoint": COLLECTOR, **section})
    async with open_relay(settings) as relay:
        collector = relay.world.hook(f"{COLLECTOR}/v1/traces", httpx.Response(200))
        yield Traced(relay=relay, collector=collector)


@pytest.fixture
async def traced(sqlite_template: Path, tmp_path: Path) -> AsyncIterator[Traced]:
    async with tracing(tmp_path, sqlite_template) as traced:
        yield traced


@pytest.fixture
async def untraced(relay: RelayInHand) -> Traced:
    return Traced(relay=relay, collector=relay.world.everything_sent)


def named(spans: list[Seen], name: str) -> list[Seen]:
    return [span for span in spans if span.name == name]


async def test_one_trace_leads_from_the_caller_over_polls_and_event_to_each_attempt(traced: Traced) -> None:
    traced.relay.world.task("task-1", PENDING, SUCCESS)
    hook = traced.relay.world.hook(HOOK, FAILING, OK)

    registration = await traced.register(tracestate="vendor=1")
    await traced.relay.pass_to_next("tasks")
    await traced.relay.pass_to_next("deliveries")

    spans = await traced.spans()
    (request,), polls = named(spans, "POST /v1/registrations"), named(spans, "poll")
    (event,), attempts = named(spans, "event task.succeeded"), named(spans, "attempt")
    assert len(spans) == 6
    assert {(span.trace_id, span.state, span.flags) for span in spans} == {(TRACE, "vendor=1", 1)}
    assert (request.kind, request.parent) == (SERVER, CALLER)
    assert [(poll.kind, poll.parent, poll.links) for poll in polls] == [(CLIENT, request.span_id, ())] * 2
    assert (event.kind, event.parent, event.links) == (INTERNAL, request.span_id, (polls[-1].span_id,))
    assert event.span_id == registration[-16:]
    assert [(attempt.kind, attempt.parent) for attempt in attempts] == [(CLIENT, event.span_id)] * 2
    assert [attempt.failed for attempt in attempts] == [True, False]
    assert len({span.span_id for span in spans}) == 6
    told = [(sent.headers["traceparent"], sent.headers["tracestate"]) for sent in hook.requests]
    assert told == [(f"00-{TRACE}-{attempt.span_id}-01", "vendor=1") for attempt in attempts]


async def test_spans_say_what_was_done_and_nothing_that_was_confided(traced: Traced) -> None:
    traced.relay.world.task("task-1", SUCCESS)
    registration = await traced.register(hook="https://hooks.test:8443/secret-path?secret=query")

    spans = {span.name: span for span in await traced.spans()}

    event_id = "evt_" + registration.removeprefix("reg_")
    assert spans["POST /v1/registrations"].attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/registrations",
        "url.scheme": "http",
        "url.path": "/v1/registrations",
        "http.response.status_code": 201,
        "relay.client": "default",
        "relay.registration.id": registration,
    }
    assert spans["poll"].attributes == {
        "relay.client": "default",
        "relay.kind": "text-to-sound",
        "relay.poll.result": "terminal",
        "http.request.method": "GET",
        "url.scheme": "https",
        "server.address": "camb.test",
        "server.port": 443,
        "http.response.status_code": 200,
    }
    assert spans["event task.succeeded"].attributes == {
        "relay.registration.id": registration,
        "relay.event.id": event_id,
        "relay.event.type": "task.succeeded",
    }
    assert spans["attempt"].attributes == {
        "relay.client": "default",
        "relay.registration.id": registration,
        "relay.event.id": event_id,
        "relay.event.type": "task.succeeded",
        "relay.attempt": 1,
        "relay.attempt.outcome": "accepted",
        "http.request.method": "POST",
        "url.scheme": "https",
        "server.address": "hooks.test",
        "server.port": 8443,
        "http.response.status_code": 204,
    }
    resource = spans["attempt"].resource
    assert (resource["service.name"], set(resource)) == (
        "camb-relay",
        {"service.name", "service.version", "service.instance.id"},
    )


async def test_what_fails_is_an_error_in_opentelemetry_s_words(traced: Traced) -> None:
    traced.relay.world.task("task-1", httpx.Response(401), SUCCESS)
    traced.relay.world.hook(HOOK, FAILING, httpx.ConnectError("refused"), OK)
    await traced.register()

    await traced.relay.pass_time(60)
    await traced.relay.pass_to_next("deliveries")
    await traced.relay.pass_to_next("deliveries")

    spans = await traced.spans()
    errors = [(span.failed, span.attributes.get("error.type")) for span in named(spans, "attempt")]
    assert errors == [(True, "500"), (True, "connect"), (False, None)]
    resent = [span.attributes.get("http.request.resend_count") for span in named(spans, "attempt")]
    assert resent == [None, 1, 2]
    errors = [(span.failed, span.attributes.get("error.type")) for span in named(spans, "poll")]
    assert errors == [(True, "unauthorized"), (False, None)]


async def test_a_poll_stands_under_the_oldest_registration_that_is_traced_and_is_linked_to_the_others(
    traced: Traced,
) -> None:
    other = f"00-{'c' * 32}-{'d' * 16}-01"
    traced.relay.world.task("task-1", PENDING, SUCCESS)
    untraced = await traced.register(UNSAMPLED, hook="https://hooks.test/0")
    first = await traced.register(hook="https://hooks.test/1")
    second = await traced.register(other, hook="https://hooks.test/2")

    await traced.relay.pass_to_next("tasks")

    spans = await traced.spans()
    requests, (poll,) = named(spans, "POST /v1/registrations"), named(spans, "poll")
    events = named(spans, "event task.succeeded")
    assert [request.trace_id for request in requests] == [TRACE, "c" * 32]
    assert (poll.trace_id, poll.parent, poll.links) == (
        TRACE,
        requests[0].span_id,
        (requests[1].span_id,),
    )
    assert {(span.trace_id, span.span_id, span.parent, span.links) for span in events} == {
        (TRACE, first[-16:], requests[0].span_id, (poll.span_id,)),
        ("c" * 32, second[-16:], requests[1].span_id, (poll.span_id,)),
    }
    assert untraced[-16:] not in {span.parent for span in named(spans, "attempt")}


async def test_a_poll_is_linked_to_so_many_others_and_no_more(traced: Traced) -> None:
    traced.relay.world.task("task-1", PENDING, SUCCESS)
    for number in range(MOST_LINKS + 2):
        await traced.register(hook=f"https://hooks.test/{number}")

    await traced.relay.pass_to_next("tasks")

    *_, last = named(await traced.spans(), "poll")
    assert len(last.links) == MOST_LINKS


async def test_an_unsampled_trace_is_handed_on_as_it_came_and_makes_no_span(traced: Traced) -> None:
    traced.relay.world.task("task-1", SUCCESS)
    hook = traced.relay.world.hook(HOOK, OK)

    await traced.register(UNSAMPLED, tracestate="vendor=1")

    assert await traced.spans() == []
    (sent,) = hook.requests
    assert (sent.headers["traceparent"], sent.headers["tracestate"]) == (UNSAMPLED, "vendor=1")


async def test_without_a_collector_the_caller_s_trace_is_kept_and_told_on_every_attempt(
    untraced: Traced,
) -> None:
    untraced.relay.world.task("task-1", SUCCESS)
    hook = untraced.relay.world.hook(HOOK, FAILING, OK)

    with capture_logs() as logs:
        registration = await untraced.register(tracestate="vendor=1")
        await untraced.relay.pass_to_next("deliveries")

    told = [(sent.headers["traceparent"], sent.headers["tracestate"]) for sent in hook.requests]
    assert told == [(SAMPLED, "vendor=1")] * 2
    assert (await untraced.relay.read(registration))["trace_id"] == TRACE
    found = [(line["event"], line["trace_id"]) for line in logs if "trace_id" in line]
    assert found == [("task.ended", TRACE), ("delivery.attempted", TRACE), ("delivery.attempted", TRACE)]


async def test_without_a_collector_and_a_caller_s_trace_nothing_is_told(untraced: Traced) -> None:
    untraced.relay.world.task("task-1", SUCCESS)
    hook = untraced.relay.world.hook(HOOK, OK)

    with capture_logs() as logs:
        await untraced.register(None, tracestate="vendor=1")

    (sent,) = hook.requests
    assert not {"traceparent", "tracestate"} & set(sent.headers)
    assert not any("trace_id" in line for line in logs)


@pytest.mark.parametrize("traceparent", ["", "nonsense", f"{SAMPLED}-more", f"00-{'0' * 32}-{CALLER}-01"])
async def test_a_malformed_traceparent_is_no_reason_to_refuse_anything(
    untraced: Traced, traceparent: str
) -> None:
    untraced.relay.world.task("task-1", SUCCESS)
    hook = untraced.relay.world.hook(HOOK, OK)

    await untraced.register(traceparent)

    (sent,) = hook.requests
    assert "traceparent" not in sent.headers


async def test_the_same_registration_again_stays_in_the_first_one_s_trace(untraced: Traced) -> None:
    hook = untraced.relay.world.hook(HOOK, OK)
    untraced.relay.world.task("task-1", PENDING, SUCCESS)
    first = await untraced.register()

    again = await untraced.register(f"00-{'c' * 32}-{'d' * 16}-01")
    await untraced.relay.pass_to_next("tasks")

    assert again == first
    assert [sent.headers["traceparent"] for sent in hook.requests] == [SAMPLED]


async def test_a_batch_is_one_request_and_one_span(traced: Traced) -> None:
    items = [{"task_id": f"task-{number}", "callback_url": HOOK} for number in range(3)]

    await traced.relay.api.post(
        "/v1/registrations/batch",
        json={"registrations": [*items, {"task_id": ""}]},
        headers={"traceparent": SAMPLED},
    )
    await traced.relay.settle()

    spans = await traced.spans()
    (request,) = named(spans, "POST /v1/registrations/batch")
    assert (request.parent, request.attributes["relay.registrations"]) == (CALLER, 4)
    assert {(poll.trace_id, poll.parent) for poll in named(spans, "poll")} == {(TRACE, request.span_id)}


async def test_a_redelivery_goes_on_in_the_registration_s_trace(traced: Traced) -> None:
    traced.relay.world.task("task-1", SUCCESS)
    registration = await traced.register()

    await traced.relay.api.post(f"/v1/registrations/{registration}/redeliver")
    await traced.relay.settle()

    attempts = named(await traced.spans(), "attempt")
    assert [(span.trace_id, span.parent) for span in attempts] == [(TRACE, registration[-16:])] * 2


async def test_whoever_registers_on_a_task_that_has_ended_has_the_event_in_the_own_trace(
    traced: Traced,
) -> None:
    traced.relay.world.task("task-1", SUCCESS)
    await traced.register(UNSAMPLED, hook="https://hooks.test/0")

    late = await traced.register()

    spans = await traced.spans()
    (request,), (event,) = named(spans, "POST /v1/registrations"), named(spans, "event task.succeeded")
    assert (event.trace_id, event.span_id, event.parent, event.links) == (
        TRACE,
        late[-16:],
        request.span_id,
        (),
    )


async def test_an_expiry_that_no_poll_decides_is_an_event_of_its_trace(traced: Traced) -> None:
    traced.relay.world.task("task-1", httpx.Response(503))
    registration = await traced.register()

    await traced.relay.pass_time(86_400)
    await traced.relay.pass_time(120)

    (event,) = named(await traced.spans(), "event registration.expired")
    assert (event.trace_id, event.span_id) == (TRACE, registration[-16:])


async def test_without_a_caller_s_trace_one_begins_at_the_relay(traced: Traced) -> None:
    traced.relay.world.task("task-1", SUCCESS)
    hook = traced.relay.world.hook(HOOK, OK)

    await traced.register(None)

    spans = await traced.spans()
    (request,), (attempt,) = named(spans, "POST /v1/registrations"), named(spans, "attempt")
    (sent,) = hook.requests
    assert (request.parent, len({span.trace_id for span in spans})) == ("", 1)
    assert sent.headers["traceparent"] == f"00-{request.trace_id}-{attempt.span_id}-01"


async def test_the_ratio_is_of_the_traces_that_begin_at_the_relay(
    sqlite_template: Path, tmp_path: Path
) -> None:
    async with tracing(tmp_path, sqlite_template, sample_ratio=0) as traced:
        traced.relay.world.task("task-1", SUCCESS)
        own = traced.relay.world.hook("https://hooks.test/0", OK)
        await traced.register(None, hook="https://hooks.test/0")
        before = await traced.spans()

        await traced.register(SAMPLED)

        after = await traced.spans()
    assert before == []
    assert {span.trace_id for span in after} == {TRACE}
    (sent,) = own.requests
    assert sent.headers["traceparent"].endswith("-00")


async def test_a_half_of_the_traces_is_about_a_half_of_them(sqlite_template: Path, tmp_path: Path) -> None:
    async with tracing(tmp_path, sqlite_template, sample_ratio=0.5) as traced:
        tracer = traced.relay.relay.traces.tracer

        begun = [tracer.begin(None) for _ in range(1_000)]

    assert 400 < sum(context is not None and context.sampled for context in begun) < 600


async def test_a_stranger_s_requests_cost_no_span(traced: Traced) -> None:
    answer = await traced.relay.api.post(
        "/v1/registrations",
        json={},
        headers={"authorization": "Bearer wrong-token", "traceparent": SAMPLED},
    )

    assert answer.status_code == 401
    assert await traced.spans() == []


async def test_a_refused_request_is_a_span_that_says_so(traced: Traced) -> None:
    answer = await traced.relay.api.post(
        "/v1/registrations", json={"task_id": ""}, headers={"traceparent": SAMPLED}
    )

    (span,) = await traced.spans()
    assert answer.status_code == 422
    assert (span.attributes["http.response.status_code"], span.failed) == (422, False)


async def test_lists_are_no_spans(traced: Traced) -> None:
    await traced.relay.api.get("/v1/registrations", headers={"traceparent": SAMPLED})

    assert await traced.spans() == []


async def test_spans_are_as_long_as_what_they_stand_for(traced: Traced) -> None:
    async def slow(_request: httpx.Request) -> httpx.Response:
        traced.relay.hands.advance(3)
        return OK

    traced.relay.world.task("task-1", SUCCESS)
    traced.relay.world.hook(HOOK, slow)
    began = traced.relay.relay.clock.now()

    await traced.register()

    (attempt,) = named(await traced.spans(), "attempt")
    assert (attempt.begun_at, attempt.lasted) == (began, 3 * SECOND)


async def test_what_still_waits_at_a_stop_is_sent(sqlite_template: Path, tmp_path: Path) -> None:
    async with tracing(tmp_path, sqlite_template) as traced:
        await traced.register()
        before = len(traced.collector.requests)

    assert before == 0
    assert named(seen_in(request.content for request in traced.collector.requests), "POST /v1/registrations")


async def test_a_collector_that_is_away_disturbs_nothing(sqlite_template: Path, tmp_path: Path) -> None:
    async with tracing(tmp_path, sqlite_template) as traced:
        traced.collector.answers[:] = [httpx.ConnectError("refused")]
        traced.relay.world.task("task-1", SUCCESS)

        registration = await traced.register()
        await traced.spans()

        assert (await traced.relay.read(registration))["state"] == "delivered"
