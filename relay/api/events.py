"""The calls under `/v1/events`."""

from collections.abc import AsyncGenerator
from contextlib import ExitStack
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from relay.api.event_schemas import EventItem, EventPage, EventQuery, StreamQuery, event_item
from relay.api.event_stream import HEARTBEAT, HEARTBEAT_SECONDS, MEDIA_TYPE, EventStream, beginning, frame
from relay.api.openapi import Operation
from relay.api.requests import Callers, parse_query, unless_left
from relay.api.responses import answer
from relay.api.schemas import DEFAULT_LIMIT
from relay.domain.cursors import PATTERN, Cursor, parse_cursor
from relay.domain.errors import DatabaseUnavailable, FieldError, Gone, InvalidInput
from relay.services.notify import Notifier
from relay.services.pull import Pulled, Pulling, Start

LAST_EVENT_ID: Final = "Last-Event-ID"

EVENT_OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/events",
        id="list_events",
        summary="Your events in order, whether they have callbacks or not: the same ids and bytes, signed alike.",
        query=EventQuery,
        answers={200: EventPage},
        problems=(410, 422, 429),
    ),
    Operation(
        method="GET",
        path="/v1/events/stream",
        id="stream_events",
        summary="The same as they come, as server-sent events: `id` is the cursor, `event` the type, `data` an EventItem.",
        query=StreamQuery,
        headers={LAST_EVENT_ID: {"type": "string", "pattern": PATTERN}},
        answers={200: EventItem},
        streamed=MEDIA_TYPE,
        problems=(410, 422, 429),
    ),
)


class Events:
    """`heartbeat` is after how many seconds without an event a stream shows that it is alive."""

    def __init__(
        self,
        callers: Callers,
        pulling: Pulling,
        notifier: Notifier,
        *,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._callers = callers
        self._pulling = pulling
        self._notifier = notifier
        self._heartbeat = heartbeat

    async def list(self, request: Request) -> Response:
        client = self._callers.identify(request)
        query = parse_query(EventQuery, request)
        page = self._page(client.name, query)
        return await (unless_left(request, page) if query.wait else page)

    async def _page(self, client: str, query: EventQuery) -> Response:
        pulled = await self._pulling.read_or_wait(client, query.start, query.limit, query.wait)
        items = [event_item(self._pulling, client, pulled.cursor.store, event) for event in pulled.events]
        return answer({"data": items, "next_cursor": pulled.cursor.text})

    async def stream(self, request: Request) -> Response:
        client = self._callers.identify(request).name
        start = _start(request)
        with ExitStack() as held:
            held.enter_context(self._notifier.place(client))
            pulled = await self._pulling.read(client, start, DEFAULT_LIMIT)
            if request.method == "HEAD":
                return Response(media_type=MEDIA_TYPE)
            return EventStream(self._frames(client, pulled), self._notifier, held.pop_all())

    async def _frames(self, client: str, pulled: Pulled) -> AsyncGenerator[bytes, None]:
        """A page at a time is in memory, and signed event by event as they are taken."""
        yield beginning(pulled.start.text)
        events, cursor = pulled.events, pulled.cursor
        while not self._notifier.stopped:
            for event in events:
                yield frame(event_item(self._pulling, client, cursor.store, event))
            if not events and not await self._notifier.event(client, cursor.position, self._heartbeat):
                if not self._notifier.stopped:
                    yield HEARTBEAT
                continue
            events = ()
            try:
                pulled = await self._pulling.read(client, cursor, DEFAULT_LIMIT)
                events, cursor = pulled.events, pulled.cursor
            except DatabaseUnavailable:
                pass  # the notifier waits for it, too
            except Gone:
                return  # whoever comes back for the rest is told so


def _start(request: Request) -> Cursor | Start:
    """Raises InvalidInput."""
    after = parse_query(StreamQuery, request).start
    last = request.headers.get(LAST_EVENT_ID)
    if last is None:
        return after
    cursor = parse_cursor(last)
    if cursor is None:
        raise InvalidInput(FieldError(field=LAST_EVENT_ID, rule="must be the id of an event of this stream"))
    return cursor
