"""The page `/ui/dead` and the replays that begin there."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from relay.api.replay_schemas import ReplayFilterRequest
from relay.api.replays import replay_filter, wanted_replay
from relay.api.requests import parse
from relay.console.doors import see_other
from relay.console.forms import read_form
from relay.console.pages import Pages, Place
from relay.console.sessions import Viewer
from relay.domain.errors import FieldError, InvalidInput
from relay.domain.kinds import KINDS
from relay.domain.replays import ReplayChange, ReplayFilter, allows
from relay.services.replay import ReplayControl
from relay.services.survey import MOST_DEAD_READ, Surveying

MOST_REPLAYS: Final = 10

_FILTER: Final = ("state", "kind", "origin", "since", "until")


class DeadPages:
    def __init__(self, pages: Pages, surveying: Surveying, control: ReplayControl) -> None:
        self._pages = pages
        self._surveying = surveying
        self._control = control

    async def list(self, request: Request, viewer: Viewer) -> Response:
        name = viewer.client.name
        groups = await self._surveying.dead_groups(name)
        replays = await self._control.list(name, None, MOST_REPLAYS + 1)
        return self._pages.live_page(
            "dead.html",
            "dead_found.html",
            request,
            viewer,
            {
                "groups": groups,
                "more": any(group.more for group in groups),
                "most": MOST_DEAD_READ,
                "replays": replays[:MOST_REPLAYS],
                "more_replays": len(replays) > MOST_REPLAYS,
            },
        )

    async def ask(self, request: Request, viewer: Viewer) -> Response:
        """What a replay would find, before it begins."""
        given = {name: request.query_params.get(name, "").strip() for name in _FILTER}
        if "count" not in request.query_params:
            return self._asking(viewer, given)
        try:
            matching = await self._control.count(viewer.client.name, _wanted(given))
        except InvalidInput as refusal:
            return self._asking(viewer, given, errors=refusal.errors)
        return self._asking(viewer, given, matching=matching)

    async def begin(self, request: Request, viewer: Viewer) -> Response:
        form = await read_form(request)
        given = {name: form.get(name, "").strip() for name in _FILTER}
        try:
            replay = await self._control.begin(viewer.client.name, _wanted(given))
        except InvalidInput as refusal:
            return self._asking(viewer, given, errors=refusal.errors)
        return see_other(Place(viewer=viewer)(f"/replays/{replay.id}"))

    async def replay(self, request: Request, viewer: Viewer) -> Response:
        shown = await self._control.read(viewer.client.name, wanted_replay(request))
        return self._pages.live_page(
            "replay.html",
            "replay_now.html",
            request,
            viewer,
            {
                "shown": shown,
                "replay": shown.replay,
                "may": {change.name.lower(): allows(shown.replay.state, change) for change in ReplayChange},
            },
        )

    async def pause(self, request: Request, viewer: Viewer) -> Response:
        return await self._change(request, viewer, ReplayChange.PAUSED)

    async def resume(self, request: Request, viewer: Viewer) -> Response:
        return await self._change(request, viewer, ReplayChange.RESUMED)

    async def cancel(self, request: Request, viewer: Viewer) -> Response:
        return await self._change(request, viewer, ReplayChange.CANCELLED)

    async def _change(self, request: Request, viewer: Viewer, change: ReplayChange) -> Response:
        shown = await self._control.change(viewer.client.name, wanted_replay(request), change)
        return see_other(Place(viewer=viewer)(f"/replays/{shown.replay.id}"))

    def _asking(
        self,
        viewer: Viewer,
        given: dict[str, str],
        *,
        matching: int | None = None,
        errors: tuple[FieldError, ...] = (),
    ) -> Response:
        return self._pages.page(
            "replay_asked.html",
            viewer,
            {"given": given, "matching": matching, "errors": errors, "kinds": list(KINDS)},
            status=422 if errors else 200,
        )


def _wanted(given: dict[str, str]) -> ReplayFilter:
    """Raises InvalidInput."""
    return replay_filter(parse(ReplayFilterRequest, {name: value for name, value in given.items() if value}))
