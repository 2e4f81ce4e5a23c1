import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.relays import OPERATOR, STUDIO, Running
from tests.browser.seeding import Seeded

pytestmark = pytest.mark.browser


def test_an_operator_picks_a_client_who_is_kept_from_page_to_page(visit: Visit, seeded: Seeded) -> None:
    with visit(token=OPERATOR) as visitor:
        visitor.go("")

        visitor.page.get_by_label("Client").select_option("studio")
        visitor.press("Show")
        visitor.page.get_by_role("navigation", name="Console").get_by_role(
            "link", name="Registrations"
        ).click()
        expect(visitor.page.get_by_text("Nothing is registered yet")).to_be_visible()

        visitor.page.get_by_label("Client").select_option("shop")
        visitor.press("Show")
        expect(visitor.page.get_by_role("table")).to_contain_text("success-again")


def test_an_operator_reads_everything_and_finds_nothing_to_change(visit: Visit, seeded: Seeded) -> None:
    with visit(token=OPERATOR) as visitor:
        for path in (
            "",
            "/registrations",
            f"/registrations/{seeded.dead}",
            f"/registrations/{seeded.watching}",
            f"/registrations/{seeded.dead}/curl",
            "/origins",
            "/dead",
            "/replay",
            f"/replays/{seeded.waiting_replay}",
            "/try",
        ):
            assert visitor.go(f"{path}?client=shop") == 200

            writing = visitor.page.locator("form[method=post] button:enabled").all_inner_texts()
            assert writing == ["Sign out"], path


def test_what_an_operator_sends_all_the_same_changes_nothing(
    visit: Visit, relay: Running, seeded: Seeded
) -> None:
    with visit(token=OPERATOR) as visitor:
        answer = visitor.page.context.request.post(
            f"{relay.url}/ui/registrations/{seeded.watching}/cancel?client=shop",
            headers={"origin": relay.url},
        )

        assert answer.status == 403
        assert relay.read(seeded.watching)["state"] == "watching"


def test_a_client_sees_nothing_of_another(visit: Visit, seeded: Seeded) -> None:
    with visit(token=STUDIO) as visitor:
        for path in (f"/registrations/{seeded.dead}", f"/replays/{seeded.done_replay}"):
            assert visitor.go(path) == 404

        visitor.go("/registrations?client=shop")
        expect(visitor.page.get_by_text("Nothing is registered yet")).to_be_visible()
