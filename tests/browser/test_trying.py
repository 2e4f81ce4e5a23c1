import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.relays import Running
from tests.browser.visiting import Visitor
from tests.e2e.neighbours import SIGNING_SECRET

pytestmark = pytest.mark.browser


def register(visitor: Visitor, task_id: str, **more: str) -> None:
    visitor.go("/try")
    visitor.page.locator("#register-task_id").fill(task_id)
    visitor.page.locator("#register-callback_url").fill(f"{visitor.relay.well}/ok")
    for name, value in more.items():
        visitor.page.locator(f"#{name}").fill(value)
    visitor.press("Register")


def test_a_task_is_registered_and_followed_to_its_end(visit: Visit) -> None:
    with visit() as visitor:
        register(visitor, "success-after-1-by-hand", metadata='{"order": 7}')

        expect(visitor.page.get_by_role("heading", level=1)).to_have_text("success-after-1-by-hand")
        expect(visitor.page.locator(".situation .badge")).to_have_text("Delivered")
        visitor.unfold("Metadata")
        expect(visitor.page.locator("#metadata")).to_contain_text('"order": 7')


def test_the_same_again_is_told_from_a_new_one_and_from_another_that_is_in_the_way(visit: Visit) -> None:
    with visit() as visitor:
        register(visitor, "pending-twice")
        expect(visitor.page.get_by_text("Registered. CAMB is asked")).to_be_visible()
        first = visitor.page.url.partition("?")[0]

        register(visitor, "pending-twice")
        expect(visitor.page.get_by_text("This registration stood already")).to_be_visible()

        register(visitor, "pending-twice", metadata='{"order": 8}')
        expect(visitor.page.get_by_role("alert")).to_be_visible()
        visitor.follow("The one that stands")
        visitor.page.wait_for_url(first)


def test_what_cannot_be_registered_names_the_field_and_keeps_what_was_typed(visit: Visit) -> None:
    with visit() as visitor:
        register(visitor, "pending-with-a-mistake", metadata="{order: 7}")

        expect(visitor.page.get_by_role("alert")).to_contain_text("metadata")
        expect(visitor.page.locator("#register-task_id")).to_have_value("pending-with-a-mistake")
        expect(visitor.page.locator("#metadata")).to_have_value("{order: 7}")


def test_a_test_is_sent_and_its_signature_verified_step_by_step_without_the_secret(
    visit: Visit, relay: Running
) -> None:
    with visit() as visitor:
        visitor.go("/try")
        visitor.page.locator("#test-callback_url").fill(f"{relay.well}/ok")

        visitor.press("Send the test")

        expect(visitor.page.get_by_text("Accepted with 200")).to_be_visible()
        expect(visitor.page.get_by_text("Verified: the relay sent this")).to_be_visible()
        assert visitor.page.locator(".steps li").count() == visitor.page.locator(".steps li.good").count() > 2
        assert SIGNING_SECRET.removeprefix("whsec_") not in visitor.page.content()
        sent = visitor.page.get_by_label("webhook-id").input_value()
        came = httpx.get(relay.well.replace("/hooks", "/state"), params={"webhook_id": sent}, trust_env=False)
        assert len(came.json()["data"]) == 1


@pytest.mark.parametrize(
    ("field", "changed", "told"),
    [
        ("Body, as it came", '{"type":"relay.forged"}', "matches"),
        ("webhook-timestamp", "1000000000", "timestamp"),
        ("webhook-id", "evt_another", "matches"),
    ],
    ids=["body", "timestamp", "id"],
)
def test_a_signature_that_is_wrong_is_found_out_at_its_step(
    visit: Visit, relay: Running, field: str, changed: str, told: str
) -> None:
    with visit() as visitor:
        visitor.go("/try")
        visitor.page.locator("#test-callback_url").fill(f"{relay.well}/ok")
        visitor.press("Send the test")

        visitor.page.get_by_label(field).fill(changed)
        visitor.press("Verify")

        expect(visitor.page.get_by_text("Not verified")).to_be_visible()
        expect(visitor.page.locator(".steps li.bad").first).to_contain_text(told)


def test_a_test_that_fails_says_what_to_do(visit: Visit, relay: Running) -> None:
    with visit() as visitor:
        visitor.go("/try")
        visitor.page.locator("#test-callback_url").fill(f"{relay.well}/status-401")

        visitor.press("Send the test")

        expect(visitor.page.locator("#outcome")).to_contain_text("401")
        expect(visitor.page.locator(".situation .badge").first).to_have_text("Rejected")
