import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.relays import SHOP, Running
from tests.browser.seeding import Seeded
from tests.browser.visiting import Visitor

pytestmark = pytest.mark.browser

FOCUSED = """() => {
  const styles = [null, "::after"].map((part) => getComputedStyle(document.activeElement, part));
  const box = document.activeElement.getBoundingClientRect();
  return {
    name: document.activeElement.tagName + " " + document.activeElement.textContent.trim().slice(0, 40),
    ring: styles.some((style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0),
    shown: box.width > 0 && box.height > 0 && box.bottom > 0 && box.right > 0,
  };
}"""


def tab(visitor: Visitor) -> dict[str, object]:
    visitor.page.keyboard.press("Tab")
    focused: dict[str, object] = visitor.page.evaluate(FOCUSED)
    return focused


def test_the_first_stop_leads_past_the_navigation(visit: Visit, seeded: Seeded) -> None:
    with visit() as visitor:
        visitor.go("/registrations")

        assert tab(visitor) == {"name": "A Skip to the content", "ring": True, "shown": True}
        visitor.page.keyboard.press("Enter")

        expect(visitor.page.locator("#main")).to_be_focused()


@pytest.mark.parametrize("path", ["/registrations", "/dead", "/try", "/replay"])
def test_whatever_has_the_focus_is_seen_to_have_it(visit: Visit, seeded: Seeded, path: str) -> None:
    with visit() as visitor:
        visitor.go(path)

        stops = [tab(visitor) for _ in range(25)]

        stops = [stop for stop in stops if not str(stop["name"]).startswith("BODY ")]  # past the last one
        assert len(stops) > 10
        assert [stop["name"] for stop in stops if not (stop["ring"] and stop["shown"])] == []


def test_signing_in_takes_no_mouse(visit: Visit) -> None:
    with visit(token=None) as visitor:
        visitor.go("")

        visitor.page.keyboard.type(SHOP)
        visitor.page.keyboard.press("Enter")

        expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Overview")


def test_sending_again_takes_no_mouse(visit: Visit, relay: Running) -> None:
    dead = relay.reaches(relay.register("success-by-keyboard", f"{relay.well}/fail-4/keyboard"), "dead")
    with visit() as visitor:
        visitor.go(f"/registrations/{dead}")

        visitor.page.locator("#redeliver summary").focus()
        visitor.page.keyboard.press("Enter")
        visitor.page.keyboard.press("Tab")
        visitor.page.keyboard.press("Enter")

        expect(visitor.page.locator(".situation .badge")).to_have_text("Delivered")
