from collections.abc import AsyncIterator

import pytest

from relay.api.requests import MAX_BATCH_BODY, MAX_BODY
from tests.api.problems import problem
from tests.relays import HOOK, RelayInHand

JSON = {"content-type": "application/json"}
PATHS = ["/v1/registrations", "/v1/registrations/batch", "/v1/test"]


def registration_of(size: int) -> bytes:
    """A registration whose JSON is that long, in white space."""
    body = b'{"task_id": "task-1", "callback_url": "%s"}' % HOOK.encode()
    return body + b" " * (size - len(body))


async def in_chunks(body: bytes, size: int = 4_096) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"task_id": "task-1",}',
        b"{'task_id': 'task-1'}",
        b'{"task_id": "task-1"} and more',
        b'{"task_id": NaN}',
        b'{"task_id": "\\ud800"}',
        b'{"task_id": "\\udc00\\ud800"}',
        b'{"task_id": "\xed\xa0\x80"}',
        b'{"task_id": "\xff"}',
        b'{"task_id": "a\x00b"}',
        b"\xef\xbb\xbf{}",
        b'{"metadata": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    ],
    ids=[
        "empty",
        "broken off",
        "trailing comma",
        "single quotes",
        "something behind",
        "not a number",
        "lone high surrogate",
        "surrogates the wrong way round",
        "surrogate in UTF-8",
        "not UTF-8",
        "bare NUL",
        "byte order mark",
        "nested without end",
    ],
)
@pytest.mark.parametrize("path", PATHS)
async def test_a_body_that_is_not_json_is_answered_400(relay: RelayInHand, path: str, body: bytes) -> None:
    before = await relay.stored()

    answer = await relay.api.post(path, content=body, headers=JSON)

    assert problem(answer, 400)["detail"].startswith("the body is not JSON: ")
    assert await relay.stored() == before


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/problem+json", ""],
)
@pytest.mark.parametrize("path", PATHS)
async def test_a_body_of_another_content_type_is_answered_415(
    relay: RelayInHand, path: str, content_type: str
) -> None:
    before = await relay.stored()

    answer = await relay.api.post(path, content=registration_of(200), headers={"content-type": content_type})

    assert "application/json" in problem(answer, 415)["detail"]
    assert await relay.stored() == before


async def test_a_body_without_a_content_type_is_answered_415(relay: RelayInHand) -> None:
    answer = await relay.api.post("/v1/registrations", content=registration_of(200))

    problem(answer, 415)


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
async def test_json_is_known_by_its_name_alone(relay: RelayInHand, content_type: str) -> None:
    answer = await relay.api.post(
        "/v1/registrations", content=registration_of(200), headers={"content-type": content_type}
    )

    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("path", "limit"),
    [("/v1/registrations", MAX_BODY), ("/v1/registrations/batch", MAX_BATCH_BODY), ("/v1/test", MAX_BODY)],
)
async def test_a_body_that_is_too_large_is_answered_413(relay: RelayInHand, path: str, limit: int) -> None:
    before = await relay.stored()
    body = registration_of(limit + 1)

    announced = await relay.api.post(path, content=body, headers=JSON)
    chunked = await relay.api.post(path, content=in_chunks(body, 65_536), headers=JSON)
    understated = await relay.api.post(
        path, content=in_chunks(body, 65_536), headers=JSON | {"content-length": "10"}
    )

    for answer in (announced, chunked, understated):
        assert problem(answer, 413)["detail"] == f"the body must be at most {limit} bytes"
    assert await relay.stored() == before


async def test_what_is_announced_as_too_large_is_not_read(relay: RelayInHand) -> None:
    async def never_read() -> AsyncIterator[bytes]:
        yield b"{"
        raise AssertionError("the body was read")

    answer = await relay.api.post(
        "/v1/registrations", content=never_read(), headers=JSON | {"content-length": str(MAX_BODY + 1)}
    )

    problem(answer, 413)


async def test_the_largest_body_there_may_be_is_taken(relay: RelayInHand) -> None:
    whole = await relay.api.post("/v1/registrations", content=registration_of(MAX_BODY), headers=JSON)
    chunked = await relay.api.post(
        "/v1/registrations", content=in_chunks(registration_of(MAX_BODY)), headers=JSON
    )

    assert (whole.status_code, chunked.status_code) == (201, 200)


async def test_a_length_that_is_no_number_announces_nothing(relay: RelayInHand) -> None:
    answer = await relay.api.post(
        "/v1/registrations",
        content=in_chunks(registration_of(200)),
        headers=JSON | {"content-length": "many"},
    )

    assert answer.status_code == 201


async def test_an_unknown_path_is_answered_404(relay: RelayInHand) -> None:
    answers = [
        await relay.api.get(path)
        for path in ("/", "/v1", "/v1/registration", "/v1/registrations/reg_1/bodies")
    ]

    for answer in answers:
        assert "/openapi.json" in problem(answer, 404)["detail"]


@pytest.mark.parametrize(
    "wanted", ["reg_1", "batch", "REG_" + "0" * 32, "reg_" + "g" * 32, "evt_" + "0" * 32]
)
async def test_what_is_no_id_is_no_registration(relay: RelayInHand, wanted: str) -> None:
    answer = await relay.api.get(f"/v1/registrations/{wanted}/attempts")

    assert problem(answer, 404)["detail"] == "there is no such registration"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/registrations", {"GET", "HEAD", "POST"}),
        ("PUT", "/v1/registrations", {"GET", "HEAD", "POST"}),
        ("GET", "/v1/registrations/batch", {"POST"}),
        ("DELETE", "/v1/registrations/batch", {"POST"}),
        ("DELETE", "/v1/registrations/reg_1", {"GET", "HEAD"}),
        ("POST", "/v1/registrations/reg_1/attempts", {"GET", "HEAD"}),
        ("GET", "/v1/registrations/reg_1/cancel", {"POST"}),
        ("GET", "/v1/registrations/reg_1/redeliver", {"POST"}),
        ("GET", "/v1/test", {"POST"}),
        ("POST", "/livez", {"GET", "HEAD"}),
        ("POST", "/readyz", {"GET", "HEAD"}),
        ("POST", "/metrics", {"GET", "HEAD"}),
        ("POST", "/openapi.json", {"GET", "HEAD"}),
        ("BREW", "/v1/registrations", {"GET", "HEAD", "POST"}),
    ],
)
async def test_a_wrong_method_is_answered_405_with_those_that_are_allowed(
    relay: RelayInHand, method: str, path: str, allowed: set[str]
) -> None:
    before = await relay.stored()

    answer = await relay.api.request(method, path)

    assert method in problem(answer, 405)["detail"]
    assert set(answer.headers["allow"].split(", ")) == allowed
    assert await relay.stored() == before


async def test_head_answers_as_get_does_without_a_body(relay: RelayInHand) -> None:
    registration = await relay.register()

    answers = [
        await relay.api.head(path)
        for path in ("/v1/registrations", f"/v1/registrations/{registration}", "/livez", "/openapi.json")
    ]

    assert [answer.status_code for answer in answers] == [200] * 4
