"""How it went, as pictures and as numbers."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.relays import OPERATOR, until
from tests.browser.seeding import Seeded
from tests.browser.visiting import Visitor

pytestmark = pytest.mark.browser


def drawn(visitor: Visitor, path: str = "") -> None:
    """Once a process has written its counts, which it does every ten seconds."""
    until(lambda: visitor.go(path) == 200 and visitor.page.locator("figure svg.chart").count() == 3)


def test_a_chart_is_told_to_whoever_cannot_see_it(visit: Visit, seeded: Seeded) -> None:
    with visit() as visitor:
        drawn(visitor)

        for figure in visitor.page.get_by_role("figure").all():
            picture = figure.locator("svg.chart")
            expect(picture).to_have_role("img")
            expect(picture).to_have_accessible_name(figure.get_by_role("heading").inner_text())
            assert figure.get_by_role("row").count() > 1


def test_the_last_day_is_drawn_as_well(visit: Visit, seeded: Seeded) -> None:
    with visit() as visitor:
        drawn(visitor)

        visitor.follow("Last day")

        expect(visitor.page.get_by_role("link", name="Last day")).to_have_attribute("aria-current", "true")
        expect(visitor.page.locator("figure svg.chart")).to_have_count(3)


def test_what_needs_somebody_leads_to_it(visit: Visit, seeded: Seeded) -> None:
    with visit() as visitor:
        visitor.go("")

        visitor.page.get_by_role("region", name="What needs somebody").get_by_role("link").first.click()

        expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Dead")


def test_an_operator_sees_all_clients_together_before_one_is_chosen(visit: Visit, seeded: Seeded) -> None:
    with visit(token=OPERATOR) as visitor:
        drawn(visitor)

        expect(visitor.page.get_by_text("All 2 clients together")).to_be_visible()
