from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from relay.api.fields import MAX_METADATA_BYTES, MAX_TASK_ID
from relay.domain.kinds import KINDS
from relay.domain.urls import MAX_CALLBACK_URL
from tests.api.problems import problem, rules
from tests.relays import HOOK, RelayInHand, open_relay, settings_for, sqlite_url

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD: dict[str, Any] = {"task_id": "task-1", "callback_url": HOOK}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RelayInHand]:
    """One for all: nothing here is meant to change anything."""
    async with open_relay(settings_for(sqlite_url(tmp_path_factory.mktemp("relay")))) as relay:
        yield relay


def nested(levels: int) -> dict[str, Any]:
    """Metadata that is so many levels deep, itself included."""
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"in": value}
    return value


def metadata_of(size: int) -> dict[str, Any]:
    """Metadata whose JSON is so many bytes."""
    return {"k": "x" * (size - len(b'{"k":""}'))}


BAD_FIELDS = [
    ("task_id", "", "String should have at least 1 character"),
    ("task_id", "x" * (MAX_TASK_ID + 1), "String should have at most 256 characters"),
    ("task_id", "a\x00b", "must hold no control characters"),
    ("task_id", "a\nb", "must hold no control characters"),
    ("task_id", "a\x7fb", "must hold no control characters"),
    ("task_id", "a\x85b", "must hold no control characters"),
    ("task_id", 7, "Input should be a valid string"),
    ("task_id", None, "Input should be a valid string"),
    ("callback_url", "", "String should have at least 1 character"),
    ("callback_url", HOOK + "x" * MAX_CALLBACK_URL, "String should have at most 2048 characters"),
    ("callback_url", ["https://hooks.test"], "Input should be a valid string"),
    (
        "callback_url",
        "https://hooks.test/ü",
        "must be plain ASCII as on the wire, without spaces or control characters",
    ),
    (
        "callback_url",
        "https://hööks.test/",
        "must be plain ASCII as on the wire, without spaces or control characters",
    ),
    (
        "callback_url",
        "https://hooks.test/a b",
        "must be plain ASCII as on the wire, without spaces or control characters",
    ),
    (
        "callback_url",
        "https://hooks.test/\r\nx: y",
        "must be plain ASCII as on the wire, without spaces or control characters",
    ),
    ("callback_url", "https://me:pass@hooks.test/", "must have no user name or password"),
    ("callback_url", "https://hooks.test/#part", "must have no fragment"),
    ("callback_url", "https://hooks.test/?", "must have no empty query"),
    ("callback_url", "https://hooks.test:0/", "must have a port between 1 and 65535, or none"),
    ("callback_url", "https://hooks.test:65536/", "must have a port between 1 and 65535, or none"),
    ("callback_url", "https:///in", "must name a host"),
    ("callback_url", "https://:443/in", "must name a host"),
    ("callback_url", "ftp://hooks.test/", "must begin with https:// or http://"),
    ("callback_url", "hooks.test", "must begin with https:// or http://"),
    ("callback_url", "https://127.1/", "must write an IPv4 address as four decimal numbers"),
    ("callback_url", "http://hooks.test/", "callbacks must use https"),
    ("callback_url", "https://127.0.0.1/", "callbacks may not lead to loopback addresses"),
    ("callback_url", "https://10.1.2.3/", "callbacks may not lead to private addresses"),
    ("callback_url", "https://169.254.169.254/", "callbacks may not lead to metadata addresses"),
    ("callback_url", "https://[::ffff:10.0.0.1]/", "callbacks may not lead to private addresses"),
    ("callback_url", "https://inside.test/", "callbacks may not lead to private addresses"),
    ("kind", 7, "Input should be a valid string"),
    ("metadata", [], "must be a JSON object"),
    ("metadata", None, "must be a JSON object"),
    ("metadata", nested(6), "must be nested at most 5 deep"),
    ("metadata", {"a": [[[[[]]]]]}, "must be nested at most 5 deep"),
    ("metadata", nested(500), "must be nested at most 5 deep"),
    ("metadata", metadata_of(MAX_METADATA_BYTES + 1), "must be at most 4096 bytes of JSON"),
    ("expires_in", 4, "Input should be greater than or equal to 5"),
    ("expires_in", 0, "Input should be greater than or equal to 5"),
    ("expires_in", -1, "Input should be greater than or equal to 5"),
    ("expires_in", 30 * 86_400 + 1, "Input should be less than or equal to 2592000"),
    ("expires_in", 2**64, "Input should be a valid integer"),
    ("expires_in", True, "Input should be a valid integer"),
    ("expires_in", 60.0, "Input should be a valid integer"),
    ("expires_in", "60", "Input should be a valid integer"),
    ("format", "xml", "Input should be 'standard' or 'raw'"),
    ("format", None, "Input should be 'standard' or 'raw'"),
    ("format", ["raw"], "Input should be 'standard' or 'raw'"),
    ("surprise", 1, "Extra inputs are not permitted"),
]


@pytest.mark.parametrize(("field", "value", "rule"), BAD_FIELDS)
async def test_a_field_that_breaks_a_rule_is_named_with_the_rule(
    relay: RelayInHand, field: str, value: object, rule: str
) -> None:
    relay.world.names["inside.test"] = ("93.184.216.34", "10.0.0.1")
    await relay.settle()
    before = await relay.stored()

    answer = await relay.api.post("/v1/registrations", json=GOOD | {field: value})

    assert rules(answer) == {field: rule}
    assert field in answer.json()["detail"]
    assert await relay.stored() == before


@pytest.mark.parametrize(("field", "value", "rule"), BAD_FIELDS)
async def test_an_item_of_a_batch_is_refused_by_the_same_rules_and_alone(
    relay: RelayInHand, field: str, value: object, rule: str
) -> None:
    relay.world.names["inside.test"] = ("93.184.216.34", "10.0.0.1")
    items = [GOOD | {field: value}, GOOD]

    answer = await relay.api.post("/v1/registrations/batch", json={"registrations": items})

    bad, good = answer.json()["data"]
    assert answer.status_code == 200
    assert bad["http_status"] == 422
    assert good["http_status"] in {200, 201}
    assert bad["problem"]["errors"] == [{"field": field, "rule": rule}]
    assert bad["problem"]["request_id"] == answer.headers["x-request-id"]
    assert good["registration"]["task_id"] == GOOD["task_id"]


async def test_a_task_id_that_is_missing_is_named(relay: RelayInHand) -> None:
    before = await relay.stored()

    answer = await relay.api.post(
        "/v1/registrations", json={name: value for name, value in GOOD.items() if name != "task_id"}
    )

    assert rules(answer) == {"task_id": "Field required"}
    assert await relay.stored() == before


async def test_an_unknown_kind_is_answered_with_the_known_ones(relay: RelayInHand) -> None:
    before = await relay.stored()

    answer = await relay.api.post("/v1/registrations", json=GOOD | {"kind": "Dub"})

    assert rules(answer) == {"kind": f"must be one of {', '.join(KINDS)}"}
    assert await relay.stored() == before


async def test_every_field_at_fault_is_named_at_once(relay: RelayInHand) -> None:
    wrong = {"task_id": "", "callback_url": "", "kind": "dab", "color": "red"}

    answer = await relay.api.post("/v1/registrations", json=wrong)

    assert set(rules(answer)) == wrong.keys()


@pytest.mark.parametrize("body", ["[]", '"task-1"', "null", "7"])
@pytest.mark.parametrize("path", ["/v1/registrations", "/v1/registrations/batch", "/v1/test"])
async def test_a_body_that_is_no_object_is_answered_422(relay: RelayInHand, path: str, body: str) -> None:
    before = await relay.stored()

    answer = await relay.api.post(path, content=body, headers={"content-type": "application/json"})

    assert rules(answer) == {"": "must be a JSON object"}
    assert "the body" in answer.json()["detail"]
    assert await relay.stored() == before


async def test_a_refusal_by_the_guard_names_no_address(relay: RelayInHand) -> None:
    relay.world.names["inside.test"] = ("10.11.12.13",)

    answer = await relay.api.post(
        "/v1/registrations", json=GOOD | {"callback_url": "https://inside.test/in?secret=canary"}
    )

    assert rules(answer) == {"callback_url": "callbacks may not lead to private addresses"}
    assert "10.11.12.13" not in answer.text
    assert "canary" not in answer.text


async def test_a_name_that_cannot_be_resolved_yet_is_let_pass(relay: RelayInHand) -> None:
    relay.world.names["later.test"] = ()

    answer = await relay.api.post("/v1/registrations", json=GOOD | {"callback_url": "https://later.test/"})

    assert answer.status_code == 201


@pytest.mark.parametrize(
    "good",
    [
        {"task_id": "x" * MAX_TASK_ID},
        {"task_id": "ü" * MAX_TASK_ID},
        {"task_id": "a/b?c"},
        {"task_id": ".."},
        {"callback_url": HOOK + "?" + "q" * (MAX_CALLBACK_URL - len(HOOK) - 1)},
        {"metadata": nested(5)},
        {"metadata": {"a": [[[[1]]]]}},
        {"metadata": metadata_of(MAX_METADATA_BYTES)},
        {"expires_in": 5},
        {"expires_in": 30 * 86_400},
        {"expires_in": None},
        {"kind": None},
        {"format": "raw"},
    ],
)
async def test_what_is_just_within_its_bounds_is_taken(relay: RelayInHand, good: dict[str, object]) -> None:
    answer = await relay.api.post("/v1/registrations", json=GOOD | {"task_id": "within"} | good)

    assert answer.status_code == 201, answer.text
    assert (await relay.api.post(f"{answer.headers['location']}/cancel")).status_code == 200


@pytest.mark.parametrize("kind", KINDS)
async def test_every_known_kind_is_taken(relay: RelayInHand, kind: str) -> None:
    answer = await relay.api.post("/v1/registrations", json=GOOD | {"kind": kind})

    assert answer.json()["kind"] == kind


async def test_a_kind_that_is_left_out_is_the_clients_default(tmp_path: Path) -> None:
    settings = settings_for(sqlite_url(tmp_path))
    clients = {
        name: section.model_copy(update={"default_kind": "dub"}) for name, section in settings.clients.items()
    }
    async with open_relay(settings.model_copy(update={"clients": clients})) as relay:
        answer = await relay.api.post("/v1/registrations", json=GOOD)

    assert answer.json()["kind"] == "dub"


@pytest.mark.parametrize(
    ("query", "field", "rule"),
    [
        ("cursor=", "cursor", "must be the next_cursor of an earlier answer"),
        ("cursor=page2", "cursor", "must be the next_cursor of an earlier answer"),
        ("cursor=reg_" + "G" * 32, "cursor", "must be the next_cursor of an earlier answer"),
        ("limit=0", "limit", "Input should be greater than or equal to 1"),
        ("limit=201", "limit", "Input should be less than or equal to 200"),
        ("limit=1.5", "limit", "Input should be a valid integer, unable to parse string as an integer"),
        ("limit=ten", "limit", "Input should be a valid integer, unable to parse string as an integer"),
        ("limit=5&limit=6", "limit", "must be given once"),
        (
            "state=lost",
            "state",
            "Input should be 'watching', 'delivering', 'available', 'delivered', 'dead' or 'cancelled'",
        ),
        ("task_id=", "task_id", "String should have at least 1 character"),
        ("task_id=a%00b", "task_id", "must hold no control characters"),
        ("page=2", "page", "Extra inputs are not permitted"),
    ],
)
async def test_a_query_that_breaks_a_rule_is_answered_422(
    relay: RelayInHand, query: str, field: str, rule: str
) -> None:
    answer = await relay.api.get(f"/v1/registrations?{query}")

    assert rules(answer) == {field: rule}


async def test_a_list_of_an_unknown_kind_is_answered_with_the_known_ones(relay: RelayInHand) -> None:
    answer = await relay.api.get("/v1/registrations?kind=dab")

    assert "text-to-sound" in rules(answer)["kind"]


async def test_a_test_notification_obeys_the_same_rules(relay: RelayInHand) -> None:
    answers = {
        url: await relay.api.post("/v1/test", json={"callback_url": url})
        for url in ("https://hooks.test/#part", "https://127.0.0.1/", "http://hooks.test/")
    }
    unknown = await relay.api.post("/v1/test", json={"callback_url": HOOK, "task_id": "task-1"})

    assert [rules(answer) for answer in answers.values()] == [
        {"callback_url": "must have no fragment"},
        {"callback_url": "callbacks may not lead to loopback addresses"},
        {"callback_url": "callbacks must use https"},
    ]
    assert rules(unknown) == {"task_id": "Extra inputs are not permitted"}
    assert relay.world.everything_sent.requests == []


async def test_a_refusal_says_that_nothing_was_changed(relay: RelayInHand) -> None:
    answer = await relay.api.post("/v1/registrations", json=GOOD | {"task_id": ""})

    assert problem(answer, 422)["detail"] == (
        "task_id: see errors for the rules that were broken; nothing was changed"
    )
