"""The stream of events, over as many connections as it takes."""

from collections.abc import Callable, Generator, Iterator
from typing import Final

import httpx

from relay.client.errors import ClientError, NoAnswer, Problem, no_answer, problem_of
from relay.client.events import LATEST, Event, EventPage, event_of, messages

_PATH: Final = "/v1/events/stream"
_SILENCE_SECONDS: Final = 45.0
"""The relay says something every 15 seconds: a connection that is silent for longer is dead."""
_CONNECT_SECONDS: Final = 5.0
_FIRST_PAUSE: Final = 2.0
_LONGEST_PAUSE: Final = 30.0


class EventStream(Iterator[Event]):
    """`place` is the cursor of the last event it gave, and what goes on behind it."""

    def __init__(
        self,
        http: httpx.Client,
        events: Callable[..., EventPage],
        *,
        url: str,
        after: str | None,
        broken: Callable[[ClientError, float], None] | None,
        sleep: Callable[[float], None],
    ) -> None:
        # `latest` would be another place by the time of a second connection, with events between them.
        self.place = events(LATEST).next_cursor if after == LATEST else after
        self._http = http
        self._url = url
        self._broken = broken
        self._sleep = sleep
        self._pause = self._least_pause = _FIRST_PAUSE
        self._connected = False
        self._running = self._run()

    def __next__(self) -> Event:
        return next(self._running)

    def close(self) -> None:
        """Hang up."""
        self._running.close()

    def _run(self) -> Generator[Event, None, None]:
        while True:
            ended: ClientError = NoAnswer("the relay ended the stream")
            try:
                yield from self._connection()
            except NoAnswer as error:
                ended = error
            except Problem as problem:
                if not problem.passing:
                    raise
                ended = problem
            if not self._connected:
                raise ended
            self._rest(ended)

    def _connection(self) -> Generator[Event, None, None]:
        """The events of one connection, for as long as it lasts. Raises ClientError."""
        query = {} if self.place is None else {"after": self.place}
        timeout = httpx.Timeout(_SILENCE_SECONDS, connect=_CONNECT_SECONDS)
        headers = {"accept": "text/event-stream"}
        try:
            with self._http.stream("GET", _PATH, params=query, headers=headers, timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                    raise problem_of(response)
                self._connected = True
                self._pause = self._least_pause
                for message in messages(response.iter_bytes()):
                    if message.retry is not None:
                        self._pause = self._least_pause = message.retry / 1_000
                    if message.data:
                        event = event_of(message)
                        yield event
                        self.place = event.cursor
        except httpx.RequestError as error:
            raise no_answer(self._url, error) from error

    def _rest(self, ended: ClientError) -> None:
        pause = self._pause
        if isinstance(ended, Problem) and ended.retry_after is not None:
            pause = max(pause, ended.retry_after)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        if self._broken is not None:
            self._broken(ended, pause)
        self._sleep(pause)
