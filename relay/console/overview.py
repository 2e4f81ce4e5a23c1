"""The first page: what needs somebody, and how much is under way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from relay.console.pages import Pages
from relay.console.sessions import Viewer
from relay.domain.lanes import OriginState
from relay.domain.registrations import RegistrationState
from relay.services.read import Reading
from relay.storage.lists import Filter

MOST_COUNTED: Final = 200
MOST_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class Count:
    """`more` where counting ended before there was an end."""

    value: int
    more: bool


class OverviewPages:
    def __init__(self, pages: Pages, reading: Reading) -> None:
        self._pages = pages
        self._reading = reading

    async def overview(self, request: Request, viewer: Viewer) -> Response:
        name = viewer.client.name
        origins = await self._reading.origins(name, "", MOST_COUNTED)
        newest = await self._reading.registrations(Filter(client=name, limit=MOST_SHOWN))
        return self._pages.live_page(
            "overview.html",
            "overview_now.html",
            request,
            viewer,
            {
                "counts": await self._counts(name),
                "held": [origin for origin in origins if origin.state is not OriginState.OPEN],
                "newest": newest,
            },
        )

    async def _counts(self, client: str) -> Mapping[str, Count]:
        counts = {}
        for state in RegistrationState:
            found = await self._reading.registrations(
                Filter(client=client, state=state, limit=MOST_COUNTED + 1)
            )
            counts[state.value] = Count(min(len(found), MOST_COUNTED), len(found) > MOST_COUNTED)
        return counts
