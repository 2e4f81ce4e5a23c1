import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.relays import SHOP, Running
from tests.browser.seeding import Seeded

pytestmark = pytest.mark.browser


def test_a_session_begins_and_ends(visit: Visit) -> None:
    with visit(token=None, scripts=False) as visitor:
        visitor.go("")
        visitor.sign_in(SHOP)
        expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Overview")

        visitor.press("Sign out")

        expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Sign in")


def test_what_is_dead_is_found_and_sent_again(visit: Visit, relay: Running) -> None:
    dead = relay.register("success-no-scripts", f"{relay.well}/fail-4/no-scripts")
    relay.reaches(dead, "dead")
    with visit(scripts=False) as visitor:
        visitor.go("/registrations")
        visitor.page.get_by_role("searchbox").fill("success-no-scripts")
        visitor.press("Search")
        visitor.follow("success-no-scripts")

        visitor.unfold("Send again…")
        visitor.press("Send it again")

        expect(visitor.page.get_by_text("over a new round of the whole schedule").first).to_be_visible()
        relay.reaches(dead, "delivered")


def test_a_replay_is_counted_and_begun(visit: Visit, relay: Running) -> None:
    dead = relay.register("success-no-scripts-replayed", f"{relay.ill}/fail-4/replayed", kind="story")
    relay.reaches(dead, "dead")
    with visit(scripts=False) as visitor:
        visitor.go("/replay")
        visitor.page.get_by_label("Kind").select_option("story")
        visitor.press("Count what it finds")
        visitor.press("Send it again")

        expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Replay")
        relay.reaches(dead, "delivered")


def test_a_button_that_only_a_script_could_serve_is_not_shown(visit: Visit, seeded: Seeded) -> None:
    with visit(scripts=False) as visitor:
        visitor.go(f"/registrations/{seeded.delivered}/curl")

        assert visitor.page.get_by_role("button", name="Copy").count() == 0
        expect(visitor.page.locator("pre").first).to_contain_text("curl")
