"""Hand an event to a local port exactly as a callback would get it."""

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, cast
from urllib.parse import urlsplit

import httpx
import typer

from relay.client import Event
from relay.client.errors import said_by
from relay.clock import Clock
from relay.domain.instants import Instant, seconds

DEADLINE_SECONDS: Final = 15.0
"""As long as the relay gives a callback at its defaults."""
_CONNECT_SECONDS: Final = 5.0
_PORT: Final = re.compile(r"[0-9]{1,5}(/.*)?")
_MAX_ANSWER: Final = 4 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Of the local server; `error` is why there is none."""

    http_status: int | None
    duration_ms: float
    error: str | None = None
    body: bytes = b""
    """Its beginning."""

    @property
    def accepted(self) -> bool:
        return self.http_status is not None and httpx.codes.is_success(self.http_status)


def local_url(given: str) -> httpx.URL:
    """From a URL, `host:port/path`, or a port with or without a path. Raises BadParameter."""
    if _PORT.fullmatch(given):
        given = f"localhost:{given}"
    given = given if "://" in given else f"http://{given}"
    try:
        urlsplit(given).port  # noqa: B018 - httpx takes any number for a port, and any text for a host
        url = httpx.URL(given)
    except (ValueError, httpx.InvalidURL) as error:
        raise typer.BadParameter(f"is no URL: {error}", param_hint="--forward") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise typer.BadParameter("must be as http://localhost:3000/hooks", param_hint="--forward")
    return url


class Forward:
    """The transport alone, without a client's own headers, cookies, redirects and proxies."""

    def __init__(
        self, url: httpx.URL, *, verify: bool, clock: Clock, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.url = url
        self._clock = clock
        self._transport = transport or httpx.HTTPTransport(verify=verify, trust_env=False)

    def send(self, event: Event) -> Answer:
        begun = self._clock.now()
        request = httpx.Request(
            "POST",
            self.url,
            headers=dict(event.headers),
            content=event.body,
            extensions={
                "timeout": httpx.Timeout(DEADLINE_SECONDS, connect=_CONNECT_SECONDS).as_dict(),
            },
        )
        try:
            response = self._transport.handle_request(request)
        except httpx.TransportError as error:
            return Answer(http_status=None, duration_ms=self._since(begun), error=_said(error, self.url))
        duration = self._since(begun)
        with suppress(httpx.TransportError):  # the status line has decided, as it does for a callback
            return Answer(
                http_status=response.status_code, duration_ms=duration, body=self._beginning(response, begun)
            )
        return Answer(http_status=response.status_code, duration_ms=duration)

    def close(self) -> None:
        self._transport.close()

    def _beginning(self, response: httpx.Response, begun: Instant) -> bytes:
        body = b""
        stream = cast(httpx.SyncByteStream, response.stream)
        try:
            for chunk in stream:
                body += chunk
                if len(body) >= _MAX_ANSWER or self._since(begun) > DEADLINE_SECONDS * 1_000:
                    break
        finally:
            stream.close()
        return body[:_MAX_ANSWER]

    def _since(self, begun: Instant) -> float:
        return seconds(self._clock.now() - begun) * 1_000


def _said(error: httpx.TransportError, url: httpx.URL) -> str:
    match error:
        case httpx.ConnectTimeout() | httpx.ConnectError():
            return f"nobody accepts a connection at {url.netloc.decode()}: {said_by(error)}"
        case httpx.TimeoutException():
            return f"no answer within {DEADLINE_SECONDS:g} s"
        case _:
            return f"the connection broke off: {said_by(error)}"
