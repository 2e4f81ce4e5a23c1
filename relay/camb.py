"""One status request to CAMB: a report on the task, or what came instead."""

import asyncio
from dataclasses import replace
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

import httpx

from relay.clock import Clock
from relay.domain.instants import DAY, Span, seconds
from relay.domain.kinds import DEFAULT_KIND, KINDS, Kind
from relay.domain.lanes import parse_retry_after
from relay.domain.tasks import Poll, PollAnswer, PollResult, UpstreamError, parse_report
from relay.transport import USER_AGENT, parsed, read_answer, release

LONGEST_RETRY_AFTER: Final = DAY
CHECK_TASK_ID: Final = "relay-check-config"

_USER_AGENT: Final = (b"user-agent", USER_AGENT.encode())
_BY_STATUS: Final = {
    401: PollResult.UNAUTHORIZED,
    403: PollResult.UNAUTHORIZED,
    404: PollResult.NOT_FOUND,
    429: PollResult.RATE_LIMITED,
}


class CambClient:
    """`deadline` is over everything from the name's lookup to the end of the body, which is read up to `answer_bytes`."""

    def __init__(
        self, transport: httpx.AsyncBaseTransport, *, clock: Clock, deadline: Span, answer_bytes: int
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._deadline = seconds(deadline)
        self._answer_bytes = answer_bytes

    async def status(self, base_url: str, api_key: str, kind: Kind, task_id: str) -> Poll:
        """`base_url` may end in a path. Whatever CAMB does costs this one request."""
        begun_at = self._clock.now()
        answer = await self._ask(_request(base_url, api_key, kind.status_path(task_id)))
        return Poll(begun_at=begun_at, ended_at=self._clock.now(), answer=answer)

    async def check(self, base_url: str, api_key: str) -> PollResult:
        """Ask after a task that does not exist: `not_found` is the answer to a key that works."""
        poll = await self.status(base_url, api_key, KINDS[DEFAULT_KIND], CHECK_TASK_ID)
        return poll.answer.result

    async def _ask(self, request: httpx.Request) -> PollAnswer:
        response: httpx.Response | None = None
        answer: PollAnswer = UpstreamError(result=PollResult.TIMEOUT)
        body = bytearray()
        try:
            async with asyncio.timeout(self._deadline):
                response = await self._transport.handle_async_request(request)
                if response.is_success:
                    whole = await read_answer(response, self._answer_bytes, body)
                    answer = _read(response.status_code, bytes(body) if whole else b"")
                else:
                    answer = self._refused(response)
                    await read_answer(response, self._answer_bytes, body)  # for the connection's sake
        except TimeoutError:
            pass
        except httpx.TransportError as exc:
            if response is None or response.is_success:
                late = isinstance(exc, httpx.TimeoutException)
                answer = UpstreamError(result=PollResult.TIMEOUT if late else PollResult.UNREACHABLE)
        finally:
            if response is not None:
                await release(response)
        return answer

    def _refused(self, response: httpx.Response) -> UpstreamError:
        status = response.status_code
        result = _BY_STATUS.get(
            status, PollResult.SERVER_ERROR if response.is_server_error else PollResult.UNEXPECTED_STATUS
        )
        asked = response.headers.get("retry-after")
        wait = None if asked is None else parse_retry_after(asked, self._clock.wall())
        return UpstreamError(
            result=result,
            http_status=status,
            retry_after=None if wait is None else min(wait, LONGEST_RETRY_AFTER),
        )


def _read(status: int, body: bytes) -> PollAnswer:
    report = parse_report(body)
    if report is None:
        return UpstreamError(result=PollResult.INVALID, http_status=status)
    return replace(report, http_status=status)


def _request(base_url: str, api_key: str, path: str) -> httpx.Request:
    base, prefix = _split(base_url)
    return httpx.Request(
        "GET",
        parsed(base + path),
        headers=[_USER_AGENT, (b"x-api-key", api_key.encode())],
        stream=httpx.ByteStream(b""),
        extensions={"target": (prefix + path).encode()},
    )


@lru_cache(maxsize=64)
def _split(base_url: str) -> tuple[str, str]:
    base = base_url.rstrip("/")
    return base, urlsplit(base).path
