"""Somebody at a browser of their own: a window, a colour scheme, a session, and scripts or none."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from playwright.sync_api import Browser, Page, StorageState, ViewportSize, expect

from tests.browser.axe import SERIOUS, violations
from tests.browser.observing import Observed, assert_all_was_well, widest
from tests.browser.relays import ROOT, Running

SCREENSHOTS: Final = ROOT / ".tools" / "screenshots"
ANSWERS_WITHIN: Final = 30_000.0
"""Milliseconds. A probe of an origin may hold a replay up for half of that."""
expect.set_options(timeout=ANSWERS_WITHIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    device: Literal["phone", "desktop"]
    scheme: Literal["light", "dark"]

    @property
    def name(self) -> str:
        return f"{self.device}-{self.scheme}"

    @property
    def viewport(self) -> ViewportSize:
        return {"width": 390, "height": 844} if self.device == "phone" else {"width": 1280, "height": 800}


DESKTOP: Final = Look(device="desktop", scheme="light")
PHONE: Final = Look(device="phone", scheme="light")
LOOKS: Final = (
    DESKTOP,
    Look(device="desktop", scheme="dark"),
    PHONE,
    Look(device="phone", scheme="dark"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    relay: Running
    look: Look
    page: Page
    observed: Observed

    def go(self, path: str) -> int:
        """Open `/ui<path>`; answers the status."""
        response = self.page.goto(f"{self.relay.url}/ui{path}")
        assert response is not None
        return response.status

    def sign_in(self, token: str) -> None:
        self.page.get_by_label("API token").fill(token)
        self.page.get_by_role("button", name="Sign in").click()

    def press(self, name: str) -> None:
        """A button, by its whole name."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def follow(self, name: str) -> None:
        self.page.get_by_role("link", name=name, exact=True).first.click()

    def unfold(self, name: str) -> None:
        """A button that opens what stands behind it."""
        self.page.locator("summary", has_text=name).first.click()

    def heading(self) -> str:
        return self.page.get_by_role("heading", level=1).inner_text()

    def assert_sound(self, name: str) -> None:
        """The page as it stands serves whoever reads it with whatever; a picture of each look is kept under the name."""
        assert self.page.get_by_role("heading", level=1).count() == 1
        for look in LOOKS:
            self.page.set_viewport_size(look.viewport)
            self.page.emulate_media(color_scheme=look.scheme)
            self.page.screenshot(path=SCREENSHOTS / f"{name}-{look.name}.png", full_page=True)
            found = [str(each) for each in violations(self.page) if each.impact in SERIOUS]
            assert not found, "\n".join([look.name, *found])
            assert widest(self.page) == 0, f"wider than the window of {look.name}"


@contextmanager
def visiting(
    browser: Browser,
    relay: Running,
    look: Look,
    *,
    session: StorageState | None = None,
    scripts: bool = True,
) -> Iterator[Visitor]:
    """At the end everything that was shown must have been well."""
    context = browser.new_context(
        viewport=look.viewport,
        color_scheme=look.scheme,
        java_script_enabled=scripts,
        storage_state=session,
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="UTC",
        device_scale_factor=1,
        has_touch=look.device == "phone",
        is_mobile=look.device == "phone",
    )
    context.set_default_timeout(ANSWERS_WITHIN)
    observed = Observed(origin=relay.url)
    observed.watch(context)
    try:
        yield Visitor(relay=relay, look=look, page=context.new_page(), observed=observed)
        assert_all_was_well(observed)
    finally:
        context.close()


def signed_in(browser: Browser, relay: Running, token: str) -> StorageState:
    """What the browser keeps of a session, so that it need not begin again for each test."""
    with visiting(browser, relay, DESKTOP) as visitor:
        visitor.go("")
        visitor.sign_in(token)
        visitor.page.wait_for_url(f"{relay.url}/ui")
        return visitor.page.context.storage_state()
