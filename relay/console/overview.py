"""The first page: what needs somebody, how much is under way, and how it went."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from relay.console.charts import drawings
from relay.console.pages import LIVE, Live, Pages, Place
from relay.console.sessions import Viewer
from relay.domain.chain import spoken
from relay.domain.instants import SECOND
from relay.domain.lanes import OriginState
from relay.domain.rollups import ChartSpan
from relay.domain.survey import Backlog, KeyState
from relay.services.read import Reading
from relay.services.survey import Surveying
from relay.storage.lists import Filter

MOST_ORIGINS: Final = 200
MOST_SHOWN: Final = 8
LATE: Final = 10 * SECOND
"""What has been due for less is no news: a tick of the relay's comes once a second."""
_SPANS: Final[Mapping[str, str]] = MappingProxyType({ChartSpan.HOUR: "Last hour", ChartSpan.DAY: "Last day"})
_CHARTS_AGAIN: Final = "relay-tick from:body throttle:10s"
"""As often as there are new counts."""


class OverviewPages:
    """Of the viewer's client, or of all together to an operator who has not chosen one."""

    def __init__(self, pages: Pages, reading: Reading, surveying: Surveying) -> None:
        self._pages = pages
        self._reading = reading
        self._surveying = surveying

    async def overview(self, request: Request, viewer: Viewer) -> Response:
        now = await self._now(viewer)
        if LIVE in request.headers:
            return self._pages.again(now, request, viewer)
        content = {
            "live": now,
            "charts": await self._charts(request, viewer),
            "newest": None if _all(viewer) else await self._newest(viewer),
            "all": _all(viewer),
        }
        return self._pages.page("overview.html", viewer, content)

    async def charts(self, request: Request, viewer: Viewer) -> Response:
        return self._pages.again(await self._charts(request, viewer), request, viewer)

    async def newest(self, request: Request, viewer: Viewer) -> Response:
        return self._pages.again(await self._newest(viewer), request, viewer)

    async def _now(self, viewer: Viewer) -> Live:
        survey = await self._surveying.survey(_names(viewer))
        origins = () if _all(viewer) else await self._reading.origins(viewer.client.name, "", MOST_ORIGINS)
        content = {
            "survey": survey,
            "all": _all(viewer),
            "late": {"tasks": _late(survey.tasks), "deliveries": _late(survey.deliveries)},
            "keys": [key for key in survey.keys if key.state is not KeyState.WELL],
            "origins": [origin for origin in origins if origin.state is not OriginState.OPEN],
        }
        return self._pages.live("overview_now.html", Place(viewer=viewer)(), viewer, content)

    async def _charts(self, request: Request, viewer: Viewer) -> Live:
        asked = request.query_params.get("span", "")
        span = ChartSpan(asked) if asked in _SPANS else ChartSpan.HOUR
        charts = await self._surveying.charts(_names(viewer), span)
        content = {"drawings": drawings(charts), "span": span, "spans": _SPANS}
        path = Place(viewer=viewer)("/charts", span=span)
        live = self._pages.live("overview_charts.html", path, viewer, content)
        return replace(live, id="charts", trigger=_CHARTS_AGAIN)

    async def _newest(self, viewer: Viewer) -> Live:
        newest = await self._reading.registrations(Filter(client=viewer.client.name, limit=MOST_SHOWN))
        content = {"newest": newest.found}
        path = Place(viewer=viewer)("/newest")
        return replace(self._pages.live("overview_newest.html", path, viewer, content), id="newest-live")


def _all(viewer: Viewer) -> bool:
    return viewer.operator and not viewer.chosen and len(viewer.names) > 1


def _names(viewer: Viewer) -> tuple[str, ...]:
    return viewer.names if _all(viewer) else (viewer.client.name,)


def _late(backlog: Backlog) -> str | None:
    """In words, where it is worth any."""
    return spoken(backlog.late) if backlog.late >= LATE else None
