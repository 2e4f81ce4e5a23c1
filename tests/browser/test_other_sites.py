"""What a page of another site can make a browser do whose owner has signed in."""

import pytest
from playwright.sync_api import Route

from tests.browser.conftest import Visit
from tests.browser.relays import Running
from tests.browser.seeding import Seeded
from tests.browser.visiting import Visitor

pytestmark = pytest.mark.browser

ELSEWHERE = "http://elsewhere.example"


def open_elsewhere(visitor: Visitor, html: str, site: str = ELSEWHERE) -> None:
    """A page of another site, which no request has to leave the machine for."""

    def answer(route: Route) -> None:
        route.fulfill(body=f"<!doctype html><title>another site</title>{html}", content_type="text/html")

    visitor.page.route(f"{site}/**", answer)
    visitor.page.goto(f"{site}/")


def forget(visitor: Visitor) -> None:
    """That the other site was there, and what the browser said about the console in it."""
    visitor.observed.requests[:] = [url for url in visitor.observed.requests if "/ui" in url]
    visitor.observed.complaints.clear()
    visitor.observed.broken.clear()


@pytest.mark.parametrize("site", [ELSEWHERE, "http://127.0.0.1:9"], ids=["another-site", "another-port"])
def test_a_form_of_another_site_changes_nothing(
    visit: Visit, relay: Running, seeded: Seeded, site: str
) -> None:
    with visit() as visitor:
        action = f"{relay.url}/ui/registrations/{seeded.watching}/cancel"
        open_elsewhere(visitor, f"<form method=post action='{action}'><button>Win</button></form>", site)

        with visitor.page.expect_navigation():
            visitor.press("Win")

        assert relay.read(seeded.watching)["state"] == "watching"
        forget(visitor)


def test_no_other_site_shows_the_console_in_a_frame(visit: Visit, relay: Running, seeded: Seeded) -> None:
    with visit() as visitor:
        open_elsewhere(visitor, f"<iframe src='{relay.url}/ui'></iframe>")

        visitor.page.wait_for_timeout(500)

        assert all(frame.get_by_text("Relay").count() == 0 for frame in visitor.page.frames)
        forget(visitor)
