"""What goes over the wire about events that are pulled."""

from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from relay.api.fields import Moment
from relay.api.schemas import PageQuery, Query, Resource, Wait
from relay.domain.cursors import PATTERN, Cursor, parse_cursor
from relay.domain.instants import text
from relay.domain.registrations import EventType
from relay.services.pull import Pulling, Start
from relay.storage.feeds import StoredEvent

_LATEST: Final = "latest"


def _known(after: str) -> str:
    start_of(after)
    return after


AfterText = Annotated[
    str,
    AfterValidator(_known),
    Field(json_schema_extra={"pattern": f"{PATTERN}|^{_LATEST}$"}),
]
_AFTER: Final = (
    "The `next_cursor` of an earlier answer, or an event's `cursor`: what comes next after it. `latest` is behind all there is;"
    " left out, it begins with the oldest."
)


class StreamQuery(Query):
    """The header `Last-Event-ID`, which a browser sends after a break, goes before `after`."""

    after: AfterText | None = Field(None, description=_AFTER)

    @property
    def start(self) -> Cursor | Start:
        return Start.OLDEST if self.after is None else start_of(self.after)


class EventQuery(PageQuery):
    after: AfterText | None = Field(None, description=_AFTER)
    wait: Wait = Field(0, description="Where there is nothing yet: how many seconds to wait for it.")

    @property
    def start(self) -> Cursor | Start:
        return Start.OLDEST if self.after is None else start_of(self.after)


class EventItem(Resource):
    """An event as its callback gets it, or would: `body` with these `headers`, signed as it was pulled."""

    id: str
    cursor: str = Field(description="Whoever has this event, and all before it, goes on from here.")
    type: EventType
    created_at: Moment
    registration_id: str
    task_id: str
    kind: str
    headers: dict[str, str]
    body: str = Field(description="The exact bytes that a callback gets, as text: what is signed.")


class EventPage(Resource):
    """In the order of their positions, none left out."""

    data: list[EventItem]
    next_cursor: str = Field(description="To be the next `after`, also where there was nothing.")


def start_of(after: str) -> Cursor | Start:
    """Raises ValueError."""
    if after == _LATEST:
        return Start.LATEST
    cursor = parse_cursor(after)
    if cursor is None:
        raise ValueError(f"must be a cursor of an earlier answer, or `{_LATEST}`")
    return cursor


def event_item(pulling: Pulling, client: str, store: int, event: StoredEvent) -> dict[str, Any]:
    return EventItem(
        id=event.event_id,
        cursor=Cursor(store=store, position=event.position).text,
        type=event.event_type,
        created_at=text(event.created_at),
        registration_id=event.registration_id,
        task_id=event.task_id,
        kind=event.kind,
        headers=dict(pulling.headers(client, event)),
        body=event.body.decode(),
    ).model_dump()
