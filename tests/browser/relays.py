"""A real `relay serve` for the browser: two clients, one of them with nothing, and an operator."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx

from relay.clock import system_clock
from relay.domain.instants import SECOND
from tests.demo.serving import served
from tests.e2e.neighbours import CAMB_KEY, RECEIVER, SIGNING_SECRET, SIMULATOR
from tests.e2e.processes import Written

T = TypeVar("T")

ROOT: Final = Path(__file__).parents[2]
SHOP: Final = "token-of-the-shop"
STUDIO: Final = "token-of-the-studio"
"""Has registered nothing."""
OPERATOR: Final = "token-of-the-operator"
WITHIN: Final = 30.0
_PAUSE: Final = 0.05


def until(asked: Callable[[], T], *, within: float = WITHIN) -> T:
    """Ask again and again until the answer is true."""
    clock = system_clock()
    began = clock.now()
    while not (answer := asked()):
        assert clock.now() - began < within * SECOND, f"not so within {within:g} s: {answer!r}"
        time.sleep(_PAUSE)
    return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """`api` carries the shop's token. `well` accepts, `ill` fails, `busy` asks to be left alone for an hour."""

    url: str
    api: httpx.Client
    well: str
    ill: str
    busy: str

    def register(self, task_id: str, callback_url: str | None, **more: object) -> str:
        """The id of a new registration."""
        wish = {"task_id": task_id, "callback_url": callback_url, **more}
        answer = self.api.post("/v1/registrations", json=wish)
        assert answer.status_code == 201, answer.text
        registration: str = answer.json()["id"]
        return registration

    def read(self, registration: str) -> dict[str, Any]:
        answer = self.api.get(f"/v1/registrations/{registration}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def reaches(self, registration: str, state: str) -> str:
        """Wait for that state; answers the id again."""
        until(lambda: self.read(registration)["state"] == state)
        return registration

    def replay(self, **chosen: str) -> str:
        """The id of a new replay."""
        answer = self.api.post("/v1/replays", json={"filter": chosen})
        assert answer.status_code == 202, answer.text
        replay: str = answer.json()["id"]
        return replay


@contextmanager
def running(folder: Path) -> Iterator[Running]:
    with (
        served(*SIMULATOR) as simulator,
        served(*RECEIVER) as well,
        served(*RECEIVER) as ill,
        served(*RECEIVER) as busy,
        _relay(_environment(simulator.url, folder), folder) as url,
        httpx.Client(
            base_url=url, headers={"authorization": f"Bearer {SHOP}"}, trust_env=False, timeout=30
        ) as api,
    ):
        until(lambda: api.get("/readyz").status_code == 200)
        yield Running(
            url=url, api=api, well=f"{well.url}/hooks", ill=f"{ill.url}/hooks", busy=f"{busy.url}/hooks"
        )


@contextmanager
def _relay(environ: Mapping[str, str], folder: Path) -> Iterator[str]:
    """The relay that stands beside these tests, at its URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "relay", "serve"],
        env={**environ, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        written = Written(process.stdout)
        try:
            listening = until(lambda: process.poll() is not None or written.events("relay.listening"))
            assert isinstance(listening, list), written.everything()
            yield f"http://{listening[0]['host']}:{listening[0]['port']}"
        finally:
            process.kill()
            (folder / "log").write_text(written.everything())


def _environment(simulator: str, folder: Path) -> dict[str, str]:
    variables = {
        "CLIENTS__SHOP__API_TOKENS": SHOP,
        "CLIENTS__SHOP__CAMB_API_KEY": CAMB_KEY,
        "CLIENTS__SHOP__SIGNING_SECRETS": SIGNING_SECRET,
        "CLIENTS__STUDIO__API_TOKENS": STUDIO,
        "CLIENTS__STUDIO__CAMB_API_KEY": CAMB_KEY,
        "CLIENTS__STUDIO__SIGNING_SECRETS": SIGNING_SECRET,
        "OPERATOR__API_TOKENS": OPERATOR,
        "DATABASE__URL": f"sqlite:///{folder / 'relay.db'}",
        "SERVER__PORT": "0",
        "CAMB__BASE_URL": f"{simulator}/apis",
        "CAMB__RATE_PER_SECOND": "100",
        "CALLBACKS__ALLOW_NETWORKS": "loopback",
        "CALLBACKS__ALLOW_HTTP": "allowed-networks",
        "POLLING__TICK": "PT0.1S",
        "POLLING__MIN_PACE": "PT0.2S",
        "POLLING__MAX_PACE": "PT0.5S",
        "DELIVERY__RETRY_SCHEDULE": "PT0.1S,PT0.1S,PT0.1S",
        "DELIVERY__PAUSE_WITHOUT_RETRY_AFTER": "PT0.1S",
        "DELIVERY__LONGEST_PAUSE": "PT0.1S",
    }
    return {f"RELAY_{name}": value for name, value in variables.items()}
