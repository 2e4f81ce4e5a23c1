"""The calls under `/v1/registrations`."""

from collections import Counter
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from relay.api.lists import ListQuery
from relay.api.problems import problem_of
from relay.api.requests import MAX_BATCH_BODY, MAX_BODY, Callers, parse, parse_query, read_json, unless_left
from relay.api.resources import attempt_resource, registration_resource
from relay.api.responses import answer, answer_page
from relay.api.schemas import AttemptQuery, BatchRequest, ReadQuery, RegistrationRequest
from relay.api.timelines import timeline_resource
from relay.api.tracing import trace_of
from relay.domain.clients import Client
from relay.domain.errors import FieldError, InvalidInput, NotFound, RequestRefused, TooMany
from relay.domain.ids import RegistrationId, parse_registration_id
from relay.domain.urls import CallbackUrl, UnusableUrl, parse_callback_url
from relay.services.read import Reading
from relay.services.register import Answer, Registering, Wish

MAX_BATCHES: Final = 8
"""Batches of one client under way at once."""


class Registrations:
    def __init__(self, callers: Callers, registering: Registering, reading: Reading) -> None:
        self._callers = callers
        self._registering = registering
        self._reading = reading
        self._batches: Counter[str] = Counter()

    async def create(self, request: Request) -> Response:
        client = self._callers.identify(request)
        wish = wish_of(parse(RegistrationRequest, await read_json(request, MAX_BODY)), client)
        trace = trace_of(request.scope)
        stands = await self._registering.register(client, wish, trace.context)
        trace.attributes |= {
            "relay.client": client.name,
            "relay.registration.id": stands.view.registration.id,
        }
        headers = {"location": f"/v1/registrations/{stands.view.registration.id}"}
        return answer(registration_resource(stands.view), 201 if stands.created else 200, headers)

    async def create_batch(self, request: Request) -> Response:
        client = self._callers.identify(request)
        if self._batches[client.name] == MAX_BATCHES:
            raise TooMany(f"{MAX_BATCHES} batches of this client are under way", retry_after=1)
        self._batches[client.name] += 1
        try:
            return await self._create_batch(client, request)
        finally:
            self._batches[client.name] -= 1

    async def _create_batch(self, client: Client, request: Request) -> Response:
        wishes = _wishes(await read_json(request, MAX_BATCH_BODY), client)
        good = [wish for wish in wishes if isinstance(wish, Wish)]
        trace = trace_of(request.scope)
        answers = iter(await self._registering.register_all(client, good, trace.context) if good else ())
        trace.attributes |= {"relay.client": client.name, "relay.registrations": len(wishes)}
        results = [next(answers) if isinstance(wish, Wish) else wish for wish in wishes]
        return answer({"data": [_item(result, request.scope["request_id"]) for result in results]})

    async def list(self, request: Request) -> Response:
        client = self._callers.identify(request)
        query = parse_query(ListQuery, request)
        page = await self._reading.registrations(query.filter(client.name))
        return answer(
            {"data": [registration_resource(view) for view in page.found], "next_cursor": page.older}
        )

    async def read(self, request: Request) -> Response:
        client = self._callers.identify(request)
        query = parse_query(ReadQuery, request)
        read = self._read(client.name, wanted_registration(request), query.wait)
        return await (unless_left(request, read) if query.wait else read)

    async def _read(self, client: str, wanted: RegistrationId, wait: int) -> Response:
        return answer(registration_resource(await self._reading.registration(client, wanted, wait=wait)))

    async def attempts(self, request: Request) -> Response:
        client = self._callers.identify(request)
        query = parse_query(AttemptQuery, request)
        after, limit = int(query.cursor or 0), query.limit
        found = await self._reading.attempts(
            client.name, wanted_registration(request), after=after, limit=limit + 1
        )
        return answer_page(
            found,
            limit,
            shown_as=lambda view: attempt_resource(view).model_dump(),
            cursor_of=lambda view: str(view.fence),
        )

    async def timeline(self, request: Request) -> Response:
        client = self._callers.identify(request)
        return answer(timeline_resource(await self._reading.timeline(client, wanted_registration(request))))

    async def cancel(self, request: Request) -> Response:
        client = self._callers.identify(request)
        return answer(
            registration_resource(await self._registering.cancel(client.name, wanted_registration(request)))
        )

    async def redeliver(self, request: Request) -> Response:
        client = self._callers.identify(request)
        view = await self._registering.redeliver(client.name, wanted_registration(request))
        return answer(registration_resource(view), 202)


def callback_url(text: str) -> CallbackUrl:
    """Raises InvalidInput."""
    try:
        return parse_callback_url(text)
    except UnusableUrl as error:
        raise InvalidInput(FieldError(field="callback_url", rule=str(error))) from None


def wish_of(asked: RegistrationRequest, client: Client) -> Wish:
    """Raises InvalidInput."""
    return Wish(
        task_id=asked.task_id,
        kind=asked.kind or client.default_kind,
        callback_url=None if asked.callback_url is None else callback_url(asked.callback_url),
        metadata=orjson.dumps(asked.metadata, option=orjson.OPT_SORT_KEYS),
        expires_in=asked.expires_in,
        format=asked.format,
    )


def _wishes(body: object, client: Client) -> list[Wish | InvalidInput]:
    """Apart, so that what was parsed, which may be large, is gone by the time these are stored."""
    return [_wish_or_refusal(item, client) for item in parse(BatchRequest, body).registrations]


def _wish_or_refusal(item: object, client: Client) -> Wish | InvalidInput:
    try:
        return wish_of(parse(RegistrationRequest, item), client)
    except InvalidInput as refusal:
        return refusal


def _item(result: Answer | RequestRefused, request_id: str) -> dict[str, Any]:
    if isinstance(result, Answer):
        return {
            "http_status": 201 if result.created else 200,
            "registration": registration_resource(result.view),
        }
    document, _ = problem_of(result, request_id)
    return {"http_status": document["status"], "problem": document}


def wanted_registration(request: Request) -> RegistrationId:
    """Raises NotFound."""
    wanted = parse_registration_id(request.path_params["id"])
    if wanted is None:
        raise NotFound("there is no such registration")
    return wanted
