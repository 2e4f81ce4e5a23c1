import subprocess
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.relays import Running
from tests.browser.seeding import Seeded

pytestmark = pytest.mark.browser


def test_a_task_is_found_by_its_id(visit: Visit, seeded: Seeded) -> None:
    with visit() as visitor:
        visitor.go("/registrations")

        visitor.page.get_by_role("searchbox").fill("success-delivering")
        visitor.press("Search")

        expect(visitor.page.get_by_role("row")).to_have_count(2)  # its head is one
        visitor.follow("success-delivering")
        expect(visitor.page.get_by_role("heading", level=1)).to_have_text("success-delivering")


def test_what_goes_to_an_origin_is_found_by_a_callback(visit: Visit, seeded: Seeded, relay: Running) -> None:
    with visit() as visitor:
        visitor.go("/registrations")

        visitor.page.get_by_role("searchbox").fill(f"{relay.busy}/anything?at=all")
        visitor.press("Search")

        expect(visitor.page.get_by_role("row")).to_have_count(3)
        expect(visitor.page.get_by_role("table")).to_contain_text("success-gone")


def test_a_registration_is_found_by_its_own_id_and_by_its_events(visit: Visit, seeded: Seeded) -> None:
    with visit() as visitor:
        for known in (seeded.dead, seeded.dead.replace("reg_", "evt_")):
            visitor.go("/registrations")
            visitor.page.get_by_role("searchbox").fill(known)
            visitor.press("Search")

            visitor.page.wait_for_url(f"{visitor.relay.url}/ui/registrations/{seeded.dead}")


def test_the_list_is_narrowed_by_state_and_by_reason(visit: Visit, seeded: Seeded) -> None:
    with visit() as visitor:
        visitor.go("/registrations")

        visitor.page.get_by_role("navigation", name="State").get_by_role("link", name="Dead").click()
        visitor.page.get_by_label("Reason").select_option(label="Gone")
        visitor.press("Search")

        expect(visitor.page.get_by_role("row")).to_have_count(2)
        expect(visitor.page.get_by_role("table")).to_contain_text("success-gone")


def test_a_long_list_is_leafed_through(visit: Visit, seeded: Seeded) -> None:
    with visit() as visitor:
        visitor.go("/registrations")
        newest = visitor.page.locator("tbody a").first.inner_text()

        visitor.follow("Older")
        visitor.page.wait_for_url("**cursor=*")
        assert visitor.page.locator("tbody a").first.inner_text() != newest

        visitor.follow("Newest")
        expect(visitor.page.locator("tbody a").first).to_have_text(newest)


def test_what_an_attempt_sent_and_was_answered_is_shown(visit: Visit, seeded: Seeded) -> None:
    with visit() as visitor:
        visitor.go(f"/registrations/{seeded.dead}")
        attempt = visitor.page.locator("details[id^=attempt]").first

        attempt.locator("summary").click()

        expect(attempt).to_contain_text("webhook-id: evt_")
        expect(attempt).to_contain_text("relay-attempt: 4")
        expect(attempt).to_contain_text('"received": false')


def test_what_holds_a_delivery_is_said_and_until_when(visit: Visit, seeded: Seeded) -> None:
    with visit() as visitor:
        visitor.go(f"/registrations/{seeded.delivering}")

        situation = visitor.page.get_by_role("region").first
        expect(situation).to_contain_text("What comes next")
        expect(situation).to_contain_text("429")
        expect(situation).to_contain_text("min")


def test_nothing_that_others_wrote_becomes_markup_and_no_query_of_a_callback_is_shown(
    visit: Visit, seeded: Seeded
) -> None:
    with visit() as visitor:
        visitor.go(f"/registrations/{seeded.watching}")

        visitor.unfold("Metadata")

        expect(visitor.page.locator("#metadata")).to_contain_text("<b>not bold</b>")
        assert visitor.page.locator("#metadata b").count() == 0
        assert "token=secret" not in visitor.page.content()


def test_what_is_dead_is_sent_again(visit: Visit, relay: Running) -> None:
    dead = relay.reaches(relay.register("success-redelivered", f"{relay.well}/fail-4/redelivered"), "dead")
    with visit() as visitor:
        visitor.go(f"/registrations/{dead}")

        visitor.unfold("Send again…")
        visitor.press("Send it again")

        expect(visitor.page.get_by_text("over a new round of the whole schedule").first).to_be_visible()
        expect(visitor.page.locator(".situation .badge")).to_have_text("Delivered")


def test_what_is_watched_is_cancelled_once_that_was_said_twice(visit: Visit, relay: Running) -> None:
    watching = relay.register("pending-to-cancel", f"{relay.well}/ok")
    with visit() as visitor:
        visitor.go(f"/registrations/{watching}")

        assert not visitor.page.get_by_role("button", name="Cancel the registration").is_visible()
        visitor.unfold("Cancel…")
        visitor.press("Cancel the registration")

        expect(visitor.page.get_by_text("An attempt under way may still arrive")).to_be_visible()
        assert relay.read(watching)["state"] == "cancelled"
        assert visitor.page.get_by_text("Cancel…").count() == 0


def test_what_is_copied_as_curl_is_taken_by_a_receiver_that_verifies(
    visit: Visit, relay: Running, seeded: Seeded
) -> None:
    with visit() as visitor:
        visitor.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        visitor.go(f"/registrations/{seeded.delivered}")
        visitor.follow("Copy as curl")

        visitor.page.locator("button[data-copy=notification]").click()
        expect(visitor.page.get_by_role("button", name="Copied")).to_be_visible()

        command: str = visitor.page.evaluate("navigator.clipboard.readText()")
        assert urlsplit(relay.well).netloc not in command, "a click must not reach the real receiver"
        done = subprocess.run(
            ["sh", "-c", command],  # noqa: S607 - the shell is where the machine has it
            env={"CALLBACK_URL": f"{relay.well}/ok", "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert '"received":true' in done.stdout
