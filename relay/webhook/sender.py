"""One try at one notification, and what became of it."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import httpx

from relay.clock import Clock
from relay.domain.clients import Client
from relay.domain.deliveries import Accepted, Attempt, Blocked, Failure, Outcome, Rejected, Unreachable
from relay.domain.ids import EventId, RegistrationId
from relay.domain.instants import SECOND, Span, seconds
from relay.domain.lanes import parse_retry_after
from relay.domain.registrations import EventType
from relay.domain.traces import TraceContext
from relay.domain.urls import CallbackUrl
from relay.transport import (
    BlockedAddress,
    NameResolutionError,
    TlsError,
    parsed,
    read_answer,
    release,
)
from relay.webhook.credentials import Credentials, OriginHeaders
from relay.webhook.headers import notification_headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is sent. `relay.test` has no registration, task or kind; `attempt` counts from 1.

    `timestamp` is in Unix seconds; without it the moment of sending is meant.
    """

    event_id: EventId
    event_type: EventType
    registration_id: RegistrationId | None
    task_id: str | None
    kind: str | None
    attempt: int
    url: CallbackUrl
    body: bytes
    client: str
    trace: TraceContext | None = None
    timestamp: int | None = None


class Sender:
    """`deadline` is over everything from the name's lookup to the answer's body, of which `answer_bytes` are kept.

    Raises Ed25519Unavailable and WrongPublicKey over a client's keys.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        *,
        clients: Iterable[Client],
        clock: Clock,
        deadline: Span,
        answer_bytes: int,
    ) -> None:
        self._transport = transport
        self._credentials = {client.name: Credentials(client) for client in clients}
        self._clock = clock
        self._deadline = seconds(deadline)
        self._answer_bytes = answer_bytes

    async def send(self, message: Message) -> Attempt:
        """Whatever the other side does is an outcome. Once its status line and headers are there, so is the outcome."""
        started_at = self._clock.now()
        credentials = self._credentials[message.client]
        headers = credentials.for_origin(message.url.origin)
        timestamp = self._clock.wall() // SECOND if message.timestamp is None else message.timestamp
        signature = credentials.sign(message.event_id, timestamp, message.body)
        request = _request(message, timestamp, signature, headers)
        response: httpx.Response | None = None
        answer = bytearray()
        outcome: Outcome = Unreachable(
            failure=Failure.TIMEOUT, detail=f"no answer within {self._deadline:g} s"
        )
        try:
            async with asyncio.timeout(self._deadline):
                response = await self._transport.handle_async_request(request)
                outcome = self._outcome(response)
                await read_answer(response, self._answer_bytes, answer)
        except TimeoutError:
            pass
        except httpx.TransportError as exc:
            if response is None:
                outcome = _unanswered(exc)
        finally:
            if response is not None:
                await release(response)
        return Attempt(
            started_at=started_at,
            duration=Span(self._clock.now() - started_at),
            outcome=outcome,
            answer=bytes(answer) if headers is None else headers.masked(bytes(answer)),
        )

    def _outcome(self, response: httpx.Response) -> Outcome:
        status = response.status_code
        if response.is_success:
            return Accepted(http_status=status)
        asked = response.headers.get("retry-after")
        retry_after = None if asked is None else parse_retry_after(asked, self._clock.wall())
        return Rejected(http_status=status, retry_after=retry_after)


def _request(
    message: Message, timestamp: int, signature: bytes, origin: OriginHeaders | None
) -> httpx.Request:
    headers = [
        *notification_headers(message, timestamp, signature),
        (b"relay-attempt", b"%d" % message.attempt),
    ]
    if message.trace is not None:
        headers.append((b"traceparent", message.trace.traceparent.encode()))
        if message.trace.tracestate is not None:
            headers.append((b"tracestate", message.trace.tracestate.encode()))
    if origin is not None:
        headers += origin.lines
    # `stream` where `content` would do costs a fifth: httpx then computes no headers, which the transport does anyway.
    return httpx.Request(
        "POST",
        parsed(message.url.origin + message.url.target),
        headers=headers,
        stream=httpx.ByteStream(message.body),
        extensions={"target": message.url.target.encode()},
    )


def _unanswered(error: httpx.TransportError) -> Outcome:
    match error:
        case BlockedAddress():
            return Blocked(rule=error.rule, final=error.final)
        case NameResolutionError():
            failure = Failure.DNS
        case TlsError():
            failure = Failure.TLS
        case httpx.TimeoutException():
            failure = Failure.TIMEOUT
        case httpx.ConnectError():
            failure = Failure.CONNECT
        case _:
            failure = Failure.PROTOCOL
    return Unreachable(failure=failure, detail=str(error))
