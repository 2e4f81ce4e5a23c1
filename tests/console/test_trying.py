import httpx
import pytest

from tests.console.browsing import Browser, Page
from tests.relays import HOOK, OK, RelayInHand


async def test_a_task_is_registered_as_by_the_api(browser: Browser, relay: RelayInHand) -> None:
    form = (await browser.get("/ui/try")).form("/ui/registrations")
    fields = {
        "task_id": " alpha ",
        "callback_url": HOOK,
        "kind": "tts",
        "expires_in": "60",
        "metadata": '{"order": 7}',
        "format": "raw",
    }

    page = await browser.follow(await browser.send(form, **fields))
    again = await browser.follow(await browser.send(form, **fields))
    other = await browser.send(form, **fields | {"metadata": "{}"})

    stored = await relay.read(page.answer.url.path.rpartition("/")[2])
    assert (stored["task_id"], stored["kind"], stored["format"]) == ("alpha", "tts", "raw")
    assert stored["metadata"] == {"order": 7}
    assert "Registered. CAMB is asked" in page.text
    assert "stood already" in again.text
    assert other.status_code == 409
    refused = Page(other)
    assert "stands with other metadata" in refused.text
    assert refused.links["The one that stands"] == page.answer.url.path
    assert refused.form("/ui/registrations").fields["task_id"] == "alpha"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"task_id": ""}, "task_id"),
        ({"callback_url": "ftp://hooks.test"}, "callback_url must"),
        ({"callback_url": "https://127.0.0.1/"}, "callback_url"),
        ({"kind": "nothing"}, "kind must be one of"),
        ({"expires_in": "soon"}, "expires_in"),
        ({"expires_in": "1"}, "expires_in"),
        ({"metadata": "{"}, "metadata must be a JSON object"),
        ({"metadata": "[]"}, "metadata"),
        ({"format": "xml"}, "format"),
    ],
)
async def test_a_field_that_breaks_a_rule_is_named_and_what_was_written_is_kept(
    browser: Browser, relay: RelayInHand, fields: dict[str, str], words: str
) -> None:
    before = await relay.stored()
    form = {"task_id": "alpha", "callback_url": HOOK, **fields}

    answer = await browser.post("/ui/registrations", form)

    page = Page(answer)
    assert answer.status_code == 422
    assert "It was not registered" in page.text
    assert words in page.text
    kept = page.form("/ui/registrations").fields
    assert {name: kept[name] for name in fields if name not in {"kind", "format"}} == {
        name: value for name, value in fields.items() if name not in {"kind", "format"}
    }
    assert await relay.stored() == before


async def test_a_test_shows_its_answer_and_its_signature_verified(
    browser: Browser, relay: RelayInHand
) -> None:
    sent = relay.world.hook(HOOK, httpx.Response(200, text="thank you"))
    form = (await browser.get("/ui/try")).form("/ui/try/test")

    page = Page(await browser.send(form, callback_url=HOOK))

    (request,) = sent.requests
    assert "Accepted with 200" in page.text
    assert "thank you" in page.text
    assert "Verified: the relay sent this" in page.text
    assert page.form("/ui/try/verify").fields == {
        "webhook_id": request.headers["webhook-id"],
        "webhook_timestamp": request.headers["webhook-timestamp"],
        "webhook_signature": request.headers["webhook-signature"],
        "body": request.content.decode(),
    }


async def test_a_test_that_fails_says_what_to_do(browser: Browser, relay: RelayInHand) -> None:
    relay.world.hook(HOOK, httpx.Response(401))

    page = Page(await browser.post("/ui/try/test", {"callback_url": HOOK}))

    assert "The callback answered 401 Rejected" in page.text
    assert "check its signing secret" in page.text


async def test_a_test_goes_through_the_same_guard(browser: Browser, relay: RelayInHand) -> None:
    relay.world.names["inside.test"] = ("10.0.0.7",)

    answers = [
        await browser.post("/ui/try/test", {"callback_url": url})
        for url in ("https://inside.test/", "http://hooks.test/", "", "nonsense")
    ]

    assert [answer.status_code for answer in answers] == [422] * 4
    assert "The test was not sent" in Page(answers[0]).text
    assert relay.world.everything_sent.requests == []


async def test_what_a_receiver_got_is_verified_and_its_spaces_are_kept(
    browser: Browser, relay: RelayInHand
) -> None:
    sent = relay.world.hook(HOOK, OK)
    tested = Page(await browser.post("/ui/try/test", {"callback_url": HOOK}))
    form = tested.form("/ui/try/verify")
    (request,) = sent.requests

    right = Page(await browser.send(form, webhook_signature=f" {form.fields['webhook_signature']}\n"))
    wrong = Page(await browser.send(form, body=f"{request.content.decode()}\r\n"))

    assert "Verified: the relay sent this" in right.text
    assert "Not verified" in wrong.text
    assert "something added a line's end" in wrong.text


async def test_a_task_is_registered_without_a_callback_to_be_pulled(
    browser: Browser, relay: RelayInHand
) -> None:
    page = await browser.follow(await browser.post("/ui/registrations", {"task_id": "alpha"}))

    stored = await relay.read(page.answer.url.path.rpartition("/")[2])
    assert stored["callback_url"] is None
