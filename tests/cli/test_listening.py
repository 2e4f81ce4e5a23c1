"""Following the stream and forwarding, with a relay and a local server made of scripts; Ctrl-C is part of the script."""

from collections.abc import Iterator, Sequence

import httpx
import orjson
import pytest
import typer

from relay.cli import exits
from relay.cli.calling import Asked
from relay.cli.forwarding import Forward, local_url
from relay.cli.listening import Listening
from relay.client import LATEST, RelayClient
from relay.domain.instants import SECOND
from tests.client.pulled import item, problem, stream_of
from tests.relays import HandClock

NOW = 1_795_000_000
URL = "http://localhost:3000/hooks"
OK = httpx.Response(204)
BROKEN = httpx.Response(500, text="Traceback:\n\x1b[2J  ZeroDivisionError")

Answer = httpx.Response | BaseException


class Script:
    """Answers one request after the other, and presses Ctrl-C where nothing is left."""

    def __init__(self, *answers: Answer) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if self._answers else KeyboardInterrupt()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self)


def listen(
    relay: Script,
    local: Script | None = None,
    *,
    begin: str | None = "s-0",
    json: bool = False,
    retry: bool = False,
    late: float = 0,
    slept: list[float] | None = None,
) -> int:
    """Answers the exit code."""
    hands = HandClock(wall=NOW * SECOND)
    hands.advance(late)
    waits: list[float] = [] if slept is None else slept
    forward = None
    if local is not None:
        forward = Forward(local_url(URL), verify=True, clock=hands.clock, transport=local.transport)
    with RelayClient("https://relay.test", "t", transport=relay.transport, sleep=waits.append) as client:
        asked = Asked(relay=client, clock=hands.clock, json=json)
        return Listening(asked, forward, retry=retry, sleep=waits.append).run(begin)


def lines(text: str) -> Sequence[str]:
    return [line for line in text.splitlines() if line]


def test_an_event_arrives_with_its_own_headers_and_bytes_and_nothing_added(
    capsys: pytest.CaptureFixture[str],
) -> None:
    local = Script(OK)

    code = listen(Script(stream_of(item(1))), local)

    (request,) = local.requests
    assert (code, request.method, str(request.url), request.content) == (0, "POST", URL, b'{"run_id":1.0}')
    added = {"host": "localhost:3000", "content-length": "14"}
    assert dict(request.headers) == item(1)["headers"] | added  # type: ignore[operator]  # it is a dict
    (line,) = lines(capsys.readouterr().out)
    assert line == "2026-11-23T13:00:00.000Z\ttask.succeeded\ttask-1\ttts\t204\t0 ms"


def test_a_failing_server_is_shown_and_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    local = Script(BROKEN, httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), OK)

    code = listen(Script(stream_of(*map(item, (1, 2, 3, 4)))), local)

    said = capsys.readouterr()
    assert code == 0
    assert len(local.requests) == 4
    assert "ZeroDivisionError" in said.out
    assert "\x1b" not in said.out
    assert "nobody accepts a connection at localhost:3000" in said.out
    assert "no answer within 15 s" in said.out
    assert "4 events, 1 accepted" in said.err
    assert "`--after s-0` begins with the first that was not accepted" in said.err
    assert "`--after s-4` goes on from here" in said.err


class Endless(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield b"x" * 1_000


class Broken(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield b"half"
        raise httpx.ReadError("broke off")


def test_the_status_line_decides_and_of_a_long_answer_the_beginning_is_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    endless = httpx.Response(500, stream=Endless())

    listen(Script(stream_of(item(1), item(2))), Script(httpx.Response(200, stream=Broken()), endless))

    said = capsys.readouterr()
    assert "2 events, 1 accepted" in said.err
    assert said.out.count("x") == 4 * 1024


def test_a_server_that_is_down_says_so_once(capsys: pytest.CaptureFixture[str]) -> None:
    refused = [httpx.ConnectError("[Errno 111] Connection refused") for _ in range(2)]

    listen(Script(stream_of(*map(item, (1, 2, 3, 4)))), Script(*refused, OK, refused[0]))

    said = capsys.readouterr().out
    assert said.count("nobody accepts a connection at localhost:3000: Connection refused") == 2
    assert len(lines(said)) == 6


def test_a_retry_goes_on_until_the_event_is_accepted_and_keeps_the_order() -> None:
    local = Script(BROKEN, BROKEN, BROKEN, BROKEN, BROKEN, BROKEN, OK, OK)
    slept: list[float] = []

    listen(Script(stream_of(item(1), item(2))), local, retry=True, slept=slept)

    assert [request.headers["webhook-id"] for request in local.requests] == ["evt_1"] * 7 + ["evt_2"]
    assert slept[:6] == [1, 2, 4, 8, 10, 10]


def test_what_was_under_way_at_ctrl_c_is_not_done_with(capsys: pytest.CaptureFixture[str]) -> None:
    code = listen(Script(stream_of(item(1), item(2))), Script(OK, KeyboardInterrupt()))

    assert code == 0
    assert "`--after s-1` goes on from here" in capsys.readouterr().err


def test_a_lost_connection_is_told_and_nothing_is_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    relay = Script(stream_of(item(1)), httpx.ConnectError("refused"), stream_of(item(2)))

    listen(relay, begin="s-0")

    said = capsys.readouterr()
    assert [request.url.params["after"] for request in relay.requests[:3]] == ["s-0", "s-1", "s-1"]
    assert len(lines(said.out)) == 2
    assert "nothing is skipped" in said.err


def test_it_begins_with_what_comes_from_now_on(capsys: pytest.CaptureFixture[str]) -> None:
    relay = Script(httpx.Response(200, json={"data": [], "next_cursor": "s-7"}))

    code = listen(relay, begin=LATEST)

    assert code == 0
    assert [request.url.path for request in relay.requests] == ["/v1/events", "/v1/events/stream"]
    assert "`--after s-7` goes on from here" in capsys.readouterr().err


def test_before_the_oldest_event_is_a_place_too(capsys: pytest.CaptureFixture[str]) -> None:
    listen(Script(stream_of(item(1))), Script(BROKEN), begin=None)

    assert "`--since-start` begins with the first that was not accepted" in capsys.readouterr().err


def test_a_place_that_is_kept_no_longer_says_where_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as left:
        listen(Script(problem(410, oldest="s-500")))

    assert left.value.exit_code == exits.FAILED
    assert "`--after s-500`" in capsys.readouterr().err


def test_json_lines_hold_the_event_and_what_became_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    listen(Script(stream_of(item(1), item(2))), Script(OK, httpx.ConnectError("refused")), json=True)

    first, second = map(orjson.loads, lines(capsys.readouterr().out))
    assert first == item(1) | {"forwarded": {"http_status": 204, "duration_ms": 0.0, "error": None}}
    assert second["forwarded"]["http_status"] is None
    assert second["forwarded"]["error"].startswith("nobody accepts a connection")


def test_without_a_forward_events_are_only_shown(capsys: pytest.CaptureFixture[str]) -> None:
    listen(Script(stream_of(item(1))), json=True)

    (shown,) = map(orjson.loads, lines(capsys.readouterr().out))
    assert shown == item(1) | {"forwarded": None}


def test_a_signature_that_waited_too_long_is_made_anew() -> None:
    again = {"data": [item(1, signed_at=NOW + 200)], "next_cursor": "s-1"}
    relay = Script(stream_of(item(1)), httpx.Response(200, json=again))
    local = Script(OK)

    listen(relay, local, late=200)

    assert local.requests[0].headers["webhook-timestamp"] == str(NOW + 200)
    assert str(relay.requests[1].url) == "https://relay.test/v1/events?after=s-0&limit=1"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.ConnectError("refused"),
        httpx.Response(200, json={"data": [], "next_cursor": "s-0"}),
        httpx.Response(200, json={"data": [item(2)], "next_cursor": "s-2"}),
    ],
    ids=["no answer", "gone", "another"],
)
def test_an_old_signature_is_better_than_none(answer: Answer) -> None:
    local = Script(OK)

    listen(Script(stream_of(item(1)), answer), local, late=200)

    assert local.requests[0].headers["webhook-id"] == "evt_1"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://localhost:3000/hooks", "http://localhost:3000/hooks"),
        ("localhost:3000/hooks", "http://localhost:3000/hooks"),
        ("3000", "http://localhost:3000"),
        ("3000/a/b?c=d", "http://localhost:3000/a/b?c=d"),
        ("https://dev.local/x", "https://dev.local/x"),
        ("[::1]:3000/x", "http://[::1]:3000/x"),
    ],
)
def test_where_to_may_be_said_shortly(given: str, url: str) -> None:
    assert str(local_url(given)) == url


@pytest.mark.parametrize("given", ["", "ftp://x", "http://", "http://[", "localhost:99999999"])
def test_what_is_no_url_is_refused(given: str) -> None:
    with pytest.raises(typer.BadParameter):
        local_url(given)
