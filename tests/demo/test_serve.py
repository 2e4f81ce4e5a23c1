import signal
import socket
import subprocess
import sys
from urllib.parse import urlsplit

import httpx
import pytest

from tests.demo.serving import Served, served

SIMULATOR = ("relay.demo.simulator",)
RECEIVER = ("relay.demo.receiver", "--secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


@pytest.mark.parametrize("command", [SIMULATOR, RECEIVER], ids=["simulator", "receiver"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_told_to_stop_exits_in_peace(
    command: tuple[str, ...], number: signal.Signals
) -> None:
    with served(*command) as server:
        httpx.get(f"{server.url}/state", trust_env=False)

        assert server.stop(number) == 0


def calling(server: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0), timeout=10)


def test_a_server_with_an_answer_outstanding_exits_in_peace() -> None:
    with served(*SIMULATOR) as server, calling(server) as caller:
        caller.sendall(b"GET /apis/tts/hang-1 HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\n\r\n")
        while httpx.get(f"{server.url}/_simulator/state", trust_env=False).json()["tasks_seen"] == 0:
            pass

        assert server.stop() == 0


def test_a_server_listens_on_ipv6_too() -> None:
    with served(*SIMULATOR, "--host", "::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert httpx.get(f"{server.url}/_simulator/state", trust_env=False).status_code == 200


def test_submitted_tasks_behave_as_the_command_line_says() -> None:
    headers = {"x-api-key": "demo"}

    with (
        served(*SIMULATOR, "--submitted", "error", "--forbidden-key", "weak") as server,
        httpx.Client(base_url=f"{server.url}/apis", headers=headers, trust_env=False) as camb,
    ):
        task_id = camb.post("/tts", json={"text": "Hello"}).json()["task_id"]
        status = camb.get(f"/tts/{task_id}").json()["status"]
        forbidden = camb.get("/tts/success-1", headers={"x-api-key": "weak"}).status_code

    assert (status, forbidden) == ("ERROR", 403)


def test_a_submitted_behaviour_that_is_none_is_refused() -> None:
    refused = subprocess.run(
        [sys.executable, "-m", *SIMULATOR, "--submitted", "nonsense"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert refused.returncode == 2
    assert "--submitted" in refused.stderr


@pytest.mark.parametrize(
    ("module", "word"), [("relay.demo.simulator", "late-404"), ("relay.demo.receiver", "busy-S")]
)
def test_the_help_prints_the_behaviours(module: str, word: str) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True
    )

    assert word in printed.stdout
