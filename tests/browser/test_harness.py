"""That the other tests would notice: a page that does wrong is seen to."""

import pytest
from playwright.sync_api import Page

from tests.browser.axe import violations
from tests.browser.conftest import Visit
from tests.browser.observing import Observed, assert_all_was_well, widest
from tests.browser.visiting import Visitor

pytestmark = pytest.mark.browser


def does(page: Page, script: str) -> None:
    """As the page would by itself: what the debugger runs is asked for by no policy, what it leads to is."""
    page.evaluate(f"() => {{ {script} }}")


def noticed(visitor: Visitor, script: str) -> Observed:
    """What was observed of it; that is forgotten, so that the visit can end well."""
    does(visitor.page, script)
    seen = Observed(origin=visitor.relay.url)
    visitor.page.wait_for_timeout(500)
    for kind in ("requests", "complaints", "broken"):
        setattr(seen, kind, list(getattr(visitor.observed, kind)))
        getattr(visitor.observed, kind).clear()
    return seen


@pytest.mark.parametrize(
    "script",
    [
        "const s = document.createElement('script'); s.textContent = '1'; document.head.append(s);",
        "document.body.setAttribute('style', 'color: red');",
        "new Image().src = 'http://other.example/pixel.png';",
        "fetch('http://127.0.0.1:9/elsewhere').catch(() => {});",
        "console.error('something went wrong');",
        "setTimeout(() => { throw new Error('nobody caught it'); });",
    ],
    ids=["inline-script", "inline-style", "image", "fetch", "console", "exception"],
)
def test_what_a_page_does_wrong_is_noticed(visit: Visit, script: str) -> None:
    with visit() as visitor:
        visitor.go("")

        seen = noticed(visitor, script)

        with pytest.raises(AssertionError):
            assert_all_was_well(seen)


def test_what_cannot_be_read_by_everybody_is_noticed(visit: Visit) -> None:
    with visit() as visitor:
        visitor.go("")

        does(visitor.page, "document.getElementById('main').append(document.createElement('input'));")

        assert [each.rule for each in violations(visitor.page)] == ["label"]


def test_what_is_wider_than_its_window_is_noticed(visit: Visit) -> None:
    with visit() as visitor:
        visitor.go("")

        does(
            visitor.page,
            "const e = document.createElement('p'); e.textContent = 'm'.repeat(2000); document.body.append(e);",
        )

        assert widest(visitor.page) > 0
