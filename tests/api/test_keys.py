"""What receivers verify ed25519 signatures with: published without a token, and a client's own by its token."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from relay.webhook.signing import new_pair
from tests.api.problems import problem
from tests.relays import (
    HOOK,
    OTHER_TOKEN,
    SIGNING_SECRET,
    TOKEN,
    RelayInHand,
    client_section,
    open_relay,
    settings_for,
    sqlite_url,
)

FIRST, SECOND, THEIRS = (new_pair(bytes([number]) * 32) for number in range(3))
PUBLISHED = "/.well-known/jwks.json"


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[RelayInHand]:
    clients = {
        "default": client_section(TOKEN, signing_secrets=[SECOND.text, SIGNING_SECRET, FIRST.text]),
        "other": client_section(OTHER_TOKEN, signing_secrets=[THEIRS.text]),
        "plain": client_section("token-of-plain", signing_secrets=[SIGNING_SECRET]),
    }
    async with open_relay(settings_for(sqlite_url(tmp_path), clients=clients)) as relay:
        yield relay


async def published(relay: RelayInHand, path: str = PUBLISHED) -> list[dict[str, str]]:
    """Without a token."""
    relay.api.headers.pop("authorization", None)
    answer = await relay.api.get(path)
    assert answer.status_code == 200, answer.text
    keys: list[dict[str, str]] = answer.json()["keys"]
    return keys


async def test_the_public_keys_of_all_clients_are_published_without_a_token(relay: RelayInHand) -> None:
    keys = await published(relay)

    assert {key["x"] for key in keys} == {pair.public.x for pair in (FIRST, SECOND, THEIRS)}
    for key in keys:
        thumbprint = key["kid"]
        assert key == {
            "kty": "OKP",
            "crv": "Ed25519",
            "use": "sig",
            "alg": "EdDSA",
            "kid": thumbprint,
            "x": key["x"],
        }


async def test_what_is_published_names_no_client_and_gives_no_order_away(relay: RelayInHand) -> None:
    answer = await relay.api.get(PUBLISHED)

    kids = [key["kid"] for key in answer.json()["keys"]]
    assert kids == sorted(kids)
    assert not [name for name in ("default", "other", "plain") if name in answer.text]


async def test_no_private_half_and_no_shared_secret_is_published(relay: RelayInHand) -> None:
    text = (await relay.api.get(PUBLISHED)).text + (await relay.api.get("/v1/keys")).text

    for pair in (FIRST, SECOND, THEIRS):
        seed = base64.b64encode(pair.seed).decode()
        assert seed.rstrip("=") not in text
        assert base64.urlsafe_b64encode(pair.seed).rstrip(b"=").decode() not in text
    assert SIGNING_SECRET.removeprefix("whsec_") not in text
    assert '"d"' not in text


async def test_a_key_that_two_clients_share_is_published_once(tmp_path: Path) -> None:
    clients = {
        name: client_section(token, signing_secrets=[FIRST.text])
        for name, token in (("default", TOKEN), ("other", OTHER_TOKEN))
    }
    async with open_relay(settings_for(sqlite_url(tmp_path), clients=clients)) as relay:
        keys = await published(relay)

    assert [key["kid"] for key in keys] == [FIRST.public.thumbprint]


async def test_a_client_reads_its_own_public_keys_in_the_order_in_which_they_sign(relay: RelayInHand) -> None:
    answer = await relay.api.get("/v1/keys")

    assert answer.json()["data"] == [
        {"kid": pair.public.thumbprint, "public_key": pair.public.text} for pair in (SECOND, FIRST)
    ]


async def test_a_clients_own_address_publishes_its_keys_and_no_others(relay: RelayInHand) -> None:
    mine = (await relay.api.get("/v1/keys")).json()["jwks_path"]
    theirs = (await relay.other.get("/v1/keys")).json()["jwks_path"]

    assert {key["x"] for key in await published(relay, mine)} == {FIRST.public.x, SECOND.public.x}
    assert {key["x"] for key in await published(relay, theirs)} == {THEIRS.public.x}


async def test_whether_there_is_a_client_cannot_be_asked(relay: RelayInHand) -> None:
    plain = await relay.api.get("/v1/keys", headers={"authorization": "Bearer token-of-plain"})

    assert await published(relay, plain.json()["jwks_path"]) == []
    assert await published(relay, f"{PUBLISHED}?key_set={'0' * 32}") == []


async def test_what_is_published_may_be_kept_for_minutes_and_is_for_everybody(relay: RelayInHand) -> None:
    answer = await relay.api.get(PUBLISHED)

    assert answer.headers["cache-control"] == "public, max-age=300"
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "query", ["?key_set=default", "?key_set=", "?client=default", f"?key_set={'0' * 33}"]
)
async def test_what_is_no_key_set_is_refused(relay: RelayInHand, query: str) -> None:
    problem(await relay.api.get(PUBLISHED + query), 422)


async def test_ones_own_keys_need_a_token(relay: RelayInHand) -> None:
    answer = await relay.api.get("/v1/keys", headers={"authorization": "Bearer token-of-nobody"})

    problem(answer, 401)


async def test_a_notification_is_verified_with_what_is_published(relay: RelayInHand) -> None:
    await relay.api.post("/v1/test", json={"callback_url": HOOK})
    (request,) = relay.world.everything_sent.requests

    signed = (
        f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.content
    )
    signatures = [
        entry.removeprefix("v1a,")
        for entry in request.headers["webhook-signature"].split(" ")
        if entry.startswith("v1a,")
    ]

    raw = {key["kid"]: base64.urlsafe_b64decode(key["x"] + "=") for key in await published(relay)}
    for pair, signature in zip((SECOND, FIRST), signatures, strict=True):
        Ed25519PublicKey.from_public_bytes(raw[pair.public.thumbprint]).verify(
            base64.b64decode(signature), signed
        )


async def test_a_worker_publishes_nothing(tmp_path: Path) -> None:
    settings = settings_for(sqlite_url(tmp_path)).model_copy(update={"role": "worker"})

    async with open_relay(settings) as relay:
        answer = await relay.api.get(PUBLISHED)

    problem(answer, 404)


async def test_the_document_says_that_it_needs_no_token(relay: RelayInHand) -> None:
    document = json.loads((await relay.api.get("/openapi.json")).content)

    assert document["paths"][PUBLISHED]["get"]["security"] == []
    assert set(document["paths"][PUBLISHED]["get"]["responses"]) == {"200", "422"}
    assert "security" not in document["paths"]["/v1/keys"]["get"]
