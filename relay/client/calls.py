"""A method for each call of the API, over one httpx client."""

import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import quote

import httpx

from relay import __version__
from relay.client.errors import ClientError, Problem, no_answer, not_a_relay, problem_in, problem_of
from relay.client.events import EventPage, page_in
from relay.client.resources import Attempt, Origin, Registration, Replay, State, Step, Trial, Wish
from relay.client.results import Registered
from relay.client.streaming import EventStream

MAX_BATCH: Final = 1_000
_CONNECT_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 30.0
_TEST_SECONDS: Final = 120.0
"""A test notification takes as long as the relay gives a callback."""
MAX_PAGE: Final = 200

Moment = str | datetime
"""RFC 3339, or a datetime that knows its zone."""


class RelayClient:
    """Speaks to one relay as one client of it. Its methods raise ClientError; threads may share it.

    `transport` and `sleep` are for tests.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError("the URL of a relay begins with http:// or https://")
        self.url = url.rstrip("/")
        headers = {"user-agent": f"camb-relay/{__version__}", "accept": "application/json"}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers,
            transport=transport,
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
        )
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def register(
        self,
        task_id: str,
        callback_url: str | None = None,
        *,
        kind: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        expires_in: int | None = None,
        format: Literal["standard", "raw"] = "standard",  # noqa: A002 - the API's own word
    ) -> Registration:
        """The new registration, or the same one that stands already; without a callback its event is pulled."""
        wish: Wish = {"task_id": task_id, "format": format, "metadata": dict(metadata or {})}
        if callback_url is not None:
            wish["callback_url"] = callback_url
        if kind is not None:
            wish["kind"] = kind
        if expires_in is not None:
            wish["expires_in"] = expires_in
        made: Registration = self._call("POST", "/v1/registrations", body=wish)
        return made

    def register_many(self, wishes: Iterable[Wish]) -> Iterator[Registered | Problem]:
        """An answer for each, in order, over batches of a thousand; each batch is sent once its first answer is wanted."""
        waiting = iter(wishes)
        while batch := list(itertools.islice(waiting, MAX_BATCH)):
            answered = self._call("POST", "/v1/registrations/batch", body={"registrations": batch})
            for item in answered["data"]:
                if item.get("registration") is None:
                    yield problem_in(item["problem"])
                else:
                    created = item["http_status"] == HTTPStatus.CREATED
                    yield Registered(created=created, registration=item["registration"])

    def registrations(
        self,
        *,
        state: State | None = None,
        kind: str | None = None,
        task_id: str | None = None,
        origin: str | None = None,
        dead_reason: Literal["exhausted", "gone", "blocked"] | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        page: int = MAX_PAGE,
    ) -> Iterator[Registration]:
        """Newest first, all there are, `page` of them at a time."""
        query = {
            "state": state,
            "kind": kind,
            "task_id": task_id,
            "origin": origin,
            "dead_reason": dead_reason,
            "since": _moment(since),
            "until": _moment(until),
        }
        return self._pages("/v1/registrations", query, page)

    def get(self, registration_id: str, *, wait: int = 0) -> Registration:
        """With its event's body. `wait` (up to 30) are the seconds to wait while the task has not ended."""
        found: Registration = self._call("GET", _one(registration_id), {"wait": wait or None}, more=wait)
        return found

    def attempts(self, registration_id: str) -> Iterator[Attempt]:
        """Oldest first."""
        return self._pages(f"{_one(registration_id)}/attempts", {}, MAX_PAGE)

    def timeline(self, registration_id: str) -> Sequence[Step]:
        steps: Sequence[Step] = self._call("GET", f"{_one(registration_id)}/timeline")["data"]
        return steps

    def cancel(self, registration_id: str) -> Registration:
        cancelled: Registration = self._call("POST", f"{_one(registration_id)}/cancel")
        return cancelled

    def redeliver(self, registration_id: str) -> Registration:
        again: Registration = self._call("POST", f"{_one(registration_id)}/redeliver")
        return again

    def test(self, callback_url: str) -> Trial:
        """Have a signed `relay.test` sent there."""
        body = {"callback_url": callback_url}
        tested: Trial = self._call("POST", "/v1/test", body=body, more=_TEST_SECONDS)
        return tested

    def origins(self) -> Iterator[Origin]:
        return self._pages("/v1/origins", {}, MAX_PAGE)

    def replay(
        self,
        *,
        state: Literal["dead", "delivered"] = "dead",
        kind: str | None = None,
        origin: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> Replay:
        """Begin to send again what the filter finds; it goes on in the relay."""
        body = _replay_body(state, kind, origin, since, until)
        begun: Replay = self._call("POST", "/v1/replays", body=body)
        return begun

    def count_replay(
        self,
        *,
        state: Literal["dead", "delivered"] = "dead",
        kind: str | None = None,
        origin: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> int:
        """How many `replay` would find now; nothing is changed."""
        body = _replay_body(state, kind, origin, since, until) | {"dry_run": True}
        matching: int = self._call("POST", "/v1/replays", body=body, more=_TEST_SECONDS)["matching"]
        return matching

    def replays(self) -> Iterator[Replay]:
        """Newest first."""
        return self._pages("/v1/replays", {}, MAX_PAGE)

    def get_replay(self, replay_id: str) -> Replay:
        found: Replay = self._call("GET", f"/v1/replays/{quote(replay_id, safe='')}")
        return found

    def change_replay(self, replay_id: str, change: Literal["pause", "resume", "cancel"]) -> Replay:
        changed: Replay = self._call("POST", f"/v1/replays/{quote(replay_id, safe='')}/{change}")
        return changed

    def events(self, after: str | None = None, *, limit: int | None = None, wait: int = 0) -> EventPage:
        """`after` is a cursor, or `latest`; from the oldest kept without it. `wait` (up to 30) are seconds."""
        query = {"after": after, "limit": limit, "wait": wait or None}
        return page_in(self._call("GET", "/v1/events", query, more=wait))

    def stream(
        self, after: str | None = None, *, broken: Callable[[ClientError, float], None] | None = None
    ) -> EventStream:
        """Events for ever, as they are made. Nothing is skipped and nothing comes twice, however often it must reconnect.

        `broken` is told why a connection ended, and after how many seconds the next one is tried. What does not work at
        first is raised, and so is a Problem that does not pass by itself.
        """
        return EventStream(
            self._http, self.events, url=self.url, after=after, broken=broken, sleep=self._sleep
        )

    def _pages(self, path: str, query: Mapping[str, str | None], page: int) -> Iterator[Any]:
        cursor: str | None = None
        while True:
            found = self._call("GET", path, {**query, "limit": page, "cursor": cursor})
            yield from found["data"]
            cursor = found["next_cursor"]
            if cursor is None:
                return

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int | None] | None = None,
        *,
        body: object = None,
        more: float = 0,
    ) -> Any:  # noqa: ANN401 - the API's document; each caller says which
        """`more` are seconds beyond those that any answer may take."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        timeout = httpx.Timeout(_ANSWER_SECONDS + more, connect=_CONNECT_SECONDS)
        try:
            response = self._http.request(method, path, params=given, json=body, timeout=timeout)
        except httpx.RequestError as error:
            raise no_answer(self.url, error) from error
        if not response.is_success:
            raise problem_of(response)
        try:
            return json.loads(response.content)
        except ValueError:
            raise not_a_relay(response) from None


def _one(registration_id: str) -> str:
    return f"/v1/registrations/{quote(registration_id, safe='')}"


def _moment(given: Moment | None) -> str | None:
    return given.isoformat() if isinstance(given, datetime) else given


def _replay_body(
    state: str, kind: str | None, origin: str | None, since: Moment | None, until: Moment | None
) -> dict[str, object]:
    narrowed = {"kind": kind, "origin": origin, "since": _moment(since), "until": _moment(until)}
    return {
        "filter": {"state": state, **{name: value for name, value in narrowed.items() if value is not None}}
    }
