"""Events pulled from the real command: a stop with whoever listens, and a restart in the middle of it."""

import asyncio
import itertools
import signal
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
import pytest

from tests.e2e.neighbours import Neighbours
from tests.e2e.processes import TOKEN, RelayProcess, environment, serving, sqlite_url, until
from tests.postgres import PostgresServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

STOPPED_WITHIN: Final = 5.0
"""Seconds: an interpreter takes its time to leave, but nobody who listens is waited for (the drain is 20)."""


class Reader:
    """Reads a stream as a browser does: it keeps the last id, and goes on behind it."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.last: str | None = None

    async def read(self, relay: RelayProcess) -> None:
        """Until the stream ends or breaks."""
        headers = {} if self.last is None else {"last-event-id": self.last}
        try:
            async with relay.api.stream("GET", "/v1/events/stream", headers=headers) as answer:
                assert answer.status_code == 200, await answer.aread()
                async for line in answer.aiter_lines():
                    self._take(line)
        except httpx.TransportError:
            pass

    def _take(self, line: str) -> None:
        name, _, value = line.partition(": ")
        if name == "data":
            self.items.append(orjson.loads(value))
        elif name == "id":
            self.last = value


async def published(relay: RelayProcess, task_ids: Sequence[str], **more: object) -> None:
    await relay.register_all([{"task_id": task_id, **more} for task_id in task_ids])


async def all_items(relay: RelayProcess) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    after = ""
    while page := (await relay.api.get(f"/v1/events?limit=200{after}")).json():
        items += page["data"]
        if not page["data"]:
            return items
        after = f"&after={page['next_cursor']}"
    return items


@asynccontextmanager
async def open_stream(relay: RelayProcess) -> AsyncIterator[AsyncIterator[str]]:
    """Past its beginning."""
    async with relay.api.stream("GET", "/v1/events/stream") as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == "retry: 2000"
        yield lines


async def stalled(relay: RelayProcess) -> socket.socket:
    """Asks for the stream, and never reads."""
    url = httpx.URL(relay.url)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    listener.setblocking(False)  # noqa: FBT003 - as sockets have it
    await asyncio.get_running_loop().sock_connect(listener, (url.host, url.port))
    head = f"GET /v1/events/stream HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer {TOKEN}\r\n\r\n"
    await asyncio.get_running_loop().sock_sendall(listener, head.encode())
    return listener


async def test_a_stop_waits_for_nobody_who_listens(neighbours: Neighbours, tmp_path: Path) -> None:
    environ = environment(neighbours, sqlite_url(tmp_path))

    async with serving(environ, tmp_path) as relay, AsyncExitStack() as opened:
        many = [f"success-stalled-{number}" for number in range(1_000)]
        await published(relay, many, metadata={"much": "x" * 3_900})

        async def are_there() -> bool:
            return not (await relay.api.get("/v1/registrations?state=watching&limit=1")).json()["data"]

        await until(are_there)
        for _ in range(3):
            await opened.enter_async_context(open_stream(relay))
        deaf = opened.enter_context(await stalled(relay))
        watching = await relay.api.post("/v1/registrations", json={"task_id": "never-ends"})
        waiting = [
            asyncio.create_task(relay.api.get(path, params={"wait": 30}))
            for path in (
                f"/v1/events?after={(await relay.api.get('/v1/events?after=latest')).json()['next_cursor']}",
                f"/v1/registrations/{watching.json()['id']}",
            )
        ]
        await asyncio.sleep(1)
        relay.signal(signal.SIGTERM)
        begun = time.monotonic()  # noqa: TID251 - a person's patience is measured in real time
        exit_code = await relay.ended(within=STOPPED_WITHIN)
        took = time.monotonic() - begun  # noqa: TID251 - a person's patience is measured in real time
        answers = await asyncio.gather(*waiting)
        deaf.close()

    assert exit_code == 0
    assert took < STOPPED_WITHIN
    assert [answer.status_code for answer in answers] == [200, 200]
    assert relay.written.events("drain.cut_off") == []
    assert relay.written.events("request.failed") == []
    assert "Traceback" not in relay.written.everything()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_restart_in_the_middle_of_a_stream_loses_and_repeats_nothing(
    neighbours: Neighbours, tmp_path: Path, number: signal.Signals
) -> None:
    environ = environment(neighbours, sqlite_url(tmp_path))
    reader = Reader()
    names = [f"success-after-{number % 3}-restart-{number}" for number in range(150)]

    async with serving(environ, tmp_path) as relay:
        reading = asyncio.create_task(reader.read(relay))
        await published(relay, names[:100])

        async def is_in_the_middle() -> bool:
            return len(reader.items) >= 20

        await until(is_in_the_middle)
        relay.signal(number)
        await relay.ended()
        await reading
    before = len(reader.items)
    async with serving(environ, tmp_path) as successor:
        reading = asyncio.create_task(reader.read(successor))
        await published(successor, names[100:])

        async def is_whole() -> bool:
            return len(reader.items) >= len(names)

        await until(is_whole)
        expected = await all_items(successor)
        assert await successor.terminate() == 0
        await reading

    assert before < len(names)
    assert [item["id"] for item in reader.items] == [item["id"] for item in expected]
    assert {item["task_id"] for item in reader.items} == set(names)
    assert [item["body"] for item in reader.items] == [item["body"] for item in expected]


@pytest.mark.postgres
async def test_whichever_replica_is_asked_each_event_comes_once_and_in_order(
    neighbours: Neighbours, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    url = postgres_server.url_for(postgres_server.create_database())
    environ = environment(neighbours, url, DATABASE__MIGRATE_AT_START="true")
    pulled: list[dict[str, Any]] = []
    names = [f"success-after-{number % 2}-replicas-{number}" for number in range(200)]

    async with serving(environ, tmp_path) as one, serving(environ, tmp_path) as two:
        registering = asyncio.create_task(published(one, names))
        after, replicas = "", itertools.cycle((one, two))
        while len(pulled) < len(names):
            relay = next(replicas)
            page = (await relay.api.get(f"/v1/events?limit=7&wait=10{after}")).json()
            pulled += page["data"]
            after = f"&after={page['next_cursor']}"
        await registering
        exits = [await one.terminate(), await two.terminate()]

    positions = [int(item["cursor"].partition("-")[2]) for item in pulled]
    assert positions == list(range(1, len(names) + 1))
    assert {item["task_id"] for item in pulled} == set(names)
    assert exits == [0, 0]
