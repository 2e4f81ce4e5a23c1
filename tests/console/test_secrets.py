"""No page, script or header of the console holds a secret of the configuration."""

import base64
import re
from pathlib import Path

import httpx

from tests.console.browsing import Browser, Page, browsing
from tests.relays import HOOK, SUCCESS, RelayInHand, open_relay, settings_for, sqlite_url

SECRET = base64.b64encode(b"canary-signing-secret-bytes!").decode()
CLIENT = {
    "api_tokens": ["canary-api-token"],
    "camb_api_key": "canary-camb-key",
    "signing_secrets": [f"whsec_{SECRET}"],
    "callback_headers": [{"origin": "https://hooks.test", "name": "x-gate", "value": "canary-gate-value"}],
}


async def everything(relay: RelayInHand, browser: Browser, token: str) -> list[httpx.Response]:
    """Each page that a link leads to, and each form that may be sent twice."""
    answers = [await browser.sign_in(token)]
    waiting, seen = ["/ui"], set[str]()
    while waiting:
        path = waiting.pop()
        if path in seen or not path.startswith("/ui") or len(seen) > 80:
            continue
        seen.add(path)
        answer = await browser.http.get(path)
        answers.append(answer)
        page = Page(answer) if answer.headers["content-type"].startswith("text/html") else None
        waiting += [] if page is None else [*page.links.values(), *page.loads]
    answers += [
        await browser.post("/ui/try/test", {"callback_url": HOOK}),
        await browser.post(
            "/ui/try/verify", {"webhook_id": "a", "webhook_timestamp": "1", "webhook_signature": "v1,x"}
        ),
        await browser.post("/ui/registrations", {"task_id": ""}),
    ]
    assert len(seen) > 20
    return answers


async def test_no_page_holds_a_secret(tmp_path: Path) -> None:
    settings = settings_for(
        sqlite_url(tmp_path), clients={"default": CLIENT}, operator={"api_tokens": ["canary-operator"]}
    )
    async with open_relay(settings) as relay:
        relay.api.headers["authorization"] = "Bearer canary-api-token"
        relay.world.hook(HOOK, httpx.Response(500, text="you sent canary-gate-value"))
        for number in range(3):
            relay.world.task(f"task-{number}", SUCCESS)
            await relay.register(f"task-{number}", f"{HOOK}")
        for _ in range(3):
            await relay.pass_time(60)
        for token in ("canary-api-token", "canary-operator"):
            async with browsing(relay) as browser:
                answers = await everything(relay, browser, token)

            whole = "\n".join(f"{answer.headers}\n{answer.text}" for answer in answers)
            assert not re.findall("canary", whole)
            assert SECRET not in whole
            assert "x-gate: •••" in whole
