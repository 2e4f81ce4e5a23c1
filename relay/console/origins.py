"""The page `/ui/origins`: who is waited for, why, and until when."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from relay.api.origins import OriginQuery
from relay.api.requests import parse
from relay.console.pages import Pages
from relay.console.sessions import Viewer
from relay.domain.lanes import Cause
from relay.services.read import Reading
from relay.storage.origins import MOST_COUNTED

PAGE: Final = 50

CAUSES: Final = {
    Cause.RETRY_AFTER: "It asked with Retry-After to be left alone.",
    Cause.TOO_MANY_REQUESTS: "It answered 429, too many requests.",
    Cause.FAILING: "Attempts fail: timeouts, refused connections or 5xx.",
    Cause.PROBING: "One attempt is finding out whether it is back.",
    Cause.RECOVERING: "It answers again: each success adds a slot.",
}


class OriginPages:
    """`slots` are what an origin has while all is well."""

    def __init__(self, pages: Pages, reading: Reading, *, slots: int) -> None:
        self._pages = pages
        self._reading = reading
        self._slots = slots

    async def list(self, request: Request, viewer: Viewer) -> Response:
        given = {name: request.query_params[name] for name in ("cursor",) if name in request.query_params}
        after = parse(OriginQuery, given).cursor or ""
        found = await self._reading.origins(viewer.client.name, after, PAGE + 1)
        latencies = await self._reading.latencies(viewer.client.name, [view.origin for view in found[:PAGE]])
        return self._pages.live_page(
            "origins.html",
            "origins_found.html",
            request,
            viewer,
            {
                "found": found[:PAGE],
                "after": found[PAGE - 1].origin if len(found) > PAGE else None,
                "latencies": latencies,
                "paged": bool(after),
                "slots": self._slots,
                "causes": CAUSES,
                "most": MOST_COUNTED,
            },
        )
