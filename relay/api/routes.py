"""Every call there is: the routes and the OpenAPI document are made from one table."""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Final

import orjson
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from relay import __version__
from relay.api.events import EVENT_OPERATIONS, Events
from relay.api.health import Health
from relay.api.keys import JWKS_PATH, JsonWebKeySet, KeyPage, Keys, KeySetQuery
from relay.api.lists import ListQuery
from relay.api.openapi import Operation, document
from relay.api.origins import OriginPage, OriginQuery, Origins
from relay.api.registrations import Registrations
from relay.api.replay_schemas import ReplayCount, ReplayListQuery, ReplayPage, ReplayRequest, ReplayResource
from relay.api.replays import Replays
from relay.api.schemas import (
    AttemptPage,
    AttemptQuery,
    BatchRequest,
    BatchResource,
    ReadQuery,
    RegistrationPage,
    RegistrationRequest,
    RegistrationResource,
    TestRequest,
    TestResource,
)
from relay.api.timelines import TimelineResource
from relay.api.tracing import Traced
from relay.api.trials import Trials
from relay.tracing.tracer import Tracer

_ONE: Final = "/v1/registrations/{id}"
_REPLAY: Final = "/v1/replays/{id}"
_TRACED: Final = frozenset({"/v1/registrations", "/v1/registrations/batch"})

OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/registrations",
        id="register",
        summary="Register a task, and a callback URL unless its event is to be pulled; the same again answers 200.",
        body=RegistrationRequest,
        answers={201: RegistrationResource, 200: RegistrationResource},
        located=(200, 201),
        problems=(400, 408, 409, 413, 415, 422, 429),
    ),
    Operation(
        method="POST",
        path="/v1/registrations/batch",
        id="register_batch",
        summary="Register up to 1,000 at once; each item gets an answer of its own, in order.",
        body=BatchRequest,
        answers={200: BatchResource},
        problems=(400, 408, 413, 415, 422, 429),
    ),
    Operation(
        method="GET",
        path="/v1/registrations",
        id="list_registrations",
        summary="Your registrations, newest first.",
        query=ListQuery,
        answers={200: RegistrationPage},
        problems=(422,),
    ),
    Operation(
        method="GET",
        path=_ONE,
        id="read_registration",
        summary="One registration, with its task, its event and its delivery; at once, or when it watches no more.",
        query=ReadQuery,
        answers={200: RegistrationResource},
        problems=(404, 422, 429),
    ),
    Operation(
        method="GET",
        path=_ONE + "/attempts",
        id="list_attempts",
        summary="The tries to deliver its notification, oldest first; of earlier rounds the newest are kept.",
        query=AttemptQuery,
        answers={200: AttemptPage},
        problems=(404, 422),
    ),
    Operation(
        method="GET",
        path=_ONE + "/timeline",
        id="read_timeline",
        summary="Why it is where it is and what comes next, step by step.",
        answers={200: TimelineResource},
        problems=(404,),
    ),
    Operation(
        method="POST",
        path=_ONE + "/cancel",
        id="cancel",
        summary="Take it back; may be repeated. An attempt in flight may still arrive.",
        answers={200: RegistrationResource},
        problems=(404, 409),
    ),
    Operation(
        method="POST",
        path=_ONE + "/redeliver",
        id="redeliver",
        summary="Send the same event again, over a new round of the full schedule.",
        answers={202: RegistrationResource},
        problems=(404, 409),
    ),
    *EVENT_OPERATIONS,
    Operation(
        method="POST",
        path="/v1/replays",
        id="replay",
        summary="Send again what a filter finds, in the background and as fast as its origins take it; or only count it.",
        body=ReplayRequest,
        answers={202: ReplayResource, 200: ReplayCount},
        located=(202,),
        problems=(400, 408, 409, 413, 415, 422, 429),
    ),
    Operation(
        method="GET",
        path="/v1/replays",
        id="list_replays",
        summary="Your replays, newest first.",
        query=ReplayListQuery,
        answers={200: ReplayPage},
        problems=(422,),
    ),
    Operation(
        method="GET",
        path=_REPLAY,
        id="read_replay",
        summary="One replay, with how far it has come and what it waits for.",
        answers={200: ReplayResource},
        problems=(404,),
        of="rpl",
    ),
    Operation(
        method="POST",
        path=_REPLAY + "/pause",
        id="pause_replay",
        summary="Send nothing more again until it is resumed; may be repeated.",
        answers={200: ReplayResource},
        problems=(404, 409),
        of="rpl",
    ),
    Operation(
        method="POST",
        path=_REPLAY + "/resume",
        id="resume_replay",
        summary="Go on where it was paused; may be repeated.",
        answers={200: ReplayResource},
        problems=(404, 409),
        of="rpl",
    ),
    Operation(
        method="POST",
        path=_REPLAY + "/cancel",
        id="cancel_replay",
        summary="End it where it is; may be repeated. What was sent again already goes on.",
        answers={200: ReplayResource},
        problems=(404, 409),
        of="rpl",
    ),
    Operation(
        method="POST",
        path="/v1/test",
        id="send_test",
        summary="Send a signed relay.test to a URL and answer with what came of it.",
        body=TestRequest,
        answers={200: TestResource},
        problems=(400, 408, 413, 415, 422),
    ),
    Operation(
        method="GET",
        path="/v1/origins",
        id="list_origins",
        summary="Your callback origins that something waits for or that are held back, by name.",
        query=OriginQuery,
        answers={200: OriginPage},
        problems=(422,),
    ),
    Operation(
        method="GET",
        path="/v1/keys",
        id="list_keys",
        summary="The public halves of your ed25519 keys, for your receivers to verify with.",
        answers={200: KeyPage},
    ),
    Operation(
        method="GET",
        path=JWKS_PATH,
        id="read_jwks",
        summary="Every ed25519 key that notifications are verified with, for whoever asks.",
        query=KeySetQuery,
        answers={200: JsonWebKeySet},
        problems=(422,),
        public=True,
    ),
)


def public_routes(
    registrations: Registrations,
    events: Events,
    origins: Origins,
    replays: Replays,
    trials: Trials,
    keys: Keys,
    *,
    tracer: Tracer,
) -> list[Route]:
    endpoints: dict[str, Callable[[Request], Awaitable[Response]]] = {
        "register": registrations.create,
        "register_batch": registrations.create_batch,
        "list_registrations": registrations.list,
        "read_registration": registrations.read,
        "list_attempts": registrations.attempts,
        "read_timeline": registrations.timeline,
        "cancel": registrations.cancel,
        "redeliver": registrations.redeliver,
        "list_events": events.list,
        "stream_events": events.stream,
        "replay": replays.create,
        "list_replays": replays.list,
        "read_replay": replays.read,
        "pause_replay": replays.pause,
        "resume_replay": replays.resume,
        "cancel_replay": replays.cancel,
        "send_test": trials.create,
        "list_origins": origins.list,
        "list_keys": keys.own,
        "read_jwks": keys.published,
    }
    by_path: dict[str, dict[str, Callable[[Request], Awaitable[Response]]]] = {}
    for operation in OPERATIONS:
        by_path.setdefault(operation.path, {})[operation.method] = endpoints[operation.id]
    routes = [
        _Path(
            path,
            _by_method(methods),
            methods=sorted(methods),
            middleware=[Middleware(Traced, tracer=tracer, path=path)] if path in _TRACED else None,
        )
        for path, methods in by_path.items()
    ]
    return [*routes, Route("/openapi.json", _openapi)]


async def _openapi(_request: Request) -> Response:
    return Response(_document(), media_type="application/json")


@cache
def _document() -> bytes:
    """Made when it is first asked for: it takes longer than the rest of a start."""
    return orjson.dumps(document(OPERATIONS, version=__version__))


class _Path(Route):
    """A wrong method is its own 405, even where a wider path further down would take it."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        return (Match.FULL if match is Match.PARTIAL else match), child


def operations_routes(health: Health) -> list[Route]:
    return [
        Route("/livez", health.live),
        Route("/readyz", health.ready),
        Route("/metrics", health.metrics),
    ]


def _by_method(
    methods: dict[str, Callable[[Request], Awaitable[Response]]],
) -> Callable[[Request], Awaitable[Response]]:
    """One path is one route, so that a wrong method gets 405 with everything that is allowed."""

    async def endpoint(request: Request) -> Response:
        return await methods["GET" if request.method == "HEAD" else request.method](request)

    return endpoint
