from pathlib import Path

import pytest

from relay.api.requests import NOT_FOR_OPERATORS
from tests.api.problems import problem
from tests.relays import HOOK, TOKEN, RelayInHand, open_relay, settings_for, sqlite_url

BODY = {"task_id": "task-1", "callback_url": HOOK}
CALLS = [
    ("POST", "/v1/registrations"),
    ("POST", "/v1/registrations/batch"),
    ("GET", "/v1/registrations"),
    ("GET", "/v1/registrations/reg_1"),
    ("GET", "/v1/registrations/reg_1/attempts"),
    ("POST", "/v1/registrations/reg_1/cancel"),
    ("POST", "/v1/registrations/reg_1/redeliver"),
    ("POST", "/v1/replays"),
    ("GET", "/v1/replays"),
    ("GET", "/v1/replays/rpl_1"),
    ("POST", "/v1/replays/rpl_1/pause"),
    ("POST", "/v1/replays/rpl_1/resume"),
    ("POST", "/v1/replays/rpl_1/cancel"),
    ("POST", "/v1/test"),
]


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_a_call_without_a_token_is_answered_401(relay: RelayInHand, method: str, path: str) -> None:
    del relay.api.headers["authorization"]
    before = await relay.stored()

    answer = await relay.api.request(method, path, json=BODY)

    assert "Authorization: Bearer" in problem(answer, 401)["detail"]
    assert answer.headers["www-authenticate"] == 'Bearer realm="relay"'
    assert await relay.stored() == before


@pytest.mark.parametrize(
    "header",
    [
        "Bearer wrong",
        "Bearer ",
        "Bearer",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}",
    ],
)
async def test_a_token_that_is_not_known_is_answered_401(relay: RelayInHand, header: str) -> None:
    before = await relay.stored()

    answer = await relay.api.post("/v1/registrations", json=BODY, headers={"authorization": header})

    assert problem(answer, 401)["detail"] == "the API token is not known"
    assert answer.headers["www-authenticate"] == 'Bearer realm="relay"'
    assert await relay.stored() == before


async def test_a_token_of_any_bytes_is_answered_401(relay: RelayInHand) -> None:
    answer = await relay.api.get("/v1/registrations", headers={b"authorization": b"Bearer \xff\xfe"})

    problem(answer, 401)


async def test_an_operators_token_is_answered_403_with_the_reason(tmp_path: Path) -> None:
    settings = settings_for(sqlite_url(tmp_path), operator={"api_tokens": ["token-of-an-operator"]})
    async with open_relay(settings) as relay:
        before = await relay.stored()
        relay.api.headers["authorization"] = "Bearer token-of-an-operator"
        answers = [await relay.api.request(method, path, json=BODY) for method, path in CALLS]

        assert {problem(answer, 403)["detail"] for answer in answers} == {NOT_FOR_OPERATORS}
        assert await relay.stored() == before


async def test_the_scheme_is_read_without_regard_to_case(relay: RelayInHand) -> None:
    answer = await relay.api.get("/v1/registrations", headers={"authorization": f"bearer {TOKEN}"})

    assert answer.status_code == 200


async def test_another_clients_registration_is_not_there(relay: RelayInHand) -> None:
    registration = await relay.register()
    before = await relay.stored()

    answers = [
        await relay.other.get(f"/v1/registrations/{registration}"),
        await relay.other.get(f"/v1/registrations/{registration}/attempts"),
        await relay.other.post(f"/v1/registrations/{registration}/cancel"),
        await relay.other.post(f"/v1/registrations/{registration}/redeliver"),
    ]

    assert [problem(answer, 404)["detail"] for answer in answers] == ["there is no such registration"] * 4
    assert (await relay.other.get("/v1/registrations")).json()["data"] == []
    assert await relay.stored() == before


async def test_two_clients_registrations_of_one_task_are_not_the_same(relay: RelayInHand) -> None:
    await relay.register()

    answer = await relay.other.post("/v1/registrations", json=BODY)

    assert answer.status_code == 201


async def test_a_client_without_any_token_is_whoever_sends_none(tmp_path: Path) -> None:
    settings = settings_for(
        sqlite_url(tmp_path),
        clients={
            "default": {
                "camb_api_key": "key-of-it",
                "signing_secrets": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
            }
        },
    )
    async with open_relay(settings) as relay:
        del relay.api.headers["authorization"]
        without = await relay.api.get("/v1/registrations")
        with_one = await relay.api.get("/v1/registrations", headers={"authorization": "Bearer guessed"})

    assert without.status_code == 200
    problem(with_one, 401)
