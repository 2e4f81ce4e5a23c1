"""The real command with a collector: one trace from the caller to each attempt, whichever process made the span."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path

import pytest

from tests.e2e.neighbours import Neighbours
from tests.e2e.processes import RelayProcess, environment, run, serving, sqlite_url
from tests.postgres import PostgresServer
from tests.sockets import ACCEPTED, SocketServer, answer, hanging, listening
from tests.tracing.collecting import Seen, seen_in

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

TRACES = ("0af7651916cd43dd8448eb211c80319c", "4bf92f3577b34da6a3ce929d0e0e4736")
CALLER = "b7ad6b7169203331"
TAKEN = answer("200 OK")


@pytest.fixture
async def collector() -> AsyncIterator[SocketServer]:
    async with listening(TAKEN) as server:
        yield server


@pytest.fixture
async def hooks() -> AsyncIterator[SocketServer]:
    """Fails once, then accepts."""
    async with listening(answer("503 Service Unavailable"), ACCEPTED) as server:
        yield server


def named(spans: Sequence[Seen], name: str) -> list[Seen]:
    return [span for span in spans if span.name == name]


def spans_in(collector: SocketServer) -> list[Seen]:
    assert {(each.method, each.target) for each in collector.received} == {(b"POST", b"/v1/traces")}
    return seen_in(each.body for each in collector.received)


async def registered(relay: RelayProcess, task_id: str, hook: str, trace: str) -> str:
    answered = await relay.api.post(
        "/v1/registrations",
        json={"task_id": task_id, "callback_url": hook},
        headers={"traceparent": f"00-{trace}-{CALLER}-01"},
    )
    assert answered.status_code == 201, answered.text
    registration: str = answered.json()["id"]
    return registration


async def test_two_registrations_of_a_task_have_a_whole_trace_each_and_share_its_polls(
    neighbours: Neighbours, collector: SocketServer, hooks: SocketServer, tmp_path: Path
) -> None:
    task_id = f"success-after-1-{tmp_path.name}"
    environ = environment(neighbours, sqlite_url(tmp_path), TRACING__ENDPOINT=collector.origin)

    async with serving(environ, tmp_path) as relay:
        first, second = [
            await registered(relay, task_id, f"{hooks.origin}/{number}", trace)
            for number, trace in enumerate(TRACES)
        ]
        for registration in (first, second):
            await relay.reaches(registration, "delivered")
        polls_made = (await relay.read(first))["task"]["polls"]
        exit_code = await relay.terminate()

    spans = spans_in(collector)
    requests = named(spans, "POST /v1/registrations")
    polls, attempts = named(spans, "poll"), named(spans, "attempt")
    events = {span.span_id: span for span in named(spans, "event task.succeeded")}
    assert exit_code == 0
    assert [(span.trace_id, span.parent) for span in requests] == [(trace, CALLER) for trace in TRACES]
    assert len(polls) == polls_made > 1
    assert {(poll.trace_id, poll.parent) for poll in polls} == {(TRACES[0], requests[0].span_id)}
    assert polls[-1].links == (requests[1].span_id,)
    assert events.keys() == {first[-16:], second[-16:]}
    for registration, request in zip((first, second), requests, strict=True):
        event = events[registration[-16:]]
        assert (event.trace_id, event.parent) == (request.trace_id, request.span_id)
        assert event.links == (polls[-1].span_id,)
    assert sorted(attempt.failed for attempt in attempts) == [False, False, True]
    assert {attempt.trace_id: attempt.parent for attempt in attempts} == {
        event.trace_id: event.span_id for event in events.values()
    }
    assert sorted(received.headers["traceparent"] for received in hooks.received) == sorted(
        f"00-{attempt.trace_id}-{attempt.span_id}-01" for attempt in attempts
    )
    assert len({span.span_id for span in spans}) == len(spans) == 2 + len(polls) + 2 + 3


@pytest.mark.postgres
async def test_the_api_and_a_worker_make_one_trace_together(
    neighbours: Neighbours,
    collector: SocketServer,
    hooks: SocketServer,
    postgres_server: PostgresServer,
    tmp_path: Path,
) -> None:
    url = postgres_server.url_for(postgres_server.create_database())
    api, worker = (
        environment(neighbours, url, ROLE=role, TRACING__ENDPOINT=collector.origin)
        for role in ("api", "worker")
    )
    migrated = run("migrate", environ=api, folder=tmp_path)
    assert migrated.returncode == 0, migrated.stderr

    async with serving(api, tmp_path) as accepting, serving(worker, tmp_path) as working:
        registration = await registered(
            accepting, f"success-{tmp_path.name}", f"{hooks.origin}/in", TRACES[0]
        )
        await accepting.reaches(registration, "delivered")
        exit_codes = [await process.terminate() for process in (accepting, working)]

    spans = spans_in(collector)
    (request,), attempts = named(spans, "POST /v1/registrations"), named(spans, "attempt")
    assert exit_codes == [0, 0]
    assert {span.trace_id for span in spans} == {TRACES[0]}
    assert {span.resource["service.instance.id"] for span in spans if span is not request}.isdisjoint(
        {request.resource["service.instance.id"]}
    )
    assert {poll.parent for poll in named(spans, "poll")} == {request.span_id}
    assert [attempt.failed for attempt in attempts] == [True, False]
    assert {attempt.parent for attempt in attempts} == {registration[-16:]}


async def test_a_collector_that_never_answers_holds_a_stop_up_for_two_seconds_at_most(
    neighbours: Neighbours, hooks: SocketServer, tmp_path: Path
) -> None:
    async with listening(hanging()) as collector:
        environ = environment(neighbours, sqlite_url(tmp_path), TRACING__ENDPOINT=collector.origin)
        async with serving(environ, tmp_path) as relay:
            registration = await registered(
                relay, f"success-{tmp_path.name}", f"{hooks.origin}/in", TRACES[0]
            )
            await relay.reaches(registration, "delivered")
            exit_code = await relay.terminate(within=10)

    (dropped,) = relay.written.events("spans.dropped")
    (stopping,) = relay.written.events("relay.stopping")
    (stopped,) = relay.written.events("relay.stopped")
    assert exit_code == 0
    assert dropped["spans"] > 0
    begun, ended = (datetime.fromisoformat(line["timestamp"]) for line in (stopping, stopped))
    assert 2 <= (ended - begun).total_seconds() < 4
