"""What the real command writes to its sockets, byte for byte."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import pytest

from relay import __version__
from tests.e2e.neighbours import CAMB_KEY, Neighbours, neighbours_at
from tests.e2e.processes import environment, serving, sqlite_url
from tests.sockets import ACCEPTED, SocketServer, answer, listening

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

TASK_IDS = {
    "a/b?c": b"a%2Fb%3Fc",
    "..": b"%2E%2E",
    ".": b"%2E",
    "%2e%2e": b"%252e%252e",
    "ü": b"%C3%BC",
    "a b+c#d": b"a%20b%2Bc%23d",
    "plain-1_2~3.4": b"plain-1_2~3.4",
}

TARGETS = (
    b"/",
    b"/a/../b",
    b"/./a",
    b"//x",
    b"/a//b/",
    b"/?sig=a%2Bb%2Fc%3D",
    b"/a?b?c",
    b"/%2e%2e/%2E",
    b"/tts/a%2Fb%3Fc",
    b"/%C3%BC/%c3%bc",
    b"/a+b;c=d,e:f@g!$&'()*",
)


@pytest.fixture
async def camb() -> AsyncIterator[SocketServer]:
    async with listening(answer("200 OK", b'{"status":"SUCCESS","run_id":1}')) as server:
        yield server


@pytest.fixture
async def callbacks() -> AsyncIterator[SocketServer]:
    async with listening(ACCEPTED) as server:
        yield server


@pytest.fixture
async def sockets(camb: SocketServer, callbacks: SocketServer) -> AsyncIterator[Neighbours]:
    async with neighbours_at(camb.origin, callbacks.origin) as neighbours:
        yield neighbours


async def test_a_task_id_reaches_camb_as_one_encoded_path_segment(
    sockets: Neighbours, camb: SocketServer, callbacks: SocketServer, tmp_path: Path
) -> None:
    environ = environment(sockets, sqlite_url(tmp_path))

    async with serving(environ, tmp_path) as relay:
        await relay.register_all(
            [
                {"task_id": task_id, "kind": "dub", "callback_url": f"{callbacks.origin}/{number}"}
                for number, task_id in enumerate(TASK_IDS)
            ]
        )
        await relay.all_closed()

    segments = {received.target.removeprefix(b"/apis/dub/") for received in camb.received}
    assert segments == set(TASK_IDS.values())
    assert {unquote_to_bytes(segment).decode() for segment in segments} == TASK_IDS.keys()
    assert {received.method for received in camb.received} == {b"GET"}
    assert {received.headers["x-api-key"] for received in camb.received} == {CAMB_KEY}
    told = {received.headers["relay-task-id"] for received in callbacks.received}
    assert told == {quote(task_id, safe="") for task_id in TASK_IDS}


async def test_a_callback_url_reaches_the_wire_byte_for_byte(
    sockets: Neighbours, callbacks: SocketServer, tmp_path: Path
) -> None:
    environ = environment(sockets, sqlite_url(tmp_path))

    async with serving(environ, tmp_path) as relay:
        await relay.register_all(
            [
                {"task_id": f"task-{number}", "callback_url": callbacks.origin + target.decode()}
                for number, target in enumerate(TARGETS)
            ]
        )
        await relay.all_closed()

    assert sorted(received.target for received in callbacks.received) == sorted(TARGETS)


async def test_a_notification_carries_its_headers_and_nothing_of_cambs_key(
    sockets: Neighbours, camb: SocketServer, callbacks: SocketServer, tmp_path: Path
) -> None:
    environ = environment(sockets, sqlite_url(tmp_path))

    async with serving(environ, tmp_path) as relay:
        registration = await relay.register("a/b", f"{callbacks.origin}/hook", kind="tts")
        await relay.reaches(registration, "delivered")

    (received,) = callbacks.received
    fixed = dict(received.headers)
    assert fixed.pop("webhook-id").startswith("evt_")
    assert fixed.pop("webhook-timestamp").isdecimal()
    assert fixed.pop("webhook-signature").startswith("v1,")
    assert fixed == {
        "host": f"127.0.0.1:{callbacks.port}",
        "accept": "*/*",
        "accept-encoding": "identity",
        "user-agent": f"camb-relay/{__version__}",
        "content-type": "application/json",
        "content-length": str(len(received.body)),
        "relay-registration-id": registration,
        "relay-task-id": "a%2Fb",
        "relay-kind": "tts",
        "relay-event-type": "task.succeeded",
        "relay-attempt": "1",
    }
    assert CAMB_KEY.encode() not in received.head + received.body
    assert len(camb.received) == 1
