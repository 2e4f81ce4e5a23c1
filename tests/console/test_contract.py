from relay.api.routes import OPERATIONS
from tests.console.browsing import Browser


async def test_the_contract_tells_of_every_call_field_and_answer(browser: Browser) -> None:
    page = await browser.get("/ui/api")

    for operation in OPERATIONS:
        assert operation.id in page.ids
        assert f"{operation.method} {operation.path} {operation.summary}" in page.text
        for model in (operation.body, operation.query, *operation.answers.values()):
            fields = () if model is None else model.model_fields
            assert all(f" {name} " in page.text for name in fields)
    assert "list of StepResource" in page.text
    assert "integer or null" in page.text


async def test_its_links_lead_to_what_it_holds(browser: Browser) -> None:
    page = await browser.get("/ui/api")

    inside = {link.removeprefix("#") for link in page.links.values() if link.startswith("#")}
    assert inside <= set(page.ids)
