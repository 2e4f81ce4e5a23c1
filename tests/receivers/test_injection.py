"""What callers put into a registration arrives as data, and changes nothing else of the request."""

from typing import Any, Final
from urllib.parse import quote

import orjson

from tests.receivers.calling import HOME
from tests.relays import CAMB_KEY, HOOK, SIGNING_SECRET, TOKEN, RelayInHand
from tests.sockets import ACCEPTED, Received, listening

LINE: Final = "\r\nwebhook-id: evt_forged\r\n\r\nGET /admin HTTP/1.1\r\n"
CONTROLS: Final = (LINE, "a\nb", "a\rb", "\x00", "\x85", "\x7f\x1b[2J")
EVIL_TEXTS: Final = (
    "\u2028\u2029",
    "%0d%0aset-cookie:%20a=b",
    "../../admin?x=1#y",
    "\uff0e\uff0e/\u560a\u560d",
    '","status":"FORGED","x":"',
)
EVIL_URLS: Final = (
    "{origin}/a\r\nx-evil: 1",
    "{origin}/a\nx-evil: 1",
    "{origin}/a HTTP/1.1\r\n\r\n",
    "{origin}/\x00",
    "{origin}/\tx",
    "{origin}/ü",
    "{origin}/a#b",
    "\x01{origin}/",
    " {origin}/",
    "http://evil@{host}/",
    "http://{host}\\@elsewhere.test/",
    "http://{host}%00.test/",
    "http://{host}\u3002test/",
    "http://[{host}]/",
    "{origin}x/",
)
NAMES: Final = frozenset(
    {"host", "accept", "accept-encoding", "user-agent", "content-type", "content-length"}
    | {"webhook-id", "webhook-timestamp", "webhook-signature"}
    | {"relay-registration-id", "relay-task-id", "relay-kind", "relay-event-type", "relay-attempt"}
)


def data(received: Received) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(received.body)["data"]
    return found


async def test_a_task_id_with_a_control_character_is_refused(relay: RelayInHand) -> None:
    items = [{"task_id": text, "callback_url": HOOK} for text in CONTROLS]

    answer = await relay.api.post("/v1/registrations/batch", json={"registrations": items})

    assert [item["http_status"] for item in answer.json()["data"]] == [422] * len(CONTROLS)


async def test_no_task_id_and_no_metadata_reach_a_request_as_anything_but_data(relay: RelayInHand) -> None:
    metadata = {text: text for text in CONTROLS + EVIL_TEXTS}
    async with listening(ACCEPTED) as server:
        items = [
            {"task_id": text, "callback_url": f"{server.origin}/hook", "metadata": metadata}
            for text in EVIL_TEXTS
        ]
        await relay.api.post("/v1/registrations/batch", json={"registrations": items})
        await relay.settle()
        listed = (await relay.api.get("/v1/registrations")).json()["data"]

    told = {data(received)["task_id"]: received for received in server.received}
    assert len(server.received) == len(listed) == len(EVIL_TEXTS)
    for item in listed:
        text, received = item["task_id"], told[item["task_id"]]
        assert (received.method, received.target) == (b"POST", b"/hook")
        assert received.headers.keys() == NAMES
        assert received.headers["relay-task-id"] == quote(text, safe="")
        assert received.headers["webhook-id"] == item["event"]["id"]
        assert data(received)["metadata"] == metadata
        assert data(received)["status"] == "SUCCESS"


async def test_a_callback_url_that_could_break_a_request_is_refused(relay: RelayInHand) -> None:
    async with listening(ACCEPTED) as server:
        urls = [url.format(origin=server.origin, host=f"{HOME}:{server.port}") for url in EVIL_URLS]
        items = [{"task_id": "task-1", "callback_url": url} for url in urls]
        answer = await relay.api.post("/v1/registrations/batch", json={"registrations": items})
        tests = [await relay.api.post("/v1/test", json={"callback_url": url}) for url in urls]
        await relay.settle()

    assert [item["http_status"] for item in answer.json()["data"]] == [422] * len(EVIL_URLS)
    assert [test.status_code for test in tests] == [422] * len(EVIL_URLS)
    assert server.connections == 0


async def test_what_only_looks_like_a_break_in_a_callback_url_is_sent_as_it_stands(
    relay: RelayInHand,
) -> None:
    target = "/a%0d%0ax-evil:%201/..%2f?next=http://169.254.169.254/&q={}|'"
    async with listening(ACCEPTED) as server:
        await relay.register(callback_url=server.origin + target)

    (received,) = server.received
    assert received.target == target.encode()
    assert received.headers.keys() == NAMES


async def test_no_header_carries_a_secret_of_the_relay(relay: RelayInHand) -> None:
    async with listening(ACCEPTED) as server:
        await relay.register(callback_url=server.origin)

    (received,) = server.received
    everything = received.head + received.body
    assert [secret for secret in (SIGNING_SECRET, CAMB_KEY, TOKEN) if secret.encode() in everything] == []
