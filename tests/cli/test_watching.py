"""Following one registration, with a relay made of a script."""

from collections.abc import Sequence
from typing import Any

import httpx
import orjson
import pytest

from relay.cli import exits
from relay.cli.calling import Asked
from relay.cli.watching import watch
from relay.client import ClientError, RelayClient
from tests.client.pulled import problem
from tests.relays import HandClock


def registration(state: str, *, attempts: int | None = None, event: str | None = None) -> httpx.Response:
    delivery = None if attempts is None else {"attempts": attempts, "last_error": None}
    document: dict[str, Any] = {
        "id": "reg_1",
        "state": state,
        "task": {"status": "PENDING", "last_poll": {"result": "pending"}},
        "event": None if event is None else {"id": "evt_1", "type": event},
        "delivery": delivery,
    }
    return httpx.Response(200, json=document)


WATCHING = registration("watching")
DELIVERING = registration("delivering", attempts=1, event="task.succeeded")
DELIVERED = registration("delivered", attempts=2, event="task.succeeded")


class Watched:
    """What was asked, slept and printed while the answers were given one after the other."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.asked: list[str] = []
        self.slept: list[float] = []
        self._answers = list(answers)

    def code(self, *, json: bool = True) -> int:
        with RelayClient("https://relay.test", transport=httpx.MockTransport(self._answer)) as relay:
            asked = Asked(relay=relay, clock=HandClock().clock, json=json)
            return watch(asked, "reg_1", sleep=self.slept.append)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.raw_path.decode())
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def states(printed: str) -> Sequence[str]:
    return [orjson.loads(line)["state"] for line in printed.splitlines()]


def test_the_relay_waits_for_the_end_and_each_change_is_printed_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    watched = Watched(WATCHING, WATCHING, DELIVERING, DELIVERING, DELIVERED)

    assert watched.code() == 0
    assert states(capsys.readouterr().out) == ["watching", "delivering", "delivered"]
    assert watched.asked[:2] == ["/v1/registrations/reg_1", "/v1/registrations/reg_1?wait=30"]
    assert watched.slept == [1, 1]


@pytest.mark.parametrize(
    ("state", "event", "code"),
    [
        ("delivered", "task.succeeded", 0),
        ("available", "task.succeeded", 0),
        ("delivered", "task.failed", exits.FAILED),
        ("available", "task.lost", exits.FAILED),
        ("available", "registration.expired", exits.FAILED),
        ("dead", "task.succeeded", exits.FAILED),
        ("cancelled", None, exits.FAILED),
        ("cancelled", "task.succeeded", exits.FAILED),
    ],
)
def test_only_a_success_that_was_told_or_can_be_pulled_exits_with_0(
    state: str, event: str | None, code: int
) -> None:
    assert Watched(registration(state, event=event)).code(json=False) == code


def test_a_relay_that_goes_away_meanwhile_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    watched = Watched(WATCHING, httpx.ConnectError("refused"), problem(503), DELIVERED)

    assert watched.code() == 0
    assert watched.slept == [2, 2]
    assert capsys.readouterr().err.count("trying again") == 2


@pytest.mark.parametrize("answers", [[httpx.ConnectError("refused")], [WATCHING, problem(404)]])
def test_what_does_not_pass_or_never_worked_is_an_error(answers: list[httpx.Response | Exception]) -> None:
    with pytest.raises(ClientError):
        Watched(*answers).code()
