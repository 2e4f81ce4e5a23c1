"""Spans to a collector, beside the work and never in its way."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, assert_never

import httpx
import structlog

from relay.clock import Clock
from relay.domain.instants import MINUTE, SECOND, Instant, seconds
from relay.domain.instants import Span as TimeSpan
from relay.domain.lanes import parse_retry_after
from relay.telemetry import Metrics
from relay.tracing.spans import Span
from relay.transport import USER_AGENT, parsed, read_answer, release

if TYPE_CHECKING:
    from relay.tracing.otlp import Codec

MOST_WAITING: Final = 8_192
MOST_AT_ONCE: Final = 512
DEADLINE: Final = TimeSpan(10 * SECOND)
LONGEST_ANSWER: Final = 65_536
FIRST_PAUSE: Final = TimeSpan(SECOND)
LONGEST_PAUSE: Final = TimeSpan(MINUTE)
LONGEST_ASKED: Final = TimeSpan(10 * MINUTE)

_MOST_DOUBLINGS: Final = 6
_LATER: Final = frozenset({429, 502, 503, 504})  # OTLP: "Retryable Response Codes"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Where spans go: `endpoint` is the whole URL, `headers` are secret."""

    endpoint: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    rejected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refused:
    """These spans will never be taken."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Later:
    """`asked` is how long the collector wants to be left alone."""

    reason: str
    asked: TimeSpan | None = None


class Exporter:
    """At most MOST_WAITING spans wait; what comes beyond them is dropped and counted.

    `run_once` is called once a second; a full batch does not wait for it.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        collector: Collector,
        codec: "Codec",
        *,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._transport = transport
        self._collector = collector
        self._codec = codec
        self._clock = clock
        self._metrics = metrics
        self._waiting: deque[Span] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._failures = 0
        self._not_before = Instant(0)
        self._reason: str | None = None

    def add(self, span: Span) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._metrics.spans.labels("dropped").inc()
            return
        self._waiting.append(span)
        if len(self._waiting) >= MOST_AT_ONCE:
            self._begin()

    async def run_once(self) -> None:
        """Begin to send what waits. Nobody waits for a collector."""
        self._begin()

    async def close(self, within: float) -> None:
        """Send what waits, for so many seconds at most; what is left is dropped."""
        try:
            async with asyncio.timeout(within):
                if self._sending is not None:
                    await self._sending
                self._not_before = Instant(0)
                await self._send()
        except TimeoutError:
            pass
        if self._sending is not None:
            self._sending.cancel()
        if self._waiting:
            self._metrics.spans.labels("dropped").inc(len(self._waiting))
            _log.warning("spans.dropped", spans=len(self._waiting))
            self._waiting.clear()

    def _begin(self) -> None:
        under_way = self._sending is not None and not self._sending.done()
        if self._waiting and not under_way and self._clock.now() >= self._not_before:
            # A context of its own: spans are not part of whatever request made the last of them.
            self._sending = asyncio.create_task(self._send(), name="spans", context=contextvars.Context())

    async def _send(self) -> None:
        while self._waiting and self._clock.now() >= self._not_before:
            batch = list(islice(self._waiting, MOST_AT_ONCE))
            answer = await self._post(batch)
            if isinstance(answer, _Later):
                self._hold(answer)
            else:
                for _ in batch:
                    self._waiting.popleft()
                self._tell(answer, len(batch))

    def _hold(self, answer: _Later) -> None:
        doubled = FIRST_PAUSE << min(self._failures, _MOST_DOUBLINGS)
        self._failures += 1
        pause = min(doubled, LONGEST_PAUSE) if answer.asked is None else min(answer.asked, LONGEST_ASKED)
        self._not_before = Instant(self._clock.now() + pause)
        self._complain(answer.reason)

    def _tell(self, answer: _Taken | _Refused, count: int) -> None:
        self._failures = 0
        match answer:
            case _Taken(rejected=rejected):
                self._metrics.spans.labels("exported").inc(max(0, count - rejected))
                self._metrics.spans.labels("refused").inc(min(rejected, count))
                self._complain(None)
            case _Refused(reason=reason):
                self._metrics.spans.labels("refused").inc(count)
                self._complain(reason)
            case _:
                assert_never(answer)

    def _complain(self, reason: str | None) -> None:
        """Once for each reason, and once when it is over: a collector may be away for days."""
        if reason != self._reason and reason is not None:
            _log.warning("spans.unsent", reason=reason, waiting=len(self._waiting))
        elif reason != self._reason:
            _log.info("spans.sent_again")
        self._reason = reason

    async def _post(self, batch: Sequence[Span]) -> _Taken | _Refused | _Later:
        response: httpx.Response | None = None
        answer = bytearray()
        try:
            request = self._request(self._codec.request(batch))
            async with asyncio.timeout(seconds(DEADLINE)):
                response = await self._transport.handle_async_request(request)
                await read_answer(response, LONGEST_ANSWER, answer)
        except TimeoutError:
            return _Later(reason=f"no answer within {seconds(DEADLINE):g} s")
        except httpx.TransportError as exc:
            return _Later(reason=str(exc))
        except Exception as exc:  # noqa: BLE001 - whatever is wrong with some spans, the next ones must not wait behind them
            return _Refused(reason=type(exc).__name__)
        finally:
            if response is not None:
                await release(response)
        if response.is_success:
            return _Taken(rejected=self._codec.rejected(bytes(answer)))
        reason = f"the collector answered {response.status_code}"
        if response.status_code not in _LATER:
            return _Refused(reason=reason)
        asked = response.headers.get("retry-after")
        return _Later(
            reason=reason, asked=None if asked is None else parse_retry_after(asked, self._clock.wall())
        )

    def _request(self, content: bytes) -> httpx.Request:
        url = parsed(self._collector.endpoint)
        return httpx.Request(
            "POST",
            url,
            headers={
                "content-type": "application/x-protobuf",
                "user-agent": USER_AGENT,
                **self._collector.headers,
            },
            stream=httpx.ByteStream(content),
            extensions={"target": url.raw_path},
        )
