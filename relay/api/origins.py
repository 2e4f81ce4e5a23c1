"""The call `/v1/origins`."""

from typing import Annotated

from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from relay.api.fields import Moment
from relay.api.requests import Callers, parse_query
from relay.api.responses import answer_page
from relay.api.schemas import PageQuery, Resource
from relay.domain.instants import text_or_none
from relay.domain.lanes import Cause, OriginState
from relay.services.read import Reading
from relay.storage.origins import OriginView

OriginCursor = Annotated[
    str, StringConstraints(pattern=r"^https?://[!-~]{1,2040}$"), Field(json_schema_extra={"format": "uri"})
]


class OriginQuery(PageQuery):
    cursor: OriginCursor | None = Field(None, description="`next_cursor` of the page before.")


class OriginResource(Resource):
    """A callback origin as the relay fares with it, for your deliveries alone."""

    origin: str
    state: OriginState = Field(
        description="`slowed`: fewer slots than usual; `paused`: none; `probing`: one attempt finds out whether it is back."
    )
    cause: Cause | None
    slots: int = Field(
        description="How many attempts each replica may have under way; 0 until a probe succeeds."
    )
    paused_until: Moment | None = Field(
        description="No attempt is made before; null where nothing holds the origin."
    )
    failing_since: Moment | None
    pauses: int = Field(
        description="In a row, of those nobody asked for: each is twice as long as the one before."
    )
    waiting: int = Field(description="Deliveries still open, counted up to 10,000.")
    next_attempt_at: Moment | None = Field(description="When the first of them is due.")


class OriginPage(Resource):
    data: list[OriginResource]
    next_cursor: str | None


class Origins:
    """`slots` are what an origin has while all is well."""

    def __init__(self, callers: Callers, reading: Reading, *, slots: int) -> None:
        self._callers = callers
        self._reading = reading
        self._slots = slots

    async def list(self, request: Request) -> Response:
        client = self._callers.identify(request)
        query = parse_query(OriginQuery, request)
        found = await self._reading.origins(client.name, query.cursor or "", query.limit + 1)
        return answer_page(
            found,
            query.limit,
            shown_as=lambda view: self._resource(view).model_dump(),
            cursor_of=lambda view: view.origin,
        )

    def _resource(self, view: OriginView) -> OriginResource:
        lane = view.lane
        return OriginResource(
            origin=view.origin,
            state=view.state,
            cause=lane.cause,
            slots=self._slots if lane.slots is None else min(lane.slots, self._slots),
            paused_until=text_or_none(view.paused_until),
            failing_since=text_or_none(lane.failing_since),
            pauses=lane.failures,
            waiting=view.waiting,
            next_attempt_at=text_or_none(view.next_at),
        )
