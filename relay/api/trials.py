"""The call `/v1/test`."""

from starlette.requests import Request
from starlette.responses import Response

from relay.api.registrations import callback_url
from relay.api.requests import MAX_BODY, Callers, parse, read_json
from relay.api.resources import test_attempt_resource
from relay.api.responses import answer
from relay.api.schemas import TestRequest, TestResource
from relay.domain.clients import Client
from relay.domain.errors import FieldError, InvalidInput
from relay.services.deliver import Delivering, Tested
from relay.webhook.guard import Guard


class Trials:
    def __init__(self, callers: Callers, delivering: Delivering, guard: Guard) -> None:
        self._callers = callers
        self._delivering = delivering
        self._guard = guard

    async def create(self, request: Request) -> Response:
        client = self._callers.identify(request)
        tested = await self.send(client, parse(TestRequest, await read_json(request, MAX_BODY)))
        resource = TestResource(event_id=tested.event, attempt=test_attempt_resource(tested.attempt))
        return answer(resource.model_dump())

    async def send(self, client: Client, asked: TestRequest) -> Tested:
        """Raises InvalidInput where the guard refuses the callback, Overloaded."""
        url = callback_url(asked.callback_url)
        with self._delivering.place_for_test(client):
            refusal = await self._guard.judge(client.name, url)
            if refusal is not None:
                raise InvalidInput(FieldError(field="callback_url", rule=refusal.rule))
            return await self._delivering.test(client, url)
