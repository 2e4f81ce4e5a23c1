"""The calls under `/v1/replays`."""

from typing import Any

import orjson
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
from relay.api.requests import MAX_BODY, Callers, parse, parse_query, read_json
from relay.domain.errors import FieldError, InvalidInput, NotFound
from relay.domain.ids import ReplayId, parse_replay_id
from relay.domain.instants import Instant, parse_rfc3339, text
from relay.domain.registrations import RegistrationState
from relay.domain.replays import Replay, ReplayChange, ReplayFilter, ReplayState
from relay.services.replay import Replays
from relay.storage.replays import Part, ReplayView


class ReplayCalls:
    def __init__(self, callers: Callers, replays: Replays) -> None:
        self._callers = callers
        self._replays = replays

    async def create(self, request: Request) -> Response:
        client = self._callers.identify(request)
        asked = parse(ReplayRequest, await read_json(request, MAX_BODY))
        wanted = _filter(asked.filter)
        if asked.dry_run:
            matching = await self._replays.count(client.name, wanted)
            return _json(ReplayCount(matching=matching).model_dump())
        replay = await self._replays.begin(client.name, wanted)
        headers = {"location": f"/v1/replays/{replay.id}"}
        return _json(_view_resource(ReplayView(replay=replay)), 202, headers)

    async def list(self, request: Request) -> Response:
        client = self._callers.identify(request)
        query = parse_query(ReplayListQuery, request)
        page = await self._replays.list(client.name, _cursor(query.cursor), query.limit + 1)
        shown = page[: query.limit]
        cursor = shown[-1].id if len(page) > len(shown) else None
        return _json({"data": [_resource(replay) for replay in shown], "next_cursor": cursor})

    async def read(self, request: Request) -> Response:
        client = self._callers.identify(request)
        return _json(_view_resource(await self._replays.read(client.name, _wanted(request))))

    async def pause(self, request: Request) -> Response:
        return await self._change(request, ReplayChange.PAUSED)

    async def resume(self, request: Request) -> Response:
        return await self._change(request, ReplayChange.RESUMED)

    async def cancel(self, request: Request) -> Response:
        return await self._change(request, ReplayChange.CANCELLED)

    async def _change(self, request: Request, change: ReplayChange) -> Response:
        client = self._callers.identify(request)
        return _json(_view_resource(await self._replays.change(client.name, _wanted(request), change)))


def _filter(asked: ReplayFilterRequest) -> ReplayFilter:
    return ReplayFilter(
        state=RegistrationState(asked.state),
        kind=asked.kind,
        origin=asked.origin,
        since=None if asked.since is None else parse_rfc3339(asked.since),
        until=None if asked.until is None else parse_rfc3339(asked.until),
    )


def _wanted(request: Request) -> ReplayId:
    wanted = parse_replay_id(request.path_params["id"])
    if wanted is None:
        raise NotFound("there is no such replay")
    return wanted


def _cursor(cursor: str | None) -> ReplayId | None:
    if cursor is None:
        return None
    before = parse_replay_id(cursor)
    if before is None:
        raise InvalidInput(FieldError(field="cursor", rule="must be the next_cursor of an earlier answer"))
    return before


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
                "since": _moment(wanted.since),
                "until": _moment(wanted.until),
            }
        ),
        created_at=text(replay.created_at),
        closed_at=_moment(replay.closed_at),
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
        held_until=_moment(part.held_until) if running else None,
    ).model_dump()


def _moment(instant: Instant | None) -> str | None:
    return None if instant is None else text(instant)


def _json(content: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, media_type="application/json")
