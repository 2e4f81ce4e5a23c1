"""The stream: events as they come, in order, with a place to go on from; it ends with the relay, and waits for its reader."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.routing import Route

from relay.api.application import application
from relay.api.events import Events
from relay.api.requests import Callers
from relay.domain.cursors import Cursor, parse_cursor
from relay.domain.errors import DatabaseUnavailable
from relay.domain.instants import DAY, SECOND
from relay.ports import create_app
from relay.services.notify import MOST_OF_A_CLIENT, Notifier
from relay.services.pull import Pulling
from tests.api.listening import END, Listener, listening
from tests.failing import FailingReads
from tests.relays import OTHER_TOKEN, SUCCESS, TOKEN, RelayInHand


@asynccontextmanager
async def stream(
    relay: RelayInHand,
    query: str = "",
    *,
    token: str = TOKEN,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[Listener]:
    async with listening(create_app(relay.relay), token, query, method=method, headers=headers) as listener:
        yield listener


async def publish(relay: RelayInHand, *task_ids: str) -> None:
    for task_id in task_ids:
        relay.world.task(task_id, SUCCESS)
        await relay.api.post("/v1/registrations", json={"task_id": task_id})
        await relay.settle()


async def listed(relay: RelayInHand) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await relay.api.get("/v1/events")).json()["data"]
    return items


async def test_events_come_as_they_are_listed_and_as_they_are_made(relay: RelayInHand) -> None:
    await publish(relay, "t-1", "t-2")

    async with stream(relay) as listener:
        beginning = await listener.frame()
        frames = [await listener.frame(), await listener.frame()]
        await publish(relay, "t-3")
        frames.append(await listener.frame())

    items = await listed(relay)
    assert (listener.status, listener.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert listener.headers["cache-control"] == "no-store"
    assert listener.headers["x-accel-buffering"] == "no"
    assert beginning["retry"] == "2000"
    assert parse_cursor(beginning["id"]) is not None
    assert [frame["data"] for frame in frames] == items
    assert [(frame["id"], frame["event"]) for frame in frames] == [
        (item["cursor"], item["type"]) for item in items
    ]


async def test_after_a_break_it_goes_on_behind_the_last_event_that_was_read(relay: RelayInHand) -> None:
    await publish(relay, "t-1", "t-2", "t-3")
    items = await listed(relay)

    async with stream(relay, "after=latest", headers={"Last-Event-ID": items[0]["cursor"]}) as listener:
        beginning = await listener.frame()
        first = await listener.frame()
    async with stream(relay, f"after={items[1]['cursor']}") as listener:
        await listener.frame()
        second = await listener.frame()

    assert beginning["id"] == items[0]["cursor"]
    assert (first["id"], second["id"]) == (items[1]["cursor"], items[2]["cursor"])


async def test_whoever_leaves_before_the_first_event_misses_none(relay: RelayInHand) -> None:
    """A browser keeps the id of a frame without an event, and sends it when it comes back."""
    await publish(relay, "t-1")
    async with stream(relay, "after=latest") as listener:
        beginning = await listener.frame()
    await publish(relay, "t-2")

    async with stream(relay, "after=latest", headers={"Last-Event-ID": beginning["id"]}) as listener:
        await listener.frame()
        frame = await listener.frame()

    assert frame["data"]["task_id"] == "t-2"


async def test_more_than_a_page_comes_page_by_page(relay: RelayInHand) -> None:
    await relay.api.post(
        "/v1/registrations/batch", json={"registrations": [{"task_id": f"t-{n}"} for n in range(120)]}
    )
    relay.world.everything_asked.answers = [SUCCESS]
    await relay.pass_time(5)
    await relay.settle()

    async with stream(relay) as listener:
        await listener.frame()
        frames = [await listener.frame() for _ in range(120)]

    cursors = [parse_cursor(frame["id"]) for frame in frames]
    assert [cursor and cursor.position for cursor in cursors] == list(range(1, 121))


async def test_what_is_no_id_is_refused_and_what_is_gone_answered_before_any_stream(
    relay: RelayInHand,
) -> None:
    await publish(relay, "t-1")
    elsewhere = Cursor(store=1, position=1).text

    answers = []
    for query, last in (("after=x", None), ("", "x"), (f"after={elsewhere}", None), ("", elsewhere)):
        headers = {} if last is None else {"Last-Event-ID": last}
        async with stream(relay, query, headers=headers) as listener:
            answers.append((listener.status, orjson.loads(await listener.body())))

    assert [status for status, _ in answers] == [422, 422, 410, 410]
    assert [answers[0][1]["errors"][0]["field"], answers[1][1]["errors"][0]["field"]] == [
        "after",
        "Last-Event-ID",
    ]
    assert parse_cursor(answers[3][1]["oldest"]) is not None


async def test_its_head_can_be_asked_for(relay: RelayInHand) -> None:
    async with stream(relay, method="HEAD") as listener:
        body = await listener.body()

    assert (listener.status, body) == (200, b"")
    assert listener.headers["content-type"].startswith("text/event-stream")


async def test_a_client_has_only_so_many_streams_and_leaving_one_makes_room(relay: RelayInHand) -> None:
    async with AsyncExitStack() as opened:
        for _ in range(MOST_OF_A_CLIENT):
            await opened.enter_async_context(stream(relay))
        async with stream(relay) as refused:
            document = orjson.loads(await refused.body())
        async with stream(relay, token=OTHER_TOKEN) as others:
            pass
        waiting = await relay.api.get("/v1/events?wait=1")
    async with stream(relay) as afterwards:
        pass

    assert (refused.status, document["retry_after"], refused.headers["retry-after"]) == (429, 5, "5")
    assert waiting.status_code == 429
    assert (others.status, afterwards.status) == (200, 200)


async def test_it_ends_with_the_relay_and_a_new_one_ends_at_once(relay: RelayInHand) -> None:
    await publish(relay, "t-1")
    async with stream(relay) as listener:
        for _ in range(2):
            await listener.frame()
        relay.relay.begin_drain()
        last = await listener.frame()
    async with stream(relay) as late:
        frames = [await late.frame(), await late.frame()]

    assert last is END
    assert (set(frames[0]), frames[1]) == ({"retry", "id"}, END)


async def test_whoever_does_not_read_is_cut_off_at_the_stop(relay: RelayInHand) -> None:
    await publish(relay, "t-1", "t-2", "t-3")

    async with listening(create_app(relay.relay), TOKEN, can_cut_off=True) as listener:
        await listener.frame()
        relay.relay.begin_drain()
        async with asyncio.timeout(5):
            await listener.cut_off.wait()


async def test_where_the_server_cannot_cut_off_the_stream_ends_all_the_same(relay: RelayInHand) -> None:
    await publish(relay, "t-1", "t-2", "t-3")

    async with stream(relay) as listener:
        await listener.frame()
        relay.relay.begin_drain()
        await asyncio.sleep(0.3)
        frames = [await listener.frame()]
        async with stream(relay) as another:
            pass

    assert frames[0]["data"]["task_id"] == "t-1"
    assert another.status == 200


async def test_what_retention_takes_from_a_reader_that_is_too_slow_ends_the_stream(
    relay: RelayInHand,
) -> None:
    relay.world.everything_asked.answers = [SUCCESS]
    await publish(relay, *(f"t-{number}" for number in range(60)))

    async with stream(relay) as listener:
        frames = [await listener.frame() for _ in range(2)]
        relay.hands.advance(31 * DAY / SECOND)
        await relay.relay.probing.run_once()
        await relay.relay.pruning.run_once()
        while (frame := await listener.frame()) is not END:
            frames.append(frame)
    async with stream(relay, headers={"Last-Event-ID": frames[-1]["id"]}) as again:
        document = orjson.loads(await again.body())

    assert len(frames) == 51
    assert (again.status, document["status"]) == (410, 410)


async def test_a_database_that_fails_for_a_while_makes_a_stream_skip_and_repeat_nothing(
    relay: RelayInHand, tmp_path: Path
) -> None:
    relay.world.everything_asked.answers = [SUCCESS]
    await publish(relay, *(f"t-{number}" for number in range(60)))
    database = FailingReads(str(tmp_path / "relay.db"), relay.hands.clock)
    notifier = Notifier(database, metrics=relay.relay.metrics)
    pulling = Pulling(
        database,
        notifier,
        clients=relay.relay.clients.values(),
        clock=relay.hands.clock,
        rng=random.Random(1),
    )
    events = Events(Callers(relay.relay.clients), pulling, notifier)
    app = application([Route("/v1/events/stream", events.stream)], relay.relay.new_request_id)

    async with listening(app, TOKEN) as listener:
        await listener.frame()
        database.fault = DatabaseUnavailable("the database is gone")
        frames = [await listener.frame() for _ in range(50)]
        async with asyncio.timeout(10):
            while database.reads < 4:  # noqa: ASYNC110 - a page, the next one in vain, and looks in vain
                await asyncio.sleep(0.01)
        database.fault = None
        frames += [await listener.frame() for _ in range(10)]
    await notifier.close()
    await database.close()

    cursors = [parse_cursor(frame["id"]) for frame in frames]
    assert [cursor and cursor.position for cursor in cursors] == list(range(1, 61))


def quick(relay: RelayInHand, heartbeat: float) -> Starlette:
    events = Events(
        Callers(relay.relay.clients), relay.relay.pulling, relay.relay.notifier, heartbeat=heartbeat
    )
    return application([Route("/v1/events/stream", events.stream)], relay.relay.new_request_id)


async def test_a_stream_without_events_shows_that_it_is_alive(relay: RelayInHand) -> None:
    async with listening(quick(relay, heartbeat=0.01), TOKEN) as listener:
        frames = [await listener.frame() for _ in range(3)]

    assert frames[1:] == [{"": ""}] * 2
