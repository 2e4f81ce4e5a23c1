from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Visit
from tests.browser.relays import OPERATOR, SHOP, running
from tests.browser.visiting import DESKTOP, visiting

pytestmark = pytest.mark.browser


def test_whoever_has_not_signed_in_is_asked_to_and_goes_on_to_what_they_wanted(visit: Visit) -> None:
    with visit(token=None) as visitor:
        visitor.go("/registrations?state=dead")
        assert visitor.heading() == "Sign in"

        visitor.sign_in(SHOP)

        visitor.page.wait_for_url(f"{visitor.relay.url}/ui/registrations?state=dead")
        assert visitor.heading() == "Registrations"


@pytest.mark.parametrize("token", [SHOP, OPERATOR], ids=["client", "operator"])
def test_a_session_is_a_cookie_that_no_script_and_no_other_site_has_and_holds_no_token(
    visit: Visit, token: str
) -> None:
    with visit(token=None) as visitor:
        visitor.go("")
        visitor.sign_in(token)
        expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Overview")

        (cookie,) = visitor.page.context.cookies()

        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/ui")
        assert token not in cookie["value"]
        assert visitor.page.evaluate("document.cookie + JSON.stringify({...localStorage})") == "{}"
        assert token not in visitor.page.content()


def test_a_token_that_nobody_has_is_refused_where_it_was_given(visit: Visit) -> None:
    with visit(token=None) as visitor:
        visitor.go("")

        visitor.sign_in("a token that nobody has")

        expect(visitor.page.get_by_role("alert")).to_contain_text("not known")
        assert visitor.page.get_by_label("API token").input_value() == ""
        assert visitor.page.context.cookies() == []


def test_signing_out_ends_the_session(visit: Visit) -> None:
    with visit(token=None) as visitor:
        visitor.go("")
        visitor.sign_in(SHOP)

        visitor.press("Sign out")

        expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Sign in")
        visitor.go("")
        assert visitor.heading() == "Sign in"


def test_whoever_guesses_is_made_to_wait_and_told_how_long(browser: Browser, tmp_path: Path) -> None:
    with running(tmp_path) as relay, visiting(browser, relay, DESKTOP) as visitor:
        visitor.go("")
        for number in range(10):
            visitor.sign_in(f"guess {number}")
            expect(visitor.page.get_by_role("alert")).to_contain_text("not known")

        visitor.sign_in(SHOP)

        expect(visitor.page.get_by_role("alert")).to_contain_text("Try again in")
        assert visitor.page.context.cookies() == []
