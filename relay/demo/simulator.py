"""CAMB's task API, simulated: it takes work, and every task ends as its id says."""

import argparse
import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from typing import Final, NoReturn, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from relay.clock import system_clock
from relay.demo.behaviours import BEHAVIOURS, GRAMMAR, REDIRECTED, SUCCESS, Script, script_of
from relay.demo.camb import BASE_PATH, SimulatedCamb
from relay.demo.media import empty_flac, silent_wav
from relay.demo.results import FILES
from relay.demo.scripting import KeysSpec, TaskSpec
from relay.demo.serve import serve
from relay.demo.tasks import SimulatedTasks
from relay.demo.wire import Sleep, whole_number
from relay.domain.instants import Instant

CAPACITY: Final = 200_000
_SHOWN: Final = 100

_Spec = TypeVar("_Spec", bound=BaseModel)


def create_simulator(
    *,
    now: Callable[[], Instant],
    rng: random.Random,
    sleep: Sleep = asyncio.sleep,
    submitted: Script = SUCCESS,
    accepted_keys: Collection[str] | None = None,
    forbidden_keys: Collection[str] = (),
    capacity: int = CAPACITY,
) -> Starlette:
    """CAMB's routes under `/apis`, what they saw under `/_simulator`; the SimulatedCamb itself is `app.state.camb`.

    `submitted` is how submitted tasks behave; `accepted_keys` None takes any key; past `capacity` tasks, the least
    recently polled is forgotten.
    """
    camb = SimulatedCamb(now=now, sleep=sleep, rng=rng, submitted=submitted, tasks=SimulatedTasks(capacity))
    camb.accepted_keys = None if accepted_keys is None else frozenset(accepted_keys)
    camb.forbidden_keys = frozenset(forbidden_keys)
    backstage = Backstage(camb, now)
    app = Starlette(
        routes=[
            Mount(BASE_PATH, camb),
            Route("/_simulator/state", backstage.state),
            Route("/_simulator/tasks", backstage.script_task, methods=["POST"]),
            Route("/_simulator/keys", backstage.set_keys, methods=["POST"]),
            Route(FILES + "/{name}", backstage.file),
            Route(REDIRECTED, backstage.redirected),
        ]
    )
    app.state.camb = camb
    return app


class Backstage:
    """What the simulator shows and lets be changed; none of it exists at CAMB, and none needs a key."""

    def __init__(self, camb: SimulatedCamb, now: Callable[[], Instant]) -> None:
        self._camb = camb
        self._now = now
        self._redirected = 0

    async def state(self, request: Request) -> Response:
        """Counts, and the tasks named by `task_id`, else the `limit` most recently polled."""
        named = request.query_params.getlist("task_id")
        limit = whole_number(request, "limit", _SHOWN)
        tasks = self._camb.tasks
        shown = [task for each in named for task in tasks.find(each)] if named else tasks.latest(limit)
        return _json(
            {
                "now": self._now(),
                "requests": self._camb.requests,
                "answers": {str(status): count for status, count in self._camb.answers.items()},
                "redirects_followed": self._redirected,
                "tasks_seen": len(tasks),
                "tasks": [task.snapshot() for task in shown],
            }
        )

    async def script_task(self, request: Request) -> Response:
        spec = await _parsed(TaskSpec, request)
        if isinstance(spec, Response):
            return spec
        return _json(self._camb.tasks.add(spec.route, spec.task_id, spec.plan(), self._now()).snapshot(), 201)

    async def set_keys(self, request: Request) -> Response:
        spec = await _parsed(KeysSpec, request)
        if isinstance(spec, Response):
            return spec
        self._camb.accepted_keys = spec.accepted
        self._camb.forbidden_keys = spec.forbidden
        return Response(status_code=204)

    async def file(self, request: Request) -> Response:
        if request.path_params["name"].endswith(".flac"):
            return Response(empty_flac(), media_type="audio/flac")
        return Response(silent_wav(), media_type="audio/wav")

    async def redirected(self, _: Request) -> Response:
        self._redirected += 1
        return _json({"status": "SUCCESS", "message": "You followed a redirect with a key in your hand."})


async def _parsed(kind: type[_Spec], request: Request) -> _Spec | Response:
    try:
        return kind.model_validate_json(await request.body())
    except ValidationError as error:
        return Response(error.json(include_url=False), 422, media_type="application/json")


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


def behaviour_table() -> str:
    """The behaviours with a sentence each, as they stand in help texts."""
    width = max(map(len, BEHAVIOURS))
    return "\n".join(f"{name:{width}}  {each.sentence}" for name, each in BEHAVIOURS.items())


def run_simulator(
    *,
    host: str,
    port: int,
    submitted: Script,
    accepted_keys: Collection[str] | None,
    forbidden_keys: Collection[str],
) -> NoReturn:
    app = create_simulator(
        now=system_clock().wall,
        rng=random.SystemRandom(),
        submitted=submitted,
        accepted_keys=accepted_keys,
        forbidden_keys=forbidden_keys,
    )
    serve(app, host=host, port=port)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    parser = argparse.ArgumentParser(
        prog="python -m relay.demo.simulator",
        description=f"CAMB's task API on a port. A task id reads {GRAMMAR}.",
        epilog=behaviour_table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key", action="append", help="an accepted key; any, if none is given")
    parser.add_argument("--forbidden-key", action="append", default=[], help="a key that is answered 403")
    parser.add_argument(
        "--submitted", default="success", help="how submitted tasks behave, as a task id would say it"
    )
    given = parser.parse_args(arguments)
    submitted = script_of(given.submitted)
    if submitted is None:
        parser.error(f"--submitted reads {GRAMMAR}")
    run_simulator(
        host=given.host,
        port=given.port,
        submitted=submitted,
        accepted_keys=given.key,
        forbidden_keys=given.forbidden_key,
    )


if __name__ == "__main__":
    main()
