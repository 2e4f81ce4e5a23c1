"""Outgoing HTTP: an httpx transport over an aiohttp session, which sends what it is given byte for byte and follows nothing."""

import asyncio
import errno
import functools
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, cast

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from relay import __version__
from relay.framing import Answers

USER_AGENT: Final = f"camb-relay/{__version__}"
KEEP_ALIVE_SECONDS: Final = 4.0
"""Node and uvicorn close an idle connection after 5 s: what is sent at that moment is lost, and costs an attempt."""
MAX_IDLE: Final = 1_024
"""Connections that a transport keeps open for a later request; aiohttp bounds them by their age alone."""
DNS_CACHE_SECONDS: Final = 10
MAX_DNS_CACHE: Final = 1_000
"""Names: aiohttp's own bound, which has no parameter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a transport keeps for a later request: so many idle connections, for so long, and for how long a name's addresses."""

    idle: int = MAX_IDLE
    idle_seconds: float = KEEP_ALIVE_SECONDS
    dns_seconds: int = DNS_CACHE_SECONDS


MEMORY: Final = Memory()
MAX_LINE: Final = 8_190
MAX_HEADERS: Final = 128
"""Of a head: the status line, or a header's name or value, in bytes; and how many headers."""


class NameResolutionError(httpx.ConnectError):
    pass


class TlsError(httpx.ConnectError):
    pass


class BlockedAddress(httpx.ConnectError):
    """A guard refused before anything was sent; `final` where the URL itself is at fault, not what a name led to."""

    def __init__(self, rule: str, *, final: bool) -> None:
        super().__init__(rule)
        self.rule = rule
        self.final = final


def tls_context() -> ssl.SSLContext:
    """Reads the system's certificates from disk: make one and share it."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Enter it before use. It has no limit and no timeout: its callers bound what is in flight and for how long.

    A request carries path and query in `extensions["target"]`, as they shall go on the wire; of its URL only the origin
    counts. `accept: */*`, `accept-encoding: identity` and our `user-agent` are added where it says nothing else.
    Raises httpx.TransportError, whose message names no address.
    """

    def __init__(
        self,
        tls: ssl.SSLContext,
        *,
        resolver: AbstractResolver | None = None,
        socket_factory: aiohttp.SocketFactoryType | None = None,
        memory: Memory = MEMORY,
    ) -> None:
        self.memory = memory
        self._tls = tls
        self._resolver = resolver
        self._socket_factory = socket_factory
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=_Connector(self._tls, self._resolver, self._socket_factory, self.memory),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"accept": "*/*", "accept-encoding": "identity", "user-agent": USER_AGENT},
            timeout=aiohttp.ClientTimeout(total=None),
            trust_env=False,
            auto_decompress=False,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            max_headers=MAX_HEADERS,
            middlewares=(_once,),
        )
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._session is None:
            raise RuntimeError("enter the transport before sending through it")
        url = request.url
        target: bytes = request.extensions.get("target") or url.raw_path
        answer = await self._session.request(
            request.method,
            URL(f"{url.scheme}://{url.netloc.decode()}{target.decode()}", encoded=True),
            headers=[(name.decode(), value.decode()) for name, value in request.headers.raw],
            data=request.read() or None,
            allow_redirects=False,
        )
        return httpx.Response(answer.status, headers=list(answer.raw_headers), stream=_Body(answer))


@functools.lru_cache(maxsize=4096)
def parsed(url: str) -> httpx.URL:
    """Parsing costs more than sending the header, and the same callbacks and tasks come again and again."""
    return httpx.URL(url)


async def read_answer(response: httpx.Response, limit: int, answer: bytearray) -> bool:
    """Append the body to `answer`, at most `limit` bytes of it; False where there was more."""
    async for chunk in cast("httpx.AsyncByteStream", response.stream):
        room = limit - len(answer)
        answer += chunk[:room]
        if len(chunk) > room:
            return False
    return True


async def release(response: httpx.Response) -> None:
    """Give the connection back where the body was read to its end, drop it otherwise."""
    await cast("httpx.AsyncByteStream", response.stream).aclose()


class _Body(httpx.AsyncByteStream, AsyncIterator[bytes]):
    """Read to its end it has given its connection back; closed before, it drops it."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._answer.content.readany()
        except (aiohttp.ClientError, OSError) as exc:
            raise _translated(exc) from exc
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        self._answer.close()


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Translate errors in here: of its own, aiohttp would send a GET again, and one token of a budget is one request."""
    try:
        return await send(request)
    except (aiohttp.ClientError, OSError, UnicodeError) as exc:
        raise _translated(exc) from exc


def _translated(exc: Exception) -> httpx.TransportError:
    match exc:
        case aiohttp.ClientConnectorDNSError() | UnicodeError():
            return NameResolutionError("the name could not be resolved")
        case aiohttp.ClientConnectorError(os_error=error):
            return _unconnected(error)
        case aiohttp.ClientResponseError():
            return httpx.RemoteProtocolError("the answer was not proper HTTP")
        case aiohttp.ServerDisconnectedError():
            return httpx.RemoteProtocolError("the connection was closed before an answer")
        case aiohttp.ClientPayloadError():
            return httpx.RemoteProtocolError("the answer broke off")
        case _:
            return httpx.NetworkError("the connection was lost")


def _unconnected(error: OSError) -> httpx.TransportError:
    match error:
        case ssl.SSLCertVerificationError():
            return TlsError(error.verify_message)
        case ssl.SSLError():
            return TlsError(error.reason or "the handshake failed")
        case ConnectionResetError() | ConnectionAbortedError():  # by then only a handshake is left to do
            return TlsError("the handshake was cut off")
        case TimeoutError():
            return httpx.ConnectTimeout("the connection timed out")
        case _:  # the error's own text names the address
            return httpx.ConnectError(os.strerror(error.errno or errno.ENOTCONN))


class _Connector(aiohttp.TCPConnector):
    def __init__(
        self,
        tls: ssl.SSLContext,
        resolver: AbstractResolver | None,
        socket_factory: aiohttp.SocketFactoryType | None,
        memory: Memory,
    ) -> None:
        super().__init__(
            ssl=tls,
            resolver=resolver,
            socket_factory=socket_factory,
            limit=0,
            keepalive_timeout=memory.idle_seconds,
            ttl_dns_cache=memory.dns_seconds,
        )
        self._factory = functools.partial(_answers, self._loop)
        self._most_idle = memory.idle

    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        """Called where an exchange is over: one idle connection too many is closed."""
        full = sum(map(len, self._conns.values())) >= self._most_idle
        super()._release(key, protocol, should_close=should_close or full)


def _answers(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return Answers(loop)
