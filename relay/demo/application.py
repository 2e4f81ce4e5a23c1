"""The application beside the relay: it registers its tasks as any would, asking again until it has an answer."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Final

import httpx

from relay.api.schemas import BatchResource, RegistrationPage, RegistrationResource
from relay.demo.scenario import PlannedTask

_PATIENCE_SECONDS: Final = 0.2
_PAGE: Final = 200
_AT_ONCE: Final = 4
_TAKEN: Final = frozenset({HTTPStatus.OK, HTTPStatus.CREATED})


class Refused(Exception):
    """The relay would not take a registration that it should."""


class Application:
    """`accepted` holds, by registration id, what was answered with 2xx; `relay_url` changes with the relay's process."""

    def __init__(
        self, http: httpx.AsyncClient, *, relay_url: str, receiver_url: str, tokens: Mapping[str, str]
    ) -> None:
        self._http = http
        self._receiver_url = receiver_url
        self._tokens = tokens
        self.relay_url = relay_url
        self.accepted: dict[str, PlannedTask] = {}
        self.unanswered = 0
        self.asked_again = 0

    async def register_together(self, tasks: Sequence[PlannedTask]) -> None:
        """In one batch for each client. Raises Refused."""
        for client in dict.fromkeys(task.client for task in tasks):
            own = [task for task in tasks if task.client == client]
            batch = {"registrations": [self._registration(task) for task in own]}
            answer = await self._post(client, "/v1/registrations/batch", batch)
            for task, item in zip(own, BatchResource.model_validate_json(answer.content).data, strict=True):
                if item.registration is None:
                    raise Refused(f"{task.task_id}: {item.problem}")
                self.accepted[item.registration.id] = task

    async def register_each(self, tasks: Iterable[PlannedTask], answered: Callable[[], None]) -> None:
        """One by one, a few at once; `answered` is called with each answer. Raises Refused."""
        waiting = iter(tasks)

        async def work() -> None:
            for task in waiting:
                answer = await self._post(task.client, "/v1/registrations", self._registration(task))
                resource = RegistrationResource.model_validate_json(answer.content)
                self.accepted[resource.id] = task
                answered()

        await asyncio.gather(*(work() for _ in range(_AT_ONCE)))

    async def register(self, client: str, wish: Mapping[str, object]) -> None:
        """One that is no part of the play. Raises Refused."""
        await self._post(client, "/v1/registrations", wish)

    async def registrations(self) -> dict[str, RegistrationResource]:
        """All that the relay lists, by id. Raises httpx.HTTPError where it does not answer."""
        found: dict[str, RegistrationResource] = {}
        for client in self._tokens:
            query: dict[str, str | int] = {"limit": _PAGE}
            while True:
                answer = await self._http.get(
                    f"{self.relay_url}/v1/registrations", params=query, headers=self._as(client)
                )
                page = RegistrationPage.model_validate_json(answer.raise_for_status().content)
                found |= {resource.id: resource for resource in page.data}
                if page.next_cursor is None:
                    break
                query["cursor"] = page.next_cursor
        return found

    def _registration(self, task: PlannedTask) -> dict[str, object]:
        given: dict[str, object] = {
            "task_id": task.task_id,
            "kind": task.kind,
            "callback_url": f"{self._receiver_url}/hooks/{task.hook}",
            "format": task.format,
            "metadata": {"expects": task.expects},
        }
        return given if task.expires_in is None else given | {"expires_in": task.expires_in}

    async def _post(self, client: str, path: str, body: Mapping[str, object]) -> httpx.Response:
        """Ask until there is an answer: the same registration twice is one."""
        while True:
            self.unanswered += 1
            try:
                answer = await self._http.post(f"{self.relay_url}{path}", json=body, headers=self._as(client))
            except httpx.TransportError:
                answer = None
            finally:
                self.unanswered -= 1
            if answer is not None and answer.status_code in _TAKEN:
                return answer
            if answer is not None and answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise Refused(f"{path}: {answer.status_code} {answer.text}")
            self.asked_again += 1
            await asyncio.sleep(_PATIENCE_SECONDS)

    def _as(self, client: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self._tokens[client]}"}
