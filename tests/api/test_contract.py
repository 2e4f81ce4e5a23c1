"""The OpenAPI document against the application, and the application against the document."""

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import jsonschema
import orjson
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import CheckFunction
from schemathesis.generation import GenerationMode
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import negative_data_rejection
from starlette.routing import Route

from relay.api.events import LAST_EVENT_ID
from relay.api.openapi import Operation
from relay.api.routes import OPERATIONS
from relay.console.sessions import ROOT as CONSOLE
from relay.ports import create_app
from tests.relays import FAILING, HOOK, SUCCESS, RelayInHand, open_relay, settings_for, sqlite_url

EXAMPLES = 30


def bounded(test: Callable[..., None]) -> Callable[..., None]:
    bounds = settings(
        max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    return seed(20_261_123)(bounds(test))


def make_usable(body: object) -> None:
    """A schema cannot say what the guard refuses, and takes 5.0 for an integer."""
    if isinstance(body, dict):
        if "callback_url" in body:
            body["callback_url"] = HOOK
        if isinstance(body.get("expires_in"), float):
            body["expires_in"] = int(body["expires_in"])
        for item in body.get("registrations", ()):
            make_usable(item)
        if isinstance(filter_ := body.get("filter"), dict):
            filter_.pop("until", None)  # which must be later than `since`
            make_usable_origin(filter_)


def make_usable_origin(narrowed: dict[str, Any]) -> None:
    if narrowed.get("origin") is not None:
        narrowed["origin"] = HOOK.removesuffix("/in")


def make_usable_cursor(narrowed: dict[str, Any]) -> None:
    if "after" in narrowed:
        narrowed["after"] = "latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A relay with something in every state, and its own document."""

    runner: asyncio.Runner
    relay: RelayInHand
    schema: BaseSchema
    ids: tuple[str, ...]
    replays: tuple[str, ...]

    def hold(
        self, case: schemathesis.Case[Any], excluded: list[CheckFunction] | None = None
    ) -> httpx.Response:
        """Send the case and check the answer against the document."""
        sent = requests.Request(**case.as_transport_kwargs(base_url="http://relay")).prepare()
        answer = self.runner.run(
            self.relay.api.request(
                sent.method or "GET", sent.url or "", content=sent.body, headers=sent.headers
            )
        )
        case.validate_response(answer, excluded_checks=excluded)
        return answer


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contract]:
    with asyncio.Runner() as runner:
        opening = open_relay(settings_for(sqlite_url(tmp_path_factory.mktemp("relay"))))
        relay = runner.run(opening.__aenter__())
        try:
            relay.relay.notifier.stop()  # who waits is answered at once, and streams have an end
            ids = runner.run(_something_in_every_state(relay))
            replays = runner.run(_replays(relay))
            document = runner.run(relay.api.get("/openapi.json")).json()
            del document["security"]  # every case is sent with the token; 401 has tests of its own
            yield Contract(
                runner=runner,
                relay=relay,
                schema=schemathesis.openapi.from_dict(document),
                ids=ids,
                replays=replays,
            )
        finally:
            runner.run(opening.__aexit__(None, None, None))


async def _something_in_every_state(relay: RelayInHand) -> tuple[str, ...]:
    relay.world.task("ended", SUCCESS)
    relay.world.hook(HOOK + "/gone", httpx.Response(410))
    relay.world.hook(HOOK + "/broken", FAILING)
    return (
        await relay.register("task-1", metadata={"order": 7}),
        await relay.register("ended"),
        await relay.register("ended", HOOK + "/gone", format="raw"),
        await relay.register("ended", HOOK + "/broken"),
    )


async def _replays(relay: RelayInHand) -> tuple[str, ...]:
    """One that is done, and two that are open."""
    made = []
    for state in ("dead", "delivered", "delivered"):
        answer = await relay.api.post("/v1/replays", json={"filter": {"state": state}})
        made.append(answer.json()["id"])
        if len(made) == 1:
            await relay.relay.replaying.run_once()
            await relay.settle()
    return tuple(made)


@pytest.fixture
def document(contract: Contract) -> dict[str, Any]:
    answer: dict[str, Any] = contract.runner.run(contract.relay.api.get("/openapi.json")).json()
    return answer


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_what_the_document_allows_is_taken_and_answered_as_it_says(
    contract: Contract, operation: Operation
) -> None:
    cases = contract.schema[operation.path][operation.method].as_strategy(
        generation_mode=GenerationMode.POSITIVE
    )
    answers = set()

    @bounded
    @given(case=cases, wanted=st.sampled_from(contract.replays if operation.of == "rpl" else contract.ids))
    def hold(case: schemathesis.Case[Any], wanted: str) -> None:
        if "id" in case.path_parameters:
            case.path_parameters["id"] = wanted
        make_usable(case.body)
        make_usable_origin(case.query)
        make_usable_cursor(case.query)
        case.headers.pop(LAST_EVENT_ID, None)  # which would be another store's
        answers.add(contract.hold(case).status_code)

    hold()

    assert answers & set(operation.answers)


@pytest.mark.parametrize(
    "operation",
    [operation for operation in OPERATIONS if operation.problems],
    ids=lambda operation: operation.id,
)
def test_what_the_document_forbids_is_refused_as_it_says(contract: Contract, operation: Operation) -> None:
    cases = contract.schema[operation.path][operation.method].as_strategy(
        generation_mode=GenerationMode.NEGATIVE
    )
    # A batch is answered 200 whatever its items are like: each has an answer of its own.
    excluded: list[CheckFunction] = [negative_data_rejection] if operation.id == "register_batch" else []
    answers = set()

    @bounded
    @given(case=cases)
    def hold(case: schemathesis.Case[Any]) -> None:
        answers.add(contract.hold(case, excluded).status_code)

    hold()

    assert answers & set(operation.problems)


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(document).validate()
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_reference_in_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    references = set(re.findall(r'"\$ref":"#/components/schemas/([^"]+)"', orjson.dumps(document).decode()))

    assert references
    assert references <= set(document["components"]["schemas"])


async def test_every_route_is_in_the_document_and_the_other_way_round(relay: RelayInHand) -> None:
    document = (await relay.api.get("/openapi.json")).json()
    described = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    undescribed = {"/livez", "/readyz", "/metrics", "/openapi.json"}  # the platform's, not the client's

    routed = {
        (route.path, method)
        for route in create_app(relay.relay).routes
        if isinstance(route, Route) and route.path not in undescribed and not route.path.startswith(CONSOLE)
        for method in (route.methods or set()) - {"HEAD"}
    }

    assert described == routed
