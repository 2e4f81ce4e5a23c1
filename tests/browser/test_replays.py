import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.relays import Running
from tests.browser.seeding import Seeded

pytestmark = pytest.mark.browser


def test_what_is_dead_is_counted_before_it_is_sent_again_and_followed_to_its_end(
    visit: Visit, relay: Running
) -> None:
    dead = [
        relay.register(f"success-replayed-{number}", f"{relay.ill}/fail-4/{number}", kind="dub")
        for number in range(3)
    ]
    for each in dead:
        relay.reaches(each, "dead")
    with visit() as visitor:
        visitor.go("/dead")
        visitor.follow("Send again…")
        visitor.page.get_by_label("Kind").select_option("dub")

        visitor.press("Count what it finds")
        expect(visitor.page.get_by_text("3 notifications would be sent again")).to_be_visible()
        assert {relay.read(each)["state"] for each in dead} == {"dead"}
        visitor.press("Send all 3 again")

        expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Replay")
        expect(visitor.page.get_by_text("3 of 3 sent again").first).to_be_visible()
        expect(visitor.page.locator(".situation .badge")).to_have_text("Done")
        bar = visitor.page.get_by_role("progressbar")
        assert (bar.get_attribute("value"), bar.get_attribute("max")) == ("3", "3")
        for each in dead:
            relay.reaches(each, "delivered")


def test_a_group_of_the_dead_leads_to_them_and_to_their_replay(
    visit: Visit, relay: Running, seeded: Seeded
) -> None:
    origin = relay.busy.removesuffix("/hooks")
    with visit() as visitor:
        visitor.go("/dead")
        group = visitor.page.get_by_role("listitem").filter(has_text=origin)
        expect(group).to_contain_text("Gone")

        group.get_by_role("link", name="Look at them").click()
        expect(visitor.page.get_by_role("table")).to_contain_text("success-gone")

        visitor.go("/dead")
        group.get_by_role("link", name="Send again…").click()
        expect(visitor.page.get_by_label("Origin")).to_have_value(origin)
        expect(visitor.page.get_by_text("1 notification would be sent again")).to_be_visible()


def test_a_replay_says_what_it_waits_for_and_is_paused_resumed_and_cancelled(
    visit: Visit, relay: Running, seeded: Seeded
) -> None:
    replay = relay.replay(origin=relay.busy.removesuffix("/hooks"))
    with visit() as visitor:
        visitor.go(f"/replays/{replay}")
        badge = visitor.page.locator(".situation .badge")
        expect(visitor.page.get_by_text("its origin is paused until")).to_be_visible()

        visitor.press("Pause")
        expect(badge).to_have_text("Paused")
        visitor.press("Resume")
        expect(badge).to_have_text("Running")
        visitor.unfold("Cancel…")
        visitor.press("Cancel the replay")
        expect(badge).to_have_text("Cancelled")

        assert relay.api.get(f"/v1/replays/{replay}").json()["state"] == "cancelled"


def test_a_filter_that_makes_no_sense_is_explained_where_it_was_given(visit: Visit) -> None:
    with visit() as visitor:
        visitor.go("/replay")

        visitor.page.get_by_label("Ended since").fill("yesterday")
        visitor.press("Count what it finds")

        expect(visitor.page.get_by_role("alert")).to_contain_text("since")
        expect(visitor.page.get_by_label("Ended since")).to_have_value("yesterday")
