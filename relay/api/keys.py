"""The keys that notifications are verified with: all of them for whoever asks, and a client's own by its token."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Final, Literal

import orjson
from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from relay.api.requests import Callers, parse_query
from relay.api.responses import answer
from relay.api.schemas import Query, Resource
from relay.domain.clients import Client
from relay.domain.keys import PublicKey

JWKS_PATH: Final = "/.well-known/jwks.json"
FRESH_SECONDS: Final = 300
"""How long a receiver may do without asking again. A new key signs beside the old one for longer than that."""


class KeySetQuery(Query):
    key_set: Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")] | None = Field(
        None, description="Only those of one client, as its `jwks_path` has it."
    )


class JsonWebKey(Resource):
    """RFC 7517 and RFC 8037; `kid` is the key's RFC 7638 thumbprint."""

    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"
    use: Literal["sig"] = "sig"
    alg: Literal["EdDSA"] = "EdDSA"
    kid: str
    x: str


class JsonWebKeySet(Resource):
    keys: list[JsonWebKey]


class PublicKeyResource(Resource):
    kid: str
    public_key: str = Field(description="`whpk_` and the key in base64, as Standard Webhooks has it.")


class KeyPage(Resource):
    """Your ed25519 keys, in the order in which they sign."""

    data: list[PublicKeyResource]
    jwks_path: str = Field(description="Where whoever holds no token reads the same keys, and none besides.")


class Keys:
    """What is public carries no client's name, and its order gives nothing away."""

    def __init__(self, callers: Callers, clients: Mapping[str, Client]) -> None:
        self._callers = callers
        everybodys = {key for client in clients.values() for key in client.public_keys}
        self._all = _json_web_keys(everybodys)
        self._sets = {client.key_set: _json_web_keys(client.public_keys) for client in clients.values()}
        self._none = _json_web_keys(())

    async def published(self, request: Request) -> Response:
        """A set that nobody has is empty: whether there is such a client is nobody's business."""
        wanted = parse_query(KeySetQuery, request).key_set
        keys = self._all if wanted is None else self._sets.get(wanted, self._none)
        headers = {"cache-control": f"public, max-age={FRESH_SECONDS}"}
        return Response(keys, headers=headers, media_type="application/json")

    async def own(self, request: Request) -> Response:
        client = self._callers.identify(request)
        page = KeyPage(
            data=[PublicKeyResource(kid=key.thumbprint, public_key=key.text) for key in client.public_keys],
            jwks_path=f"{JWKS_PATH}?key_set={client.key_set}",
        )
        return answer(page.model_dump())


def _json_web_keys(keys: Iterable[PublicKey]) -> bytes:
    distinct = {key.thumbprint: key for key in keys}
    document = JsonWebKeySet(keys=[JsonWebKey(kid=kid, x=key.x) for kid, key in sorted(distinct.items())])
    return orjson.dumps(document.model_dump())
