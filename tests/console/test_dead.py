import httpx

from tests.console.browsing import Browser, Page
from tests.console.test_registrations import dead
from tests.relays import HOOK, SUCCESS, RelayInHand


async def replay_on(relay: RelayInHand) -> None:
    await relay.relay.replaying.run_once()
    await relay.settle()


async def gone(relay: RelayInHand, count: int, url: str = HOOK) -> None:
    relay.world.hook(url, httpx.Response(410))
    for number in range(count):
        relay.world.task(f"gone-{number}", SUCCESS)
        await relay.register(f"gone-{number}", url)
    await relay.tick()


async def test_where_nothing_is_dead_the_page_says_what_would_be(browser: Browser) -> None:
    page = await browser.get("/ui/dead")

    assert "Nothing is dead" in page.text
    assert "None yet. A replay sends again" in page.text


async def test_what_is_dead_is_grouped_by_reason_and_origin(browser: Browser, relay: RelayInHand) -> None:
    await dead(relay, "alpha", "https://broken.test/in")
    await gone(relay, 2)
    await browser.sign_in()  # a day has passed

    page = await browser.get("/ui/dead")

    assert "https://hooks.test Gone The callback answered 410. Dead 2" in page.text
    assert "https://broken.test Exhausted Every attempt of the schedule failed. Dead 1" in page.text
    found = await browser.get(page.links["Look at them"])
    assert {"alpha", "gone-0", "gone-1"} & found.links.keys() == {"gone-0", "gone-1"}


async def test_a_replay_is_counted_before_it_begins_and_shows_how_far_it_has_come(
    browser: Browser, relay: RelayInHand
) -> None:
    await gone(relay, 3)
    page = await browser.get("/ui/dead")
    asked = await browser.get(page.links["Send again…"] + "?origin=https://hooks.test&count=1")
    begun = await browser.follow(await browser.send(asked.form("/ui/replays")))
    await replay_on(relay)
    done = await browser.get(begun.answer.url.path)

    assert "3 notifications would be sent again" in asked.text
    assert "Send all 3 again" in asked.text
    assert "Counting what it finds Running" in begun.text
    assert "3 of 3 sent again" in done.text
    assert "https://hooks.test 3 of 3" in done.text
    assert "3 of 3" in (await browser.get("/ui/dead")).text


async def test_a_replay_is_paused_resumed_and_cancelled(browser: Browser, relay: RelayInHand) -> None:
    await gone(relay, 1)
    begun = await browser.follow(await browser.post("/ui/replays", {"state": "dead"}))
    path = begun.answer.url.path

    paused = await browser.follow(await browser.send(begun.form(f"{path}/pause")))
    resumed = await browser.follow(await browser.send(paused.form(f"{path}/resume")))
    cancelled = await browser.follow(await browser.send(resumed.form(f"{path}/cancel")))

    assert "Nothing until it is resumed" in paused.text
    assert "It goes on by itself" in resumed.text
    assert "Cancelled" in cancelled.text
    assert not [form for form in cancelled.forms if form.action.startswith(path)]
    late = await browser.post(f"{path}/resume")
    assert late.status_code == 409
    assert "a replay that is cancelled cannot be resumed".capitalize() in Page(late).text


async def test_a_replay_that_waits_for_an_origin_says_until_when(
    browser: Browser, relay: RelayInHand
) -> None:
    await gone(relay, 2)
    relay.world.task("alpha", SUCCESS)
    relay.world.hook("https://hooks.test/slow", httpx.Response(429, headers={"retry-after": "600"}))
    await relay.register("alpha", "https://hooks.test/slow")
    await relay.tick()
    begun = await browser.follow(await browser.post("/ui/replays", {"state": "dead"}))
    await replay_on(relay)

    page = await browser.get(begun.answer.url.path)

    assert "0 of 2 Waits its origin is paused until 11:16:40" in page.text


async def test_a_replay_by_kind_and_time_says_so(browser: Browser, relay: RelayInHand) -> None:
    form = {
        "state": "delivered",
        "origin": "https://hooks.test",
        "kind": "tts",
        "since": "2026-11-18T11:00:00Z",
        "until": "2026-11-18T12:00:00Z",
    }

    begun = await browser.follow(await browser.post("/ui/replays", form))

    assert "delivered at https://hooks.test, tts, ended since 11:00:00 , ended before 12:00:00" in begun.text
    assert "delivered at https://hooks.test, tts" in (await browser.get("/ui/dead")).text


async def test_a_filter_that_breaks_a_rule_is_named_and_kept(browser: Browser) -> None:
    page = await browser.get("/ui/replay?count=1&since=yesterday&origin=https://hooks.test", 422)
    sent = await browser.post("/ui/replays", {"state": "dead", "kind": "nothing"})

    assert "since must be a date and time with an offset" in page.text
    assert page.form("/ui/replay").fields["origin"] == "https://hooks.test"
    assert sent.status_code == 422
    assert "kind" in Page(sent).text


async def test_where_nothing_is_found_there_is_nothing_to_send(browser: Browser) -> None:
    page = await browser.get("/ui/replay?count=1")

    assert "0 notifications would be sent again" in page.text
    assert "there is nothing to send" in page.text
    assert all(form.action != "/ui/replays" for form in page.forms)


async def test_more_replays_than_are_shown_are_told_of(browser: Browser) -> None:
    for _ in range(11):
        begun = await browser.follow(await browser.post("/ui/replays", {"state": "dead"}))
        await browser.send(begun.form(f"{begun.answer.url.path}/cancel"))

    assert "Older ones: GET /v1/replays" in (await browser.get("/ui/dead")).text


async def test_too_many_open_replays_are_refused_as_by_the_api(browser: Browser) -> None:
    answers = [await browser.post("/ui/replays", {"state": "dead"}) for _ in range(11)]

    assert [answer.status_code for answer in answers] == [303] * 10 + [409]
    assert "10 replays are open already" in Page(answers[-1]).text
