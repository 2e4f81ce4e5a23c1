"""CAMB's task API itself: submit, status and result routes, behind a key."""

import random
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final, Self, assert_never
from urllib.parse import parse_qsl, unquote

import orjson
from starlette.types import Receive, Scope, Send

from relay.demo.behaviours import RUN_ID, Ending, Manner, Script, error_body
from relay.demo.results import (
    ALT_FORMAT,
    BULK_RESULTS,
    FILES,
    IN_A_LIST,
    RESULTS,
    RUN,
    RUN_AND_LANGUAGE,
    SUBMITS,
    Form,
    Result,
    Run,
    rendered,
)
from relay.demo.tasks import SimulatedTask, SimulatedTasks
from relay.demo.wire import Sleep, drip, header, read, respond, until_gone
from relay.domain.instants import Instant
from relay.domain.kinds import KINDS

BASE_PATH: Final = "/apis"

_STATUS_ROUTES: Final = frozenset(kind.status for kind in KINDS.values())
_LARGEST_BODY: Final = 64 * 1024 * 1024
_AS_URLS: Final = {"output_type": "file_url"}


class Refused(Exception):
    """The caller's fault, with the body that says so."""

    def __init__(self, http_status: HTTPStatus, body: bytes) -> None:
        super().__init__(http_status)
        self.http_status = http_status
        self.body = body

    @classmethod
    def because(cls, http_status: HTTPStatus, message: str) -> Self:
        return cls(http_status, error_body(http_status, message))

    @classmethod
    def invalid(cls, place: str, message: str) -> Self:
        """A 422 in FastAPI's shape."""
        detail = {"loc": [place], "msg": message, "type": "value_error"}
        return cls(HTTPStatus.UNPROCESSABLE_ENTITY, orjson.dumps({"detail": [detail]}))


class SimulatedCamb:
    """A plain ASGI application, for benchmarks poll it; what it has seen is open to look at."""

    def __init__(
        self,
        *,
        now: Callable[[], Instant],
        sleep: Sleep,
        rng: random.Random,
        submitted: Script,
        tasks: SimulatedTasks,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._rng = rng
        self._submitted = submitted
        self.tasks = tasks
        self.accepted_keys: frozenset[str] | None = None
        """None accepts any key, but not the lack of one."""
        self.forbidden_keys: frozenset[str] = frozenset()
        self.requests: Counter[str] = Counter()
        """By route; those with a refused key are only in `answers`."""
        self.answers: Counter[int] = Counter()
        """By HTTP status."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["raw_path"].decode("latin-1").removeprefix(BASE_PATH)
        segments = [unquote(segment) for segment in path.removeprefix("/").split("/")]
        try:
            self._admit(header(scope, b"x-api-key"))
            if scope["method"] == "GET" and (route := "/".join(segments[:-1])) in _STATUS_ROUTES:
                await self._status(route, segments[-1], receive, send)
                return
            body, content_type = rendered(await self._answer(scope, segments, receive))
        except Refused as refused:
            self.answers[refused.http_status] += 1
            await respond(send, refused.http_status, refused.body)
        else:
            self.answers[HTTPStatus.OK] += 1
            await respond(send, HTTPStatus.OK, body, ((b"content-type", content_type),))

    def _admit(self, key: str | None) -> None:
        if not key or (self.accepted_keys is not None and key not in self.accepted_keys):
            raise Refused.because(HTTPStatus.UNAUTHORIZED, "Invalid API key")
        if key in self.forbidden_keys:
            raise Refused.because(HTTPStatus.FORBIDDEN, "This API key lacks permission")

    async def _status(self, route: str, task_id: str, receive: Receive, send: Send) -> None:
        self.requests[f"GET /{route}/{{task_id}}"] += 1
        now = self._now()
        task = self.tasks.seen(route, task_id, now)
        answer = task.poll(now)
        self.answers[answer.http_status] += 1
        body = b" " * answer.padding + answer.body.replace(RUN_ID, str(task.run_id).encode())
        match answer.manner:
            case Manner.AT_ONCE:
                await respond(send, answer.http_status, body, answer.headers)
            case Manner.DRIP:
                await drip(send, answer.http_status, body, answer.headers, sleep=self._sleep)
            case Manner.HANG:
                await until_gone(receive)
            case _:
                assert_never(answer.manner)

    async def _answer(self, scope: Scope, segments: list[str], receive: Receive) -> Result:
        match scope["method"], segments:
            case "GET", [name, run_id] if name + RUN in RESULTS:
                return self._result(scope, name + RUN, run_id)
            case "GET", [name, run_id, language] if name + RUN_AND_LANGUAGE in RESULTS:
                return self._result(scope, name + RUN_AND_LANGUAGE, run_id, language)
            case "POST", [name] if name in BULK_RESULTS:
                return await self._results(scope, name, receive)
            case "POST", [name] if name in SUBMITS:
                return await self._submit(scope, name, receive)
            case "POST", [name, run_id] if name + RUN in SUBMITS:
                self._finished(run_id, frozenset({"story"}))
                return await self._submit(scope, name + RUN, receive)
            case "POST", [name, run_id, language] if name == ALT_FORMAT:
                return await self._alt_format(scope, run_id, language, receive)
            case _:
                self.requests["unknown"] += 1
                raise Refused(HTTPStatus.NOT_FOUND, b'{"detail":"Not Found"}')

    async def _submit(self, scope: Scope, route: str, receive: Receive) -> Result:
        self.requests[f"POST /{route}"] += 1
        form, status_route = SUBMITS[route]
        await _body(scope, form, receive)
        return {"task_id": self._new_task(status_route).task_id}

    async def _alt_format(self, scope: Scope, run_id: str, language: str, receive: Receive) -> Result:
        """The first POST submits; one after that task's end is answered with the file."""
        self.requests[f"POST /{ALT_FORMAT}{RUN_AND_LANGUAGE}"] += 1
        await _body(scope, Form.JSON, receive)
        dub = self._finished(run_id, RESULTS["dub-result" + RUN].statuses)
        task = dub.alt_formats.get(language)
        if task is None:
            task = dub.alt_formats[language] = self._new_task(ALT_FORMAT)
        if task.ending is Ending.SUCCEEDED:
            return {"output_url": _run(scope, task).url("dubbed.wav")}
        return {"task_id": task.task_id}

    def _new_task(self, route: str) -> SimulatedTask:
        task_id = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        return self.tasks.add(route, task_id, self._submitted, self._now())

    def _result(self, scope: Scope, route: str, run_id: str, language: str | None = None) -> Result:
        self.requests[f"GET /{route}"] += 1
        task = self._finished(run_id, RESULTS[route].statuses)
        return RESULTS[route].result(_run(scope, task, language=language))

    async def _results(self, scope: Scope, route: str, receive: Receive) -> Result:
        self.requests[f"POST /{route}"] += 1
        single = RESULTS[BULK_RESULTS[route]]
        tasks = [self._finished(str(each), single.statuses) for each in await _run_ids(scope, receive)]
        results = {str(task.run_id): single.result(_run(scope, task, query=_AS_URLS)) for task in tasks}
        return [*results.values()] if route in IN_A_LIST else results

    def _finished(self, run_id: str, routes: frozenset[str]) -> SimulatedTask:
        """The task of that run; raises Refused where there is none, it came from elsewhere, or it has no result."""
        if not run_id.isdecimal():
            raise Refused.invalid("run_id", "run_id is an integer")
        task = self.tasks.run(int(run_id))
        if task is None:
            raise Refused.because(HTTPStatus.NOT_FOUND, f"Run {run_id} not found")
        if task.route not in routes:
            raise Refused.because(HTTPStatus.BAD_REQUEST, f"Run {run_id} is of another type")
        if task.ending is not Ending.SUCCEEDED:
            raise Refused.because(HTTPStatus.NOT_FOUND, f"Run {run_id} has no result")
        return task


async def _body(scope: Scope, form: Form, receive: Receive) -> bytes:
    """Read to its end, whatever it says; a form is not looked into."""
    body = await read(receive, _LARGEST_BODY)
    if body is None:
        raise Refused.because(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Request body too large")
    if form is Form.MULTIPART and not (header(scope, b"content-type") or "").startswith(
        "multipart/form-data"
    ):
        raise Refused.invalid("body", "a multipart form is expected")
    if form is Form.JSON and not isinstance(_parsed(body), dict):
        raise Refused.invalid("body", "a JSON object is expected")
    return body


def _parsed(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused.invalid("body", f"not JSON: {error}") from error


async def _run_ids(scope: Scope, receive: Receive) -> list[int]:
    wanted = orjson.loads(await _body(scope, Form.JSON, receive)).get("run_ids")
    if not isinstance(wanted, list) or not all(isinstance(each, int) for each in wanted):
        raise Refused.invalid("run_ids", "run_ids is a list of integers")
    return wanted


def _run(
    scope: Scope, task: SimulatedTask, *, language: str | None = None, query: Mapping[str, str] | None = None
) -> Run:
    origin = f"{scope['scheme']}://{header(scope, b'host')}"
    asked = dict(parse_qsl(scope["query_string"].decode("latin-1"))) if query is None else query
    return Run(run_id=task.run_id, files=origin + FILES, query=asked, language=language or "en-us")
