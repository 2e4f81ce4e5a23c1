"""`relay listen` and `relay watch` as a person has them: the real command, a real relay, and a handler on a port of one's own."""

import signal
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from relay.cli import exits
from tests.e2e.neighbours import SIGNING_SECRET, Neighbours
from tests.e2e.processes import (
    COMMAND,
    TOKEN,
    RelayProcess,
    Written,
    environment,
    run,
    serving,
    sqlite_url,
    until,
)
from tests.sockets import unused_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


@dataclass(kw_only=True)
class Handler:
    """Somebody's own: it verifies as the recipes do. `answers` are given first, one for each notification."""

    port: int = 0
    verified: list[dict[str, Any]] = field(default_factory=list)
    refused: int = 0
    answers: list[int] = field(default_factory=list)

    @property
    def tasks(self) -> list[str]:
        return [event["data"]["task_id"] for event in self.verified]

    def take(self, body: bytes, headers: Mapping[str, str]) -> int:
        try:
            event = Webhook(SIGNING_SECRET).verify(body, dict(headers))
        except WebhookVerificationError:
            self.refused += 1
            return 401
        status = self.answers.pop(0) if self.answers else 204
        self.verified.append(event)
        return status

    @contextmanager
    def served(self) -> Iterator[None]:
        handler = self

        class Request(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(
                    handler.take(body, {name.lower(): value for name, value in self.headers.items()})
                )
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own word
                pass

        with ThreadingHTTPServer(("127.0.0.1", self.port), Request) as server:
            self.port = server.server_port
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    process: subprocess.Popen[bytes]
    out: Written
    err: Written

    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in list(self.out.lines)]

    async def ready(self) -> None:
        async def listening() -> bool:
            assert self.process.poll() is None, self.err.everything()
            return any(b"Ctrl-C ends it" in line for line in list(self.err.lines))

        await until(listening)

    async def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """The exit code, and what it said beside the events."""
        self.process.send_signal(number)

        async def over() -> bool:
            return self.process.poll() is not None

        await until(over, within=10)
        return self.process.wait(), self.err.everything()


@asynccontextmanager
async def listening(relay_url: str, folder: Path, *arguments: str) -> AsyncIterator[Listener]:
    """With --json; ready when the block begins."""
    with subprocess.Popen(  # noqa: ASYNC220 - the one of asyncio would reap the process behind our back
        [*COMMAND, "listen", "--json", *arguments],
        env=cli_environ(relay_url, folder),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        listener = Listener(process=process, out=Written(process.stdout), err=Written(process.stderr))
        try:
            await listener.ready()
            yield listener
        finally:
            process.kill()


def cli_environ(relay_url: str, folder: Path) -> dict[str, str]:
    return {"RELAY_URL": relay_url, "RELAY_TOKEN": TOKEN, "HOME": str(folder)}


@asynccontextmanager
async def relay_at(neighbours: Neighbours, folder: Path, **more: str) -> AsyncIterator[RelayProcess]:
    async with serving(environment(neighbours, sqlite_url(folder), **more), folder) as relay:
        yield relay


async def pulled(relay: RelayProcess, task_id: str) -> str:
    """The id of a new registration without a callback."""
    answer = await relay.api.post("/v1/registrations", json={"task_id": task_id, "metadata": {"order": 7}})
    assert answer.status_code == 201, answer.text
    registration: str = answer.json()["id"]
    return registration


async def test_events_reach_a_handler_on_a_port_of_ones_own_with_signatures_that_it_verifies(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    handler = Handler()
    with handler.served():
        async with (
            relay_at(neighbours, tmp_path) as relay,
            listening(relay.url, tmp_path, "--forward", f"{handler.port}/hooks") as listener,
        ):
            await pulled(relay, "success-listen-pulled")
            await relay.register("error-listen-pushed", neighbours.hook("ok"))

            async def both() -> bool:
                return len(handler.verified) == 2

            await until(both)
            code, said = await listener.end()

    assert (code, handler.refused) == (0, 0)
    assert set(handler.tasks) == {"success-listen-pulled", "error-listen-pushed"}
    assert [event["forwarded"]["http_status"] for event in listener.events()] == [204, 204]
    assert "2 events, 2 accepted" in said


async def test_the_handlers_failures_and_the_relays_restart_lose_no_event(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    port = str(unused_port())
    handler = Handler(answers=[500])
    with handler.served():
        async with relay_at(neighbours, tmp_path, SERVER__PORT=port) as relay:
            before = await pulled(relay, "success-listen-before")
            await relay.reaches(before, "available")
            async with listening(
                relay.url, tmp_path, "--since-start", "--forward", f"http://127.0.0.1:{handler.port}/"
            ) as listener:
                await pulled(relay, "success-listen-first")

                async def two() -> bool:
                    return len(handler.verified) == 2

                await until(two)
                stopped = await relay.terminate()
                async with relay_at(neighbours, tmp_path, SERVER__PORT=port) as again:
                    await pulled(again, "success-listen-second")

                    async def three() -> bool:
                        return len(handler.verified) == 3

                    await until(three)
                    code, said = await listener.end(signal.SIGTERM)

    assert (stopped, code, handler.refused) == (0, 0, 0)
    assert handler.tasks == ["success-listen-before", "success-listen-first", "success-listen-second"]
    assert "nothing is skipped" in said
    assert "3 events, 2 accepted" in said
    assert "`--since-start` begins with the first that was not accepted" in said


async def test_what_was_not_accepted_is_had_again_from_its_place(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    handler = Handler()
    async with relay_at(neighbours, tmp_path) as relay:
        for task in ("success-listen-a", "success-listen-b"):
            await relay.reaches(await pulled(relay, task), "available")
        async with listening(relay.url, tmp_path, "--since-start", "--forward", str(unused_port())) as deaf:

            async def seen() -> bool:
                return len(deaf.events()) == 2

            await until(seen)
            _, said = await deaf.end()
        first = deaf.events()[0]
        with handler.served():
            async with listening(
                relay.url, tmp_path, "--after", first["cursor"], "--forward", str(handler.port)
            ) as listener:

                async def one() -> bool:
                    return len(handler.verified) == 1

                await until(one)
                await listener.end()

    assert first["forwarded"]["error"].startswith("nobody accepts a connection at localhost:")
    assert "2 events, 0 accepted" in said
    assert handler.tasks == ["success-listen-b"]


async def test_a_place_in_another_store_is_refused_with_where_to_go_on(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    async with relay_at(neighbours, tmp_path) as relay:
        refused = run(
            "listen",
            "--after",
            "0123456789abcdef-7",
            environ=cli_environ(relay.url, tmp_path),
            folder=tmp_path,
        )
        wrong = run("listen", "--after", "here", environ=cli_environ(relay.url, tmp_path), folder=tmp_path)

    assert (refused.returncode, wrong.returncode) == (exits.FAILED, exits.FAILED)
    assert "`--after " in refused.stderr
    assert "after: " in wrong.stderr
    assert "Traceback" not in refused.stderr + wrong.stderr


@pytest.mark.parametrize(
    ("task", "code", "state"),
    [
        ("success-after-1-watched", 0, "available"),
        ("error-after-1-watched", exits.FAILED, "available"),
    ],
)
async def test_a_script_waits_for_a_task_with_register_and_watch(
    task: str, code: int, state: str, neighbours: Neighbours, tmp_path: Path
) -> None:
    async with relay_at(neighbours, tmp_path) as relay:
        watched = run(
            "register", task, "--watch", "--json", environ=cli_environ(relay.url, tmp_path), folder=tmp_path
        )

    assert watched.returncode == code
    assert [orjson.loads(line)["state"] for line in watched.stdout.splitlines()][-1] == state
