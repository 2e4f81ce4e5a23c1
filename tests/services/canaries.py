"""A process of its own that lives through everything with secrets in its pockets, and writes down all it said.

Run as `python -m tests.services.canaries <database URL>`: logs go to stderr, what callers and operators saw to stdout.
"""

import asyncio
import sys
from pathlib import Path
from typing import Final

import httpx
import orjson

from relay.clock import system_clock
from relay.settings import Settings
from relay.telemetry import configure_logging
from relay.transport import BlockedAddress
from relay.webhook.signing import new_pair
from tests.relays import (
    FAILING,
    PENDING,
    SUCCESS,
    RelayInHand,
    client_section,
    open_relay,
    settings_for,
)

API_TOKEN: Final = "canary-api-token"
WRONG_TOKEN: Final = "canary-wrong-token"
CAMB_KEY: Final = "canary-camb-key"
SIGNING_KEY: Final = "Y2FuYXJ5LXNpZ25pbmcta2V5LWNhbmFyeS1rZXk="
DATABASE_PASSWORD: Final = "canary-database-password"
PAIR: Final = new_pair(b"canary-signing-seed-canary-seed!")
GATEWAY: Final = "canary-of-the-gateway"
QUERY: Final = "canary-query"

HOOK: Final = f"https://hooks.test/in?sig={QUERY}"
REFUSED: Final = (
    f"https://10.0.0.1/in?sig={QUERY}",
    f"http://hooks.test/in?sig={QUERY}",
    f"https://me:{QUERY}@hooks.test/",
    f"https://hooks.test/in?sig={QUERY}#part",
    f"https://hooks.test/ü?sig={QUERY}",
)


def settings(database_url: str) -> Settings:
    client = client_section(
        API_TOKEN,
        camb_api_key=CAMB_KEY,
        signing_secrets=[f"whsec_{SIGNING_KEY}", PAIR.text],
        callback_headers=[
            {"origin": "https://hooks.test", "name": "authorization", "value": f"Bearer {GATEWAY}"}
        ],
    )
    return settings_for(
        database_url, clients={"default": client}, database={"migrate_at_start": True, "url": database_url}
    )


async def repeat_what_was_sent(request: httpx.Request) -> httpx.Response:
    """As a callback in debug mode does."""
    return httpx.Response(500, json=dict(request.headers))


class Said:
    """What callers were answered: resources may hold their own callback's query, nothing else may."""

    def __init__(self, relay: RelayInHand) -> None:
        self._relay = relay
        self.resources: list[str] = []
        self.others: list[str] = []

    async def ask(
        self, method: str, path: str, json: object = None, token: str = API_TOKEN
    ) -> httpx.Response:
        answer = await self._relay.api.request(
            method, path, json=json, headers={"authorization": f"Bearer {token}"}
        )
        spoken = self.resources if answer.is_success and path.startswith("/v1/registrations") else self.others
        spoken.append(f"{answer.status_code} {answer.headers} {answer.text}")
        await self._relay.settle()
        return answer


async def live(database_url: str) -> None:
    async with open_relay(settings(database_url), clock=system_clock()) as relay:
        said = Said(relay)
        relay.world.task("pending", PENDING, SUCCESS)
        relay.world.task("ended", SUCCESS)
        relay.world.task("unauthorized", httpx.Response(401, json={"error": "bad key"}))
        repeating = relay.world.hook(HOOK, repeat_what_was_sent)
        relay.world.hook(HOOK + "&gone", httpx.Response(410))
        relay.world.hook(HOOK + "&faulty", FAILING)
        relay.world.hook(HOOK + "&slow", httpx.ReadTimeout("no answer"))
        relay.world.hook(HOOK + "&blocked", BlockedAddress("callbacks may not lead there", final=True))

        for task_id, hook in (
            ("ended", HOOK),
            ("ended", HOOK + "&gone"),
            ("ended", HOOK + "&slow"),
            ("ended", HOOK + "&blocked"),
            ("pending", HOOK),
            ("unauthorized", HOOK),
        ):
            body = {"task_id": task_id, "callback_url": hook}
            location = (await said.ask("POST", "/v1/registrations", body)).headers["location"]
            await said.ask("POST", "/v1/registrations", body | {"format": "raw"})
            await said.ask("GET", location)
            await said.ask("GET", location + "/attempts")
            await said.ask("POST", location + "/redeliver")
            await said.ask("POST", location + "/cancel")
            await said.ask("GET", location, token=WRONG_TOKEN)
        for url in REFUSED:
            await said.ask("POST", "/v1/registrations", {"task_id": "ended", "callback_url": url})
            await said.ask("POST", "/v1/registrations/batch", {"registrations": [{"callback_url": url}]})
            await said.ask("POST", "/v1/test", {"callback_url": url})
        await said.ask("POST", "/v1/test", {"callback_url": HOOK})
        await said.ask("GET", f"/v1/registrations?cursor={QUERY}")
        await said.ask("GET", "/v1/registrations")
        await said.ask("GET", "/v1/keys")
        await said.ask("GET", "/.well-known/jwks.json")
        assert repeating.requests[0].headers["authorization"] == f"Bearer {GATEWAY}"
        stored = await relay.stored()

        await said.ask("POST", "/v1/registrations", {"task_id": "ended", "callback_url": HOOK + "&faulty"})
        await relay.execute(f"UPDATE registrations SET callback_url = 'ftp://hooks.test/?sig={QUERY}'")  # noqa: S608 - QUERY is a constant of these tests
        await relay.execute("UPDATE deliveries SET next_at = next_at - 10000000")
        await relay.relay.delivering.run_once()
        await relay.settle()
        await relay.execute("ALTER TABLE registrations RENAME TO mislaid")
        await said.ask("POST", "/v1/registrations", {"task_id": "lost", "callback_url": HOOK})
        await relay.execute("ALTER TABLE mislaid RENAME TO registrations")
        await said.ask("GET", "/readyz")
        await said.ask("GET", "/metrics")

    written = {
        "resources": said.resources,
        "others": said.others,
        "stored": {str(name): [str(row) for row in rows] for name, rows in stored.items()},
    }
    sys.stdout.buffer.write(orjson.dumps(written))


def spoken_secrets() -> dict[str, str]:
    """What must be found nowhere at all."""
    return {
        "API token": API_TOKEN,
        "wrong token": WRONG_TOKEN,
        "CAMB key": CAMB_KEY,
        "signing secret": SIGNING_KEY,
        "signing key": "canary-signing-key",
        "signing pair": PAIR.text.removeprefix("whsk_")[:40],
        "signing seed": PAIR.seed.decode(),
        "callback header": GATEWAY,
        "database password": DATABASE_PASSWORD,
    }


def files_of(database: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in database.parent.glob(database.name + "*")}


if __name__ == "__main__":
    configure_logging("json", "debug")
    asyncio.run(live(sys.argv[1]))
