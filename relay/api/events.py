"""The calls under `/v1/events`."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from relay.api.event_schemas import EventPage, EventQuery, event_item
from relay.api.openapi import Operation
from relay.api.requests import Callers, parse_query
from relay.api.responses import answer
from relay.services.pull import Pulling

EVENT_OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/events",
        id="list_events",
        summary="Your events in order, whether they have callbacks or not: the same ids and bytes, signed alike.",
        query=EventQuery,
        answers={200: EventPage},
        problems=(410, 422),
    ),
)


class Events:
    def __init__(self, callers: Callers, pulling: Pulling) -> None:
        self._callers = callers
        self._pulling = pulling

    async def list(self, request: Request) -> Response:
        client = self._callers.identify(request)
        query = parse_query(EventQuery, request)
        pulled = await self._pulling.read(client.name, query.start, query.limit)
        items = [
            event_item(self._pulling, client.name, pulled.cursor.store, event) for event in pulled.events
        ]
        return answer({"data": items, "next_cursor": pulled.cursor.text})
