"""Every page that the console has, and how one comes there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.browser.relays import OPERATOR, SHOP, STUDIO
from tests.browser.seeding import Seeded
from tests.browser.visiting import Visitor

Way = Callable[[Visitor, Seeded], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A page in one of the ways it can look. `token` is whose; None where nobody has signed in."""

    name: str
    way: Way
    token: str | None = SHOP


def _at(path: str) -> Way:
    def way(visitor: Visitor, seeded: Seeded) -> None:
        visitor.go(path)

    return way


def _registration(which: Callable[[Seeded], str], rest: str = "") -> Way:
    def way(visitor: Visitor, seeded: Seeded) -> None:
        visitor.go(f"/registrations/{which(seeded)}{rest}")

    return way


def _replay(which: Callable[[Seeded], str]) -> Way:
    def way(visitor: Visitor, seeded: Seeded) -> None:
        visitor.go(f"/replays/{which(seeded)}")

    return way


def _refused(visitor: Visitor, seeded: Seeded) -> None:
    visitor.go("/sign-in")
    visitor.sign_in("a token that nobody has")
    visitor.page.get_by_role("alert").wait_for()


def _with_everything_open(visitor: Visitor, seeded: Seeded) -> None:
    visitor.go(f"/registrations/{seeded.delivered}")
    for summary in visitor.page.locator("#main summary").all():
        summary.click()


def _counted(visitor: Visitor, seeded: Seeded) -> None:
    visitor.go("/replay")
    visitor.press("Count what it finds")
    visitor.page.get_by_text("would be sent again").wait_for()


def _tested(visitor: Visitor, seeded: Seeded) -> None:
    visitor.go("/try")
    visitor.page.locator("#test-callback_url").fill(f"{visitor.relay.well}/ok")
    visitor.press("Send the test")
    visitor.page.get_by_text("Accepted with").wait_for()


def _test_failed(visitor: Visitor, seeded: Seeded) -> None:
    visitor.go("/try")
    visitor.page.locator("#test-callback_url").fill(f"{visitor.relay.well}/status-404")
    visitor.press("Send the test")
    visitor.page.locator("#outcome").wait_for()


def _not_verified(visitor: Visitor, seeded: Seeded) -> None:
    _tested(visitor, seeded)
    visitor.page.get_by_label("Body, as it came").fill('{"type": "relay.forged"}')
    visitor.press("Verify")
    visitor.page.get_by_text("Not verified").wait_for()


def _not_registered(visitor: Visitor, seeded: Seeded) -> None:
    visitor.go("/try")
    visitor.page.locator("#register-task_id").fill("task-1")
    visitor.page.locator("#register-callback_url").fill("http://10.0.0.1/hook")
    visitor.press("Register")
    visitor.page.get_by_role("alert").wait_for()


def _contract_open(visitor: Visitor, seeded: Seeded) -> None:
    visitor.go("/api")
    for summary in visitor.page.locator("#main summary").all()[:3]:
        summary.click()


STOPS: Final = (
    Stop(name="sign-in", way=_at("/sign-in"), token=None),
    Stop(name="sign-in-refused", way=_refused, token=None),
    Stop(name="overview", way=_at("")),
    Stop(name="overview-empty", way=_at(""), token=STUDIO),
    Stop(name="overview-day", way=_at("?span=day")),
    Stop(name="overview-operator", way=_at("?client=shop"), token=OPERATOR),
    Stop(name="overview-of-all", way=_at(""), token=OPERATOR),
    Stop(name="registrations", way=_at("/registrations")),
    Stop(name="registrations-dead", way=_at("/registrations?state=dead")),
    Stop(name="registrations-found-nothing", way=_at("/registrations?q=nothing-of-that-name")),
    Stop(name="registrations-refused", way=_at("/registrations?q=ftp://no.callback")),
    Stop(name="registrations-empty", way=_at("/registrations"), token=STUDIO),
    Stop(name="registration-watching", way=_registration(lambda seeded: seeded.watching)),
    Stop(name="registration-available", way=_registration(lambda seeded: seeded.available)),
    Stop(name="registration-delivering", way=_registration(lambda seeded: seeded.delivering)),
    Stop(name="registration-delivered", way=_with_everything_open),
    Stop(name="registration-dead", way=_registration(lambda seeded: seeded.dead)),
    Stop(name="registration-gone", way=_registration(lambda seeded: seeded.gone)),
    Stop(name="registration-cancelled", way=_registration(lambda seeded: seeded.cancelled)),
    Stop(name="curl", way=_registration(lambda seeded: seeded.delivered, "/curl")),
    Stop(name="origins", way=_at("/origins")),
    Stop(name="origins-empty", way=_at("/origins"), token=STUDIO),
    Stop(name="dead", way=_at("/dead")),
    Stop(name="dead-empty", way=_at("/dead"), token=STUDIO),
    Stop(name="replay-asked", way=_at("/replay")),
    Stop(name="replay-counted", way=_counted),
    Stop(name="replay-waiting", way=_replay(lambda seeded: seeded.waiting_replay)),
    Stop(name="replay-done", way=_replay(lambda seeded: seeded.done_replay)),
    Stop(name="try", way=_at("/try")),
    Stop(name="try-operator", way=_at("/try"), token=OPERATOR),
    Stop(name="try-tested", way=_tested),
    Stop(name="try-test-failed", way=_test_failed),
    Stop(name="try-not-verified", way=_not_verified),
    Stop(name="try-not-registered", way=_not_registered),
    Stop(name="api", way=_contract_open),
    Stop(name="not-found", way=_at("/nowhere")),
)
