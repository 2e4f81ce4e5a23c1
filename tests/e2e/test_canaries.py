"""Secrets are planted, everything that can go wrong goes wrong, and whatever the program wrote is searched for them."""

import base64
import json
import resource
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import httpx
import pytest

from relay.webhook.signing import new_pair
from tests.e2e.neighbours import CAMB_KEY, SIGNING_SECRET, Neighbours
from tests.e2e.processes import TOKEN, RelayProcess, environment, serving, sqlite_url, until
from tests.sockets import unused_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

STALE_KEY: Final = "canary-camb-key-that-is-refused"
STALE_TOKEN: Final = "canary-token-of-another-client"
WRONG_TOKEN: Final = "canary-token-of-nobody"
QUERY: Final = "canary-in-a-query"
GATEWAY: Final = "canary-of-the-gateway"
PAIR: Final = new_pair(bytes(range(100, 132)))

SIGNING_KEY: Final = SIGNING_SECRET.removeprefix("whsec_")
OURS: Final = (
    *(secret.encode() for secret in (TOKEN, STALE_TOKEN, WRONG_TOKEN, CAMB_KEY, STALE_KEY, SIGNING_KEY)),
    base64.b64decode(SIGNING_KEY),
    PAIR.text.removeprefix("whsk_")[:40].encode(),
    PAIR.seed,
    GATEWAY.encode(),
)
JSON: Final = {"content-type": "application/json"}
HOOKS: Final = ("ok", "fail", "gone", "busy-1", "redirect", "hang-1")


def found_in(written: bytes, secrets: Sequence[bytes]) -> list[bytes]:
    return [secret for secret in secrets if secret in written]


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def everything_goes_wrong(relay: RelayProcess, neighbours: Neighbours) -> list[httpx.Response]:
    """Deliveries that end in every way, a key that CAMB refuses, requests that are refused, a disk that is full."""
    nobody = unused_port()
    callbacks = [neighbours.hook(f"{hook}?sig={QUERY}") for hook in HOOKS]
    callbacks.append(f"http://127.0.0.1:{nobody}/?sig={QUERY}")
    await relay.register_all(
        [{"task_id": f"success-canary-{number}", "callback_url": url} for number, url in enumerate(callbacks)]
    )
    wish = {"task_id": "success-canary", "callback_url": callbacks[0]}
    stale = {"authorization": f"Bearer {STALE_TOKEN}"}
    await relay.api.post("/v1/registrations", json=wish, headers=stale)
    await relay.all_closed()

    async def key_is_refused() -> bool:
        return await relay.metric('relay_polls_total{kind="text-to-sound",result="unauthorized"}') > 0

    await until(key_is_refused)
    post = relay.api.post
    refusals = [
        await post("/v1/registrations", json=wish, headers={"authorization": f"Bearer {WRONG_TOKEN}"}),
        await post("/v1/registrations", json=wish | {"callback_url": f"http://10.0.0.1/?sig={QUERY}"}),
        await post("/v1/registrations", json=wish | {"callback_url": f"ftp://a.invalid/?sig={QUERY}"}),
        await post("/v1/registrations", json=wish | {"callback_url": f"https://u:{QUERY}@a.invalid/"}),
        await post("/v1/registrations", json=wish | {"kind": "nonsense"}),
        await post("/v1/registrations", json=wish | {"secret": QUERY}),
        await post("/v1/registrations", content=f'{{"callback_url": "{QUERY}"', headers=JSON),
        await relay.api.get(f"/{QUERY}?sig={QUERY}"),
    ]
    resource.prlimit(relay.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    refusals.append(await post("/v1/registrations", json=wish | {"task_id": "success-canary-full"}))
    resource.prlimit(
        relay.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    )
    return refusals


async def test_no_secret_is_in_anything_the_program_writes(neighbours: Neighbours, tmp_path: Path) -> None:
    environ = environment(
        neighbours,
        sqlite_url(tmp_path),
        CLIENTS__STALE__API_TOKENS=STALE_TOKEN,
        CLIENTS__STALE__CAMB_API_KEY=STALE_KEY,
        CLIENTS__STALE__SIGNING_SECRETS=SIGNING_SECRET,
        SIGNING_SECRETS=f"{SIGNING_SECRET},{PAIR.text}",
        CLIENTS__DEFAULT__CALLBACK_HEADERS=json.dumps(
            [{"origin": neighbours.hook("ok").rpartition("/hooks")[0], "name": "x-key", "value": GATEWAY}]
        ),
        DELIVERY__DEADLINE="PT1S",
        LOGGING__LEVEL="debug",
    )

    async with serving(environ, tmp_path) as relay:
        refusals = await everything_goes_wrong(relay, neighbours)
        answers = [
            await relay.api.get(path)
            for path in (
                "/v1/registrations",
                "/metrics",
                "/openapi.json",
                "/readyz",
                "/livez",
                "/v1/keys",
                "/.well-known/jwks.json",
            )
        ]
        relay.signal(signal.SIGTERM)
        exit_code = await relay.ended()
    output = relay.written.everything().encode()
    files = contents(tmp_path)
    said = b"".join(str(answer.headers.raw).encode() + answer.content for answer in refusals)
    shown = b"".join(str(answer.headers.raw).encode() + answer.content for answer in answers)
    metrics = answers[1].content

    assert [answer.status_code for answer in refusals] == [401, 422, 422, 422, 422, 422, 400, 404, 503]
    assert [answer.status_code for answer in answers] == [200] * 7
    assert b"poll.unauthorized" in output
    assert b"delivery.attempted" in output
    assert QUERY.encode() in files, "the callback is kept, and so the search does find what is there"
    assert found_in(output + files + said + shown, OURS) == []
    assert found_in(output + said + metrics, [QUERY.encode()]) == []
    assert exit_code == 0
