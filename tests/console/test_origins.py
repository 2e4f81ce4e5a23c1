import httpx

from tests.console.browsing import Browser
from tests.relays import HOOK, OK, SUCCESS, RelayInHand


async def test_where_nothing_waits_the_page_says_what_would_be_shown(browser: Browser) -> None:
    assert "Every origin is open, and nothing waits" in (await browser.get("/ui/origins")).text


async def test_an_origin_shows_its_health_its_limit_its_pause_its_latency_and_what_waits(
    browser: Browser, relay: RelayInHand
) -> None:
    relay.world.hook(HOOK, OK, httpx.Response(503, headers={"retry-after": "600"}))
    for task in ("alpha", "beta"):
        relay.world.task(task, SUCCESS)
        await relay.register(task)
        await relay.tick()

    page = await browser.get("/ui/origins")

    assert "https://hooks.test Paused It asked with Retry-After to be left alone." in page.text
    assert "0 of 8 Waiting 1 First one due in 10 min Paused until 11:16:40 in 10 min" in page.text
    assert "In trouble since 11:06:40 now Answers 0 ms slowest 0 ms" in page.text
    found = await browser.get(page.links["What waits for it"])
    assert {"alpha", "beta"} & found.links.keys() == {"beta"}


async def test_an_origin_that_keeps_failing_says_how_often_it_was_paused(
    browser: Browser, relay: RelayInHand
) -> None:
    relay.world.hook(HOOK, httpx.ConnectError("refused"))
    for number in range(3):
        relay.world.task(f"task-{number}", SUCCESS)
        await relay.register(f"task-{number}")
    for _ in range(40):
        await relay.pass_time(30)

    page = await browser.get("/ui/origins")

    assert "pauses in a row" in page.text
    assert "none lately" in page.text


async def test_many_origins_go_on_on_another_page(browser: Browser, relay: RelayInHand) -> None:
    relay.world.everything_sent.answers = [httpx.Response(500)]
    relay.world.task("alpha", SUCCESS)
    for number in range(51):
        await relay.register("alpha", f"https://hooks-{number:02}.test/in")
    await relay.tick()

    first = await browser.get("/ui/origins")
    second = await browser.get(first.links["More"])

    assert "https://hooks-49.test" in first.text
    assert "https://hooks-50.test" not in first.text
    assert "https://hooks-50.test" in second.text
    assert second.links["First"] == "/ui/origins"
    assert "More" not in second.links


async def test_a_place_in_the_list_that_is_none_is_refused(browser: Browser) -> None:
    assert "cursor" in (await browser.get("/ui/origins?cursor=x", 422)).text


async def test_an_origin_that_is_held_back_is_shown_though_nothing_waits_for_it(
    browser: Browser, relay: RelayInHand
) -> None:
    relay.world.task("alpha", SUCCESS)
    relay.world.hook(HOOK, httpx.Response(429))
    registration = await relay.register("alpha")
    await relay.tick()
    await relay.api.post(f"/v1/registrations/{registration}/cancel")

    page = await browser.get("/ui/origins")

    assert "It answered 429, too many requests." in page.text
    assert "Waiting 0 First one due – Paused until" in page.text
