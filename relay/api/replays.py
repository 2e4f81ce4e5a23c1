"""The calls under `/v1/replays`."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from relay.api.replay_schemas import (
    ReplayCount,
    ReplayFilterRequest,
    ReplayFilterResource,
    ReplayListQuery,
    ReplayOriginResource,
    ReplayRequest,
    ReplayResource,
)
from relay.api.requests import MAX_BODY, Callers, parse, parse_cursor, parse_query, read_json
from relay.api.responses import answer, answer_page
from relay.domain.errors import NotFound
from relay.domain.ids import ReplayId, parse_replay_id
from relay.domain.instants import parse_rfc3339_or_none, text, text_or_none
from relay.domain.registrations import RegistrationState
from relay.domain.replays import Replay, ReplayChange, ReplayFilter, ReplayState
from relay.services.replay import ReplayControl
from relay.storage.replays import Part, ReplayView


class Replays:
    def __init__(self, callers: Callers, control: ReplayControl) -> None:
        self._callers = callers
        self._control = control

    async def create(self, request: Request) -> Response:
        client = self._callers.identify(request)
        asked = parse(ReplayRequest, await read_json(request, MAX_BODY))
        wanted = replay_filter(asked.filter)
        if asked.dry_run:
            matching = await self._control.count(client.name, wanted)
            return answer(ReplayCount(matching=matching).model_dump())
        replay = await self._control.begin(client.name, wanted)
        headers = {"location": f"/v1/replays/{replay.id}"}
        return answer(_view_resource(ReplayView(replay=replay)), 202, headers)

    async def list(self, request: Request) -> Response:
        client = self._callers.identify(request)
        query = parse_query(ReplayListQuery, request)
        before = parse_cursor(parse_replay_id, query.cursor)
        found = await self._control.list(client.name, before, query.limit + 1)
        return answer_page(found, query.limit, shown_as=_resource, cursor_of=lambda replay: replay.id)

    async def read(self, request: Request) -> Response:
        client = self._callers.identify(request)
        return answer(_view_resource(await self._control.read(client.name, wanted_replay(request))))

    async def pause(self, request: Request) -> Response:
        return await self._change(request, ReplayChange.PAUSED)

    async def resume(self, request: Request) -> Response:
        return await self._change(request, ReplayChange.RESUMED)

    async def cancel(self, request: Request) -> Response:
        return await self._change(request, ReplayChange.CANCELLED)

    async def _change(self, request: Request, change: ReplayChange) -> Response:
        client = self._callers.identify(request)
        return answer(_view_resource(await self._control.change(client.name, wanted_replay(request), change)))


def replay_filter(asked: ReplayFilterRequest) -> ReplayFilter:
    return ReplayFilter(
        state=RegistrationState(asked.state),
        kind=asked.kind,
        origin=asked.origin,
        since=parse_rfc3339_or_none(asked.since),
        until=parse_rfc3339_or_none(asked.until),
    )


def wanted_replay(request: Request) -> ReplayId:
    """Raises NotFound."""
    wanted = parse_replay_id(request.path_params["id"])
    if wanted is None:
        raise NotFound("there is no such replay")
    return wanted


def _resource(replay: Replay) -> dict[str, Any]:
    wanted = replay.wanted
    return ReplayResource(
        id=replay.id,
        state=replay.state.value,
        filter=ReplayFilterResource.model_validate(
            {
                "state": wanted.state,
                "kind": wanted.kind,
                "origin": wanted.origin,
                "since": text_or_none(wanted.since),
                "until": text_or_none(wanted.until),
            }
        ),
        created_at=text(replay.created_at),
        closed_at=text_or_none(replay.closed_at),
        matching=None if replay.counted is not None else replay.matching,
        replayed=replay.replayed,
        skipped=replay.skipped,
        origins=None,
        more_origins=None,
    ).model_dump()


def _view_resource(view: ReplayView) -> dict[str, Any]:
    running = view.replay.state is ReplayState.RUNNING
    return _resource(view.replay) | {
        "origins": [_origin(part, running=running) for part in view.parts],
        "more_origins": view.more,
    }


def _origin(part: Part, *, running: bool) -> dict[str, Any]:
    """What holds an origin up is news only while the replay runs."""
    return ReplayOriginResource(
        origin=part.origin,
        done=not part.open,
        matching=part.matching,
        replayed=part.replayed,
        held=part.hold.value if running and part.hold is not None else None,
        held_until=text_or_none(part.held_until) if running else None,
    ).model_dump()
