"""The first page: what needs somebody, how much is under way, and how it went."""

import re

import httpx
import pytest

from relay.console.overview import LATE
from relay.domain.instants import SECOND
from relay.domain.registrations import EventType
from tests.console.browsing import Browser
from tests.relays import HOOK, OK, PENDING, SUCCESS, RelayInHand

REFUSED = httpx.Response(401)


def version_of(text: str, id_: str) -> str:
    (found,) = re.findall(rf'<div id="{id_}" [^>]*\{{"relay-live": "(\w+)"\}}', text)
    version: str = found
    return version


async def test_where_nothing_is_wrong_it_says_so_and_teaches(browser: Browser) -> None:
    page = await browser.get("/ui")

    assert "0 Watching 0 due" in page.text
    assert "All is well Nothing is dead and every origin is open." in page.text
    assert "No task ended in the last hour." in page.text
    assert "Nothing is registered yet" in page.text
    assert page.links["Try it"] == "/ui/try"


async def test_it_says_how_much_there_is_of_what(browser: Browser, relay: RelayInHand) -> None:
    relay.world.task("dead", SUCCESS)
    relay.world.hook(f"{HOOK}/gone", httpx.Response(410))
    await relay.register("dead", f"{HOOK}/gone")
    await relay.register("task-1")
    await relay.register("task-2")
    relay.hands.advance(3)

    page = await browser.get("/ui")

    assert "2 Watching 2 due 0 Delivering 0 due 1 Dead given up, and kept" in page.text
    assert "1 given up" in page.text
    assert page.links["1 given up"] == "/ui/dead"
    assert page.links["task-2"].startswith("/ui/registrations/reg_")


async def test_a_key_that_camb_refuses_comes_first_with_what_to_do(
    browser: Browser, relay: RelayInHand
) -> None:
    relay.world.task("task-1", REFUSED)
    await relay.register()
    await relay.register("task-2")
    relay.hands.advance(20)

    page = await browser.get("/ui")

    assert "CAMB refuses the key With 401 or 403, since 11:06:40 ." in page.text
    assert "put the key right and restart the relay" in page.text
    assert "2 Watching 0 due · 2 held back" in page.text


@pytest.mark.parametrize(("failures", "told"), [(1, "1 time in a row"), (2, "2 times in a row")])
async def test_a_key_that_is_paused_is_told_of_with_when_it_is_tried_again(
    browser: Browser, relay: RelayInHand, failures: int, told: str
) -> None:
    busy = httpx.Response(503, headers={"retry-after": "30"})
    relay.world.task("task-1", *[busy] * failures, PENDING)
    await relay.register()
    for _ in range(failures - 1):
        await relay.pass_time(31)

    waiting = await browser.get("/ui")
    relay.hands.advance(31)
    over = await browser.get("/ui")

    assert told in waiting.text
    assert "It is tried again in 30 s ." in waiting.text
    assert told in over.text
    assert "It is tried again" not in over.text


async def test_an_origin_in_trouble_is_named(browser: Browser, relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    relay.world.hook(HOOK, httpx.Response(503, headers={"retry-after": "60"}))
    await relay.register()

    page = await browser.get("/ui")

    assert page.links["https://hooks.test"] == "/ui/origins"
    assert "1 waiting · in trouble since 11:06:40 · tried again in 60 s" in page.text


async def test_what_is_late_is_told_of_once_it_is_news(browser: Browser, relay: RelayInHand) -> None:
    relay.world.task("ended", SUCCESS)
    relay.world.hook(HOOK, httpx.Response(400), OK)
    await relay.register("ended")
    await relay.register("task-1")
    relay.hands.advance(LATE / SECOND + 1)

    early = await browser.get("/ui")
    relay.hands.advance(5)
    late = await browser.get("/ui")

    assert "Polls are late" not in early.text
    assert "Polls are late 1 task should have been asked about by now, the first 14 s ago." in late.text
    assert "Notifications are late 1 should have left by now, the first 11 s ago." in late.text
    assert "1 Watching 1 due, the first for 14 s" in late.text


async def test_charts_show_the_last_hour_or_the_last_day(browser: Browser, relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    await relay.register()
    await relay.relay.tallying.run_once()
    relay.hands.advance(2 * 3_600)

    hour = await browser.get("/ui")
    day = await browser.get("/ui?span=day")
    nonsense = await browser.get("/ui?span=year")

    assert "No task ended in the last hour." in hour.text
    assert "1 end in the last day, at most 1 a quarter of an hour: 1 succeeded." in day.text
    assert "Succeeded 1" in day.text
    assert "No task ended in the last hour." in nonsense.text
    assert (hour.links["Last hour"], hour.links["Last day"]) == ("/ui?span=hour", "/ui?span=day")
    assert re.findall(r'href="(\S+)" aria-current="true"', day.answer.text) == ["/ui?span=day"]


async def test_each_part_is_sent_again_once_it_has_changed(browser: Browser, relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    text = (await browser.get("/ui?span=day")).answer.text
    parts = {"live": "/ui", "charts": "/ui/charts?span=day", "newest-live": "/ui/newest"}
    asked = {path: {"relay-live": version_of(text, id_)} for id_, path in parts.items()}
    same = [await browser.http.get(path, headers=headers) for path, headers in asked.items()]

    await relay.register()
    await relay.relay.tallying.run_once()
    relay.relay.tallying.detected("default", EventType.TASK_LOST, relay.relay.clock.now())
    await relay.register("task-2")
    changed = {id_: await browser.http.get(path, headers=asked[path]) for id_, path in parts.items()}

    assert [answer.status_code for answer in same] == [204, 204, 204]
    assert all(f'hx-get="{path}"' in text for path in parts.values())
    for id_, answer in changed.items():
        assert answer.status_code == 200
        assert answer.text.strip().startswith(f'<div id="{id_}"')
    assert "1 end in the last day" in changed["charts"].text
    assert "task-2" in changed["newest-live"].text


async def test_an_operator_sees_all_clients_together_until_one_is_chosen(
    operator: Browser, relay: RelayInHand
) -> None:
    relay.world.task("ended", SUCCESS)
    relay.world.task("refused", REFUSED)
    relay.world.hook(HOOK, httpx.Response(410))
    await relay.register("ended")
    await relay.other.post("/v1/registrations", json={"task_id": "refused", "callback_url": HOOK})
    await relay.settle()
    await relay.relay.tallying.run_once()

    everybody = await operator.get("/ui")
    chosen = await operator.get("/ui?client=other")

    assert "All 2 clients together" in everybody.text
    assert "CAMB refuses the key of default, other" in everybody.text
    assert "1 Watching 0 due 0 Delivering 0 due 1 Dead" in everybody.text
    assert "1 end in the last hour" in everybody.text
    assert "Newest registrations" not in everybody.text
    assert "1 Watching 0 due 0 Delivering 0 due 0 Dead" in chosen.text
    assert "CAMB refuses the key With" in chosen.text
    assert "No task ended in the last hour." in chosen.text
    assert "refused" in chosen.links
    assert chosen.links["Last day"] == "/ui?span=day&client=other"
