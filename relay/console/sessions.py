"""Who is looking: a cookie that stands for a token as long as the configuration has it, on every replica alike."""

import hashlib
import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from relay.clock import Clock
from relay.domain.clients import Client, token_digest
from relay.domain.errors import NotFound
from relay.domain.instants import HOUR, SECOND

COOKIE: Final = "relay_session"
ROOT: Final = "/ui"
LIFETIME: Final = 12 * HOUR // SECOND

_ID_DIGITS: Final = 32
_LONGEST_COOKIE: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Whose a token is: a client's, or an operator's where `client` is None."""

    client: Client | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """`client` is whose part is shown; an operator has `chosen` one of `names`, or is shown the first."""

    client: Client
    operator: bool = False
    chosen: bool = False
    names: tuple[str, ...]
    signed_in: bool = True
    """False where nobody needs to: the only client has no token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    digest: bytes
    holder: Holder


class Sessions:
    """A cookie is `<id of the token>.<expiry>.<mac>`; the mac's key is the token's digest, so that both go together."""

    def __init__(self, clients: Mapping[str, Client], operators: Collection[bytes], clock: Clock) -> None:
        self._clients = clients
        self._clock = clock
        self._anonymous = next((client for client in clients.values() if not client.api_token_digests), None)
        tokens = [_Token(digest=digest, holder=Holder(client=None)) for digest in operators] + [
            _Token(digest=digest, holder=Holder(client=client))
            for client in clients.values()
            for digest in client.api_token_digests
        ]
        self._by_digest = {token.digest: token for token in tokens}
        self._by_id = {_id_of(token.digest): token for token in tokens}

    def begin(self, token: str) -> str | None:
        """A session's cookie; None for a token that is not known."""
        known = self._by_digest.get(token_digest(token))
        if known is None:
            return None
        expiry = self._clock.now() // SECOND + LIFETIME
        return f"{_id_of(known.digest)}.{expiry}.{_mac(known.digest, expiry)}"

    def viewer(self, request: Request) -> Viewer | None:
        """None where somebody has to sign in first. Raises NotFound for a client that an operator cannot choose."""
        holder = self._holder(request.cookies.get(COOKIE, ""))
        if holder is None:
            return self._nobody(request)
        if holder.client is not None:
            return Viewer(client=holder.client, names=(holder.client.name,))
        names = tuple(sorted(self._clients))
        wanted = request.query_params.get("client", "")
        if wanted and wanted not in names:
            raise NotFound("there is no such client")
        client = self._clients[wanted or names[0]]
        return Viewer(client=client, operator=True, chosen=bool(wanted), names=names)

    def _holder(self, cookie: str) -> Holder | None:
        if len(cookie) > _LONGEST_COOKIE or not cookie.isascii():
            return None
        id_, _, rest = cookie.partition(".")
        expiry, _, mac = rest.partition(".")
        token = self._by_id.get(id_)
        if token is None or not expiry.isdecimal():
            return None
        until = int(expiry)
        if not hmac.compare_digest(mac, _mac(token.digest, until)) or until <= self._clock.now() // SECOND:
            return None
        return token.holder

    def _nobody(self, request: Request) -> Viewer | None:
        """Whoever shows no token is the client that has none, if they called this machine by no name of their own making.

        A page elsewhere could have its name lead to loopback, and would then read what is shown here.
        """
        if self._anonymous is None or not _is_local(request.headers.get("host", "")):
            return None
        return Viewer(client=self._anonymous, names=(self._anonymous.name,), signed_in=False)


def keep(response: Response, request: Request, cookie: str) -> None:
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=LIFETIME,
        path=ROOT,
        secure=is_secure(request),
        httponly=True,
        samesite="strict",
    )


def forget(response: Response, request: Request) -> None:
    response.delete_cookie(COOKIE, path=ROOT, secure=is_secure(request), httponly=True, samesite="strict")


def is_from_here(request: Request) -> bool:
    """Whether a page of this console, and no other site's, sent the form."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    # Browsers leave that header out where a page came over plain http from another machine.
    _, _, authority = request.headers.get("origin", "").partition("://")
    return bool(authority) and authority == request.headers.get("host")


def is_secure(request: Request) -> bool:
    forwarded = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip()
    return request.url.scheme == "https" or forwarded == "https"


def _is_local(authority: str) -> bool:
    try:
        host = urlsplit(f"//{authority}").hostname or ""
        return host == "localhost" or host.endswith(".localhost") or bool(ip_address(host))
    except ValueError:
        return False


def _id_of(digest: bytes) -> str:
    return hashlib.sha256(b"camb-relay console " + digest).hexdigest()[:_ID_DIGITS]


def _mac(digest: bytes, expiry: int) -> str:
    return hmac.digest(digest, b"camb-relay console session until %d" % expiry, "sha256").hex()
