"""A page that stands open."""

import pytest
from playwright.sync_api import Page, Response, expect

from tests.browser.conftest import Visit
from tests.browser.relays import Running
from tests.browser.seeding import Seeded

pytestmark = pytest.mark.browser

TWO_TICKS = 4_500
"""Milliseconds."""


def mark(page: Page) -> None:
    page.evaluate("window.marked = true")


def is_marked(page: Page) -> bool:
    """Whether it is still the same page, and was not loaded again."""
    return bool(page.evaluate("window.marked === true"))


def test_a_registration_is_followed_without_a_reload_and_what_was_opened_stays_open(
    visit: Visit, relay: Running
) -> None:
    followed = relay.register("success-after-3-followed", f"{relay.well}/ok")
    with visit() as visitor:
        visitor.go(f"/registrations/{followed}")
        mark(visitor.page)
        visitor.unfold("Metadata")

        expect(visitor.page.locator(".situation .badge")).to_have_text("Delivered")

        assert is_marked(visitor.page)
        assert visitor.page.locator("#metadata").get_attribute("open") is not None


def test_what_is_new_comes_to_the_list_and_takes_nobody_elses_place_in_it(
    visit: Visit, relay: Running, seeded: Seeded
) -> None:
    with visit() as visitor:
        visitor.go("/registrations")
        mark(visitor.page)
        link = visitor.page.locator("tbody a").nth(3)
        link.focus()
        focused = link.get_attribute("id")

        relay.register("pending-new-in-the-list", f"{relay.well}/ok")

        expect(visitor.page.get_by_role("table")).to_contain_text("pending-new-in-the-list")
        assert is_marked(visitor.page)
        assert visitor.page.evaluate("document.activeElement.id") == focused


def test_nobody_is_asked_while_nobody_looks(visit: Visit, seeded: Seeded) -> None:
    with visit() as visitor:
        visitor.go("/registrations")
        visitor.page.evaluate("Object.defineProperty(document, 'visibilityState', {value: 'hidden'})")
        visitor.page.wait_for_timeout(TWO_TICKS)
        visitor.observed.requests.clear()

        visitor.page.wait_for_timeout(TWO_TICKS)

        assert visitor.observed.requests == []


def test_a_relay_that_is_gone_is_told_of_and_the_page_goes_on_by_itself(visit: Visit, seeded: Seeded) -> None:
    with visit() as visitor:
        visitor.go("/registrations")
        notice = visitor.page.get_by_text("The relay does not answer")
        assert not notice.is_visible()

        visitor.page.context.set_offline(offline=True)
        expect(notice).to_be_visible()
        expect(visitor.page.get_by_role("table")).to_be_visible()

        visitor.page.context.set_offline(offline=False)
        expect(notice).to_be_hidden()
        visitor.observed.complaints.clear()  # the browser's own, about the connection


def test_what_has_not_changed_is_not_sent_again(visit: Visit, seeded: Seeded) -> None:
    with visit() as visitor:
        visitor.go(f"/registrations/{seeded.dead}")
        statuses: set[int] = set()

        def answered(response: Response) -> None:
            if response.url == visitor.page.url:
                statuses.add(response.status)

        visitor.page.on("response", answered)
        visitor.page.wait_for_timeout(TWO_TICKS)

        assert statuses == {204}
