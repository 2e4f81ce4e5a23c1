"""The call `/v1/origins`."""

import orjson
from starlette.requests import Request
from starlette.responses import Response

from relay.api.requests import Callers, parse_query
from relay.api.schemas import OriginPage, OriginQuery, OriginResource
from relay.domain.instants import Instant, text
from relay.services.read import Reading
from relay.storage.origins import OriginView


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
        shown = found[: query.limit]
        page = OriginPage(
            data=[self._resource(view) for view in shown],
            next_cursor=shown[-1].origin if len(found) > len(shown) else None,
        )
        return Response(orjson.dumps(page.model_dump()), media_type="application/json")

    def _resource(self, view: OriginView) -> OriginResource:
        lane = view.lane
        return OriginResource(
            origin=view.origin,
            state=view.state,
            cause=None if lane.cause is None else lane.cause.value,
            slots=self._slots if lane.slots is None else min(lane.slots, self._slots),
            paused_until=_moment(view.paused_until),
            failing_since=_moment(lane.failing_since),
            pauses=lane.failures,
            waiting=view.waiting,
            next_attempt_at=_moment(view.next_at),
        )


def _moment(instant: Instant | None) -> str | None:
    return None if instant is None else text(instant)
