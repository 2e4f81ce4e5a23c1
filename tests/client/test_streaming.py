from collections.abc import Sequence

import httpx
import pytest

from relay.client import ClientError, Event, NoAnswer, Problem, RelayClient
from tests.client.pulled import item, problem, sent, stream_of


class Relay:
    """Answers one connection after the other, and then goes on saying that the last event was the last."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.asked: list[str] = []
        self.slept: list[float] = []
        self.broken: list[ClientError] = []
        self._answers = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.raw_path.decode())
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def events(self, after: str | None = None, *, count: int) -> Sequence[Event]:
        client = RelayClient(
            "https://relay.test", "t", transport=httpx.MockTransport(self), sleep=self.slept.append
        )
        with client:
            stream = client.stream(after, broken=lambda error, _: self.broken.append(error))
            found = [next(stream) for _ in range(count)]
            stream.close()
        return found


def test_an_event_has_the_bytes_and_headers_of_a_callback() -> None:
    relay = Relay(stream_of(item(1)))

    (event,) = relay.events(count=1)

    assert (event.id, event.cursor, event.task_id) == ("evt_1", "s-1", "task-1")
    assert event.body == b'{"run_id":1.0}'
    assert event.headers["webhook-id"] == "evt_1"
    assert event.document == item(1)


def test_each_connection_goes_on_behind_the_last_event_of_the_one_before() -> None:
    relay = Relay(stream_of(item(1), item(2)), stream_of(), stream_of(item(3)))

    found = relay.events("s-0", count=3)

    assert [event.cursor for event in found] == ["s-1", "s-2", "s-3"]
    path = "/v1/events/stream?after="
    assert relay.asked == [f"{path}s-0", f"{path}s-2", f"{path}s-2"]


def test_latest_is_one_place_for_all_connections() -> None:
    relay = Relay(
        httpx.Response(200, json={"data": [], "next_cursor": "s-9"}), stream_of(), stream_of(item(10))
    )

    found = relay.events("latest", count=1)

    assert [event.cursor for event in found] == ["s-10"]
    assert relay.asked == [
        "/v1/events?after=latest",
        "/v1/events/stream?after=s-9",
        "/v1/events/stream?after=s-9",
    ]


def test_a_message_that_was_cut_off_is_asked_for_again() -> None:
    relay = Relay(httpx.Response(200, content=sent(item(1), item(2))[:-1]), stream_of(item(2)))

    assert [event.cursor for event in relay.events(count=2)] == ["s-1", "s-2"]


def test_what_passes_by_itself_is_waited_for_longer_each_time() -> None:
    relay = Relay(
        stream_of(item(1)),
        httpx.ConnectError("refused"),
        httpx.Response(502, text="bad gateway"),
        problem(503),
        problem(429, retry_after=9),
        stream_of(item(2)),
        stream_of(item(3)),
    )

    found = relay.events(count=3)

    assert [event.cursor for event in found] == ["s-1", "s-2", "s-3"]
    assert relay.slept == [0.5, 1, 2, 4, 9, 0.5]
    assert isinstance(relay.broken[1], NoAnswer)
    assert isinstance(relay.broken[4], Problem)


def test_no_wait_is_longer_than_half_a_minute() -> None:
    refused = [httpx.ConnectError("refused")] * 9

    relay = Relay(stream_of(item(1)), *refused, stream_of(item(2)))
    relay.events(count=2)

    assert max(relay.slept) == relay.slept[-1] == 30


@pytest.mark.parametrize("status", [401, 410, 422])
def test_what_does_not_pass_is_raised(status: int) -> None:
    relay = Relay(stream_of(item(1)), problem(status, oldest="s-5"))

    with pytest.raises(Problem) as raised:
        relay.events(count=2)

    assert (raised.value.status, raised.value.oldest) == (status, "s-5")
    assert relay.slept == [0.5]


@pytest.mark.parametrize("answer", [httpx.ConnectError("refused"), problem(503), problem(429)])
def test_what_does_not_work_at_first_is_raised_at_once(answer: httpx.Response | Exception) -> None:
    relay = Relay(answer)

    with pytest.raises(ClientError):
        relay.events(count=1)

    assert relay.slept == []
