"""`[tracing]`: what is taken, what is refused, and that no header is ever repeated."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from relay.settings import ConfigurationError, Settings, load_settings
from relay.settings.tracing import TracingSettings
from tests.relays import sqlite_url

CANARY = "canary"
WITHOUT_OPENTELEMETRY = """
import sys
from pathlib import Path
sys.modules["opentelemetry"] = None
import relay.app
from relay.settings import ConfigurationError, load_settings
def load(**environ):
    return load_settings(config=None, secrets_dir=None, environ=environ, cwd=Path())
print(load().tracing.endpoint)
try:
    load(RELAY_TRACING__ENDPOINT="http://collector:4318")
except ConfigurationError as refused:
    print(*refused.problems)
"""
RUNNING = """
import asyncio, random, sys
from pathlib import Path
import httpx
from relay.app import Relay
from relay.ports import create_app
from relay.clock import system_clock
from relay.outside import Outside
from relay.settings import load_settings
async def main():
    settings = load_settings(config=None, secrets_dir=None, environ=ENVIRON, cwd=Path())
    relay = Relay(settings, Outside.real(settings), clock=system_clock(), rng=random.Random(1))
    async with relay, httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(relay)), base_url="http://relay.test"
    ) as api:
        answer = await api.post("/v1/registrations", json={}, headers={
            "authorization": "Bearer token-of-it", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"
        })
    return answer.status_code
status = asyncio.run(main())
print(status, *sorted({name.partition(".")[0] for name in sys.modules} & {"google", "opentelemetry"}))
"""


def load(folder: Path, **variables: str) -> TracingSettings:
    return whole(folder, **variables).tracing


def whole(folder: Path, **variables: str) -> Settings:
    environ = {f"RELAY_TRACING__{name}": value for name, value in variables.items()}
    return load_settings(config=None, secrets_dir=None, environ=environ, cwd=folder)


def refusal(folder: Path, **variables: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(folder, **variables)
    told = "\n".join(refused.value.problems)
    assert CANARY not in told
    return told


def test_headers_are_written_as_opentelemetry_writes_them(tmp_path: Path) -> None:
    tracing = load(tmp_path, HEADERS="Authorization=Basic%20Y2FuYXJ5==, x-scope = a b")

    assert tracing.secret_headers() == {"authorization": "Basic Y2FuYXJ5==", "x-scope": "a b"}


def test_headers_are_shown_nowhere(tmp_path: Path) -> None:
    settings = whole(tmp_path, HEADERS="api-key=canary-1,x-scope=canary-2")

    shown = dict(settings.describe())

    assert CANARY not in repr(settings)
    assert shown["tracing.headers"] == "**********, **********"


@pytest.mark.parametrize(
    "headers",
    [
        "canary",
        "canary=",
        "=canary",
        "can ary=1",
        "api-key=canary%0d%0ax: y",
        "api-key=canary%C3%A9",
        f"api-key=canary{'x' * 4_096}",
    ],
)
def test_what_is_no_header_is_refused(tmp_path: Path, headers: str) -> None:
    assert "should be a header's name" in refusal(tmp_path, HEADERS=headers)


@pytest.mark.parametrize("name", ["Host", "content-type", "Content-Encoding", "connection", "user-agent"])
def test_headers_of_the_relay_s_own_are_refused(tmp_path: Path, name: str) -> None:
    assert "the relay itself sets" in refusal(tmp_path, HEADERS=f"{name}=canary")


def test_a_header_is_named_once(tmp_path: Path) -> None:
    assert "should name a header once" in refusal(tmp_path, HEADERS="a=canary,A=canary")


def test_the_path_of_traces_is_not_the_operator_s_to_add(tmp_path: Path) -> None:
    taken = load(tmp_path, ENDPOINT="http://collector:4318/")

    assert taken.endpoint == "http://collector:4318"
    assert "should be without /v1/traces" in refusal(tmp_path, ENDPOINT="http://collector:4318/v1/traces")


@pytest.mark.parametrize("name", ["", "x" * 129, "a\nb", "é"])
def test_a_service_name_is_plain_text(tmp_path: Path, name: str) -> None:
    assert "should be 1 to 128 printable ASCII characters" in refusal(tmp_path, SERVICE_NAME=name)


def test_without_the_extra_an_endpoint_is_refused_with_what_to_install(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_OPENTELEMETRY],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert done.stdout.splitlines() == [
        "None",
        "RELAY_TRACING__ENDPOINT: traces need a library that is not installed: pip install camb-relay[otel]",
    ]


@pytest.mark.parametrize(
    ("endpoint", "imported"),
    [({}, []), ({"RELAY_TRACING__ENDPOINT": "http://127.0.0.1:1"}, ["google", "opentelemetry"])],
    ids=["off", "on"],
)
def test_a_relay_that_runs_without_a_collector_has_imported_nothing_of_opentelemetry(
    tmp_path: Path, sqlite_template: Path, endpoint: dict[str, str], imported: list[str]
) -> None:
    shutil.copy(sqlite_template, tmp_path)
    environ = {
        "RELAY_API_TOKENS": "token-of-it",
        "RELAY_CAMB_API_KEY": CANARY,
        "RELAY_SIGNING_SECRETS": "whsec_Y2FuYXJ5LXNpZ25pbmctc2VjcmV0LTI0",
        "RELAY_DATABASE__URL": sqlite_url(tmp_path),
    }

    done = subprocess.run(
        [sys.executable, "-c", f"ENVIRON = {environ | endpoint}{RUNNING}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split() == ["422", *imported]


def test_callback_headers_cannot_take_the_trace_s_place(tmp_path: Path) -> None:
    for name in ("traceparent", "TraceState"):
        header = f'[{{"origin": "https://hooks.test", "name": "{name}", "value": "x"}}]'
        environ = {"RELAY_CLIENTS__SHOP__CALLBACK_HEADERS": header}

        with pytest.raises(ConfigurationError, match="that the relay itself sets"):
            load_settings(config=None, secrets_dir=None, environ=environ, cwd=tmp_path)
