import re

import pytest

from tests.console.browsing import Browser
from tests.relays import FAILING, HOOK, SUCCESS, RelayInHand

PAGES = ["/ui", "/ui/registrations", "/ui/origins", "/ui/dead", "/ui/replay", "/ui/try", "/ui/api"]
DIRECTIVES = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
}


@pytest.mark.parametrize("path", [*PAGES, "/ui/sign-in?x", "/ui/nothing"])
async def test_every_page_forbids_whatever_it_does_not_need(browser: Browser, path: str) -> None:
    answer = await browser.http.get(path)

    assert {part.strip() for part in answer.headers["content-security-policy"].split(";")} == DIRECTIVES
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", PAGES)
async def test_no_page_needs_what_its_policy_forbids(browser: Browser, relay: RelayInHand, path: str) -> None:
    relay.world.task("task-1", SUCCESS)
    relay.world.hook(HOOK, FAILING)
    await relay.register()
    await relay.pass_time(0)

    page = await browser.get(path)

    names = {name for name, _ in page.attributes}
    assert not {name for name in names if name.startswith("on") or name == "style"}
    assert "<style" not in page.answer.text
    assert not re.search(r"<script(?! src=)", page.answer.text)
    assert all(load.startswith("/ui/static/") for load in page.loads)


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_can_be_found_about_in_without_seeing_it(browser: Browser, path: str) -> None:
    page = await browser.get(path)
    text = page.answer.text

    assert '<html lang="en">' in text
    assert text.count("<h1") == 1
    assert text.count("<main") == 1
    assert page.links["Skip to the content"] == "#main"
    assert len(page.ids) == len(set(page.ids))
    assert len(re.findall(r'<a href="[^"]*" aria-current="page">', text)) == 1
    labelled = set(re.findall(r'<label for="([^"]+)"', text))
    fields = {
        dict(re.findall(r'([\w-]+)="([^"]*)"', tag)).get("id")
        for tag in re.findall(r"<(?:input|select|textarea)[^>]*>", text)
        if 'type="hidden"' not in tag
    }
    assert fields <= labelled


async def test_what_a_page_loads_may_be_kept_for_ever_under_its_name(browser: Browser) -> None:
    page = await browser.get("/ui")
    loaded = {path: await browser.http.get(path) for path in page.loads}

    assert {path.rpartition("/")[2]: answer.headers["content-type"] for path, answer in loaded.items()} == {
        "icon.svg": "image/svg+xml",
        "console.css": "text/css; charset=utf-8",
        "htmx.min.js": "text/javascript; charset=utf-8",
        "console.js": "text/javascript; charset=utf-8",
    }
    for answer in loaded.values():
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_file_of_another_version_is_there_but_not_kept(browser: Browser) -> None:
    other = await browser.http.get("/ui/static/000000000000/console.css")
    unknown = await browser.http.get("/ui/static/000000000000/secrets.toml")

    assert (other.status_code, other.headers["cache-control"]) == (200, "no-store")
    assert unknown.status_code == 404


async def test_a_page_that_stands_open_gets_its_part_again_only_when_it_has_changed(
    browser: Browser, relay: RelayInHand
) -> None:
    whole = await browser.get("/ui/registrations")
    (version,) = re.findall(r'\{"relay-live": "(\w+)"\}', whole.answer.text)
    relay.hands.advance(3)
    same = await browser.http.get("/ui/registrations", headers={"relay-live": version})
    await relay.register("a-new-task")
    part = await browser.http.get("/ui/registrations", headers={"relay-live": version})

    assert (same.status_code, same.content) == (204, b"")
    assert part.status_code == 200
    assert "a-new-task" in part.text
    assert part.text.strip().startswith('<div id="live"')
    assert "<html" not in part.text


async def test_the_passage_of_time_alone_changes_nothing(browser: Browser, relay: RelayInHand) -> None:
    registration = await relay.register()
    whole = await browser.get(f"/ui/registrations/{registration}")
    (version,) = re.findall(r'\{"relay-live": "(\w+)"\}', whole.answer.text)

    relay.hands.advance(1)
    same = await browser.http.get(f"/ui/registrations/{registration}", headers={"relay-live": version})

    assert same.status_code == 204


async def test_what_is_not_there_says_what_to_do(browser: Browser) -> None:
    for path in (
        "/ui/nothing",
        "/ui/registrations/reg_1",
        f"/ui/registrations/reg_{'0' * 32}",
        "/ui/replays/x",
    ):
        page = await browser.get(path, 404)

        assert "Not found" in page.text
        assert "Check the address" in page.text
        assert page.links["To the overview"] == "/ui"
        assert page.answer.headers["x-request-id"] in page.text


async def test_a_form_sent_to_a_page_that_takes_none_is_a_page_too(browser: Browser) -> None:
    answer = await browser.post("/ui/origins")

    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{}", {"content-type": "application/json"}, 415),
        (b"token=" + b"x" * 70_000, {}, 413),
        (b"token=%ff\xff", {}, 400),
        (b"&".join(b"a%d=b" % number for number in range(60)), {}, 400),
    ],
)
async def test_a_form_that_is_none_is_refused(
    stranger: Browser, content: bytes, headers: dict[str, str], status: int
) -> None:
    form = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}

    answer = await stranger.http.post("/ui/sign-in", content=content, headers=form | headers)

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
