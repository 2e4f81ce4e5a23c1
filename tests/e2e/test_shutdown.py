"""SIGTERM: not ready any more, what is in flight finishes, nothing is sent twice, exit 0; asked again, it ends at once."""

import asyncio
import signal
from pathlib import Path
from typing import Final

import httpx
import orjson
import pytest

from relay.cli import exits
from tests.e2e.neighbours import Neighbours
from tests.e2e.processes import COMMAND, TOKEN, RelayProcess, environment, run, serving, sqlite_url, until
from tests.sockets import OK, Exchange, listening, unused_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

IDLE_STOP: Final = 5.0
"""Seconds: nothing is waited for, but an interpreter takes its time to leave."""


async def slow_delivery(relay: RelayProcess, neighbours: Neighbours, task_id: str) -> str:
    """A registration whose notification has come to a receiver that takes a while to accept it."""
    registration = await relay.register(task_id, neighbours.hook("slow-1.5"))

    async def has_come() -> bool:
        return await neighbours.arrival(registration) is not None

    await until(has_come)
    return registration


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_delivery_in_flight_finishes_and_nothing_is_sent_twice(
    neighbours: Neighbours, tmp_path: Path, number: signal.Signals
) -> None:
    environ = environment(neighbours, sqlite_url(tmp_path))

    async with serving(environ, tmp_path) as relay:
        registration = await slow_delivery(relay, neighbours, f"success-stop-{number.name}")
        relay.signal(number)
        exit_code = await relay.ended()
    before = await neighbours.arrival(registration)
    async with serving(environ, tmp_path) as successor:
        seen = await successor.read(registration)

    assert exit_code == 0
    assert before is not None
    assert (before["arrivals"], before["accepted"]) == (1, 1)
    assert (seen["state"], seen["delivery"]["attempts"]) == ("delivered", 1)
    assert relay.written.events("drain.cut_off") == []
    assert relay.written.events("relay.stopped") != []


async def test_an_idle_relay_stops_within_a_moment(neighbours: Neighbours, tmp_path: Path) -> None:
    environ = environment(neighbours, sqlite_url(tmp_path))

    # Without a stdin, as a container has it.
    async with serving(environ, tmp_path, ("sh", "-c", 'exec "$0" serve <&-', *COMMAND)) as relay:
        await relay.register("never-idle", neighbours.hook("ok"))
        exit_code = await relay.terminate(within=IDLE_STOP)

    assert exit_code == 0


async def test_a_second_signal_waits_for_nothing_and_loses_nothing(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    environ = environment(neighbours, sqlite_url(tmp_path))

    async with serving(environ, tmp_path) as relay, listening(Exchange.hang, OK) as receiver:
        registration = await relay.register("success-impatient", f"{receiver.origin}/hook")
        await receiver.arrived.wait()
        relay.signal(signal.SIGTERM)

        async def is_heard() -> bool:
            return relay.written.events("relay.stopping") != []

        await until(is_heard)
        relay.signal(signal.SIGINT)
        exit_code = await relay.ended(within=IDLE_STOP)
        async with serving(environ, tmp_path) as successor:
            seen = await successor.reaches(registration, "delivered")

    assert exit_code == exits.INTERRUPTED
    assert [line["requests"] for line in relay.written.events("drain.cut_off")] == [1]
    assert relay.written.events("relay.stopped") != []
    assert seen["delivery"]["attempts"] == 1, "what was cut off is on no record, and spends no try"
    assert len({received.headers["webhook-id"] for received in receiver.received}) == 1


async def test_who_has_a_connection_is_told_to_leave_it_before_it_is_closed(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    environ = environment(neighbours, sqlite_url(tmp_path))
    answers: list[httpx.Response] = []

    async with serving(environ, tmp_path) as relay, httpx.AsyncClient(trust_env=False) as client:

        async def keep_asking() -> None:
            while not answers or "connection" not in answers[-1].headers:
                answers.append(await client.get(f"{relay.url}/readyz"))

        asking = asyncio.create_task(keep_asking())
        relay.signal(signal.SIGTERM)
        await asking
        exit_code = await relay.ended()

    assert answers[-1].headers["connection"] == "close"
    assert answers[-1].status_code == 503
    assert "draining" in answers[-1].json()["reasons"]
    assert exit_code == 0


async def test_requests_that_are_being_sent_or_answered_are_finished(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    """Half of a batch is there, and a test notification is on its way."""
    environ = environment(neighbours, sqlite_url(tmp_path))
    let_go = asyncio.Event()

    async def held(exchange: Exchange) -> None:
        await let_go.wait()
        await exchange.write(OK)

    async with serving(environ, tmp_path) as relay, listening(held) as receiver:
        wishes = [
            {"task_id": f"never-half-{number}", "callback_url": neighbours.hook("ok")} for number in (1, 2)
        ]
        body = orjson.dumps({"registrations": wishes})
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(relay.url).port)
        writer.write(
            b"POST /v1/registrations/batch HTTP/1.1\r\nhost: relay\r\ncontent-type: application/json\r\n"
            b"authorization: Bearer %b\r\ncontent-length: %d\r\n\r\n%b"
            % (TOKEN.encode(), len(body), body[:20])
        )
        testing = asyncio.create_task(
            relay.api.post("/v1/test", json={"callback_url": f"{receiver.origin}/hook"})
        )
        await receiver.arrived.wait()
        relay.signal(signal.SIGTERM)

        async def is_closed() -> bool:
            return not await is_alive(relay.url)

        await until(is_closed)
        writer.write(body[20:])
        let_go.set()
        answered, tested = await reader.read(), await testing
        writer.close()
        exit_code = await relay.ended()

    assert answered.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nconnection: close\r\n" in answered
    assert tested.json()["attempt"]["http_status"] == 200, tested.text
    assert answered.count(b'"http_status":201') == 2
    assert exit_code == 0


async def is_alive(url: str) -> bool:
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            return (await client.get(f"{url}/livez")).status_code == 200
        except httpx.TransportError:
            return False


async def test_health_and_metrics_of_their_own_port_are_there_to_the_end_of_the_drain(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    port = unused_port()
    operations = f"http://127.0.0.1:{port}"
    environ = environment(neighbours, sqlite_url(tmp_path), SERVER__OPERATIONS_PORT=str(port))
    let_go = asyncio.Event()

    async def held(exchange: Exchange) -> None:
        await let_go.wait()
        await exchange.write(OK)

    async with serving(environ, tmp_path, operations_url=operations) as relay, listening(held) as receiver:
        await relay.register("success-watched-to-the-end", f"{receiver.origin}/hook")
        await receiver.arrived.wait()
        relay.signal(signal.SIGTERM)

        async def is_closed() -> bool:
            try:
                await relay.api.get("/v1/registrations")
            except httpx.TransportError:
                return True
            return False

        await until(is_closed)
        async with httpx.AsyncClient(base_url=operations, trust_env=False) as client:
            readiness = await client.get("/readyz")
            alive = (await client.get("/livez")).status_code
            in_flight = 'relay_in_flight{queue="deliveries"} 1.0' in (await client.get("/metrics")).text
        let_go.set()
        exit_code = await relay.ended()

    assert readiness.status_code == 503
    assert "draining" in readiness.json()["reasons"]
    assert (alive, in_flight) == (200, True)
    assert exit_code == 0


async def test_a_start_that_waits_for_its_database_is_ended_by_the_first_signal(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    async with listening(Exchange.hang) as mute:
        environ = environment(neighbours, f"postgresql://relay@127.0.0.1:{mute.port}/relay")
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            "serve",
            env=environ,
            cwd=tmp_path,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

        async def has_come() -> bool:
            return mute.connections > 0

        await until(has_come)
        process.terminate()
        printed, _ = await process.communicate()

    assert process.returncode == 0
    assert b"relay.stopping" in printed
    assert b"Traceback" not in printed


async def test_a_start_that_fails_half_way_leaves_nothing_open(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    async with listening(OK) as taken:
        environ = environment(neighbours, sqlite_url(tmp_path), SERVER__OPERATIONS_PORT=str(taken.port))
        refused = await asyncio.to_thread(run, "serve", environ=environ, folder=tmp_path)

    assert refused.returncode == exits.CONFIGURATION
    assert refused.stderr.endswith(
        f"cannot listen on 127.0.0.1, port {taken.port}: Address already in use; see server.host and server.port\n"
    )
    assert '"event":"relay.stopped"' in refused.stderr
    assert "Warning" not in refused.stderr
    assert not (tmp_path / "relay.db-wal").exists(), "the database was closed"


async def test_a_poll_in_flight_is_waited_for_and_the_task_goes_on_after_a_restart(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    environ = environment(neighbours, sqlite_url(tmp_path), CAMB__DEADLINE="PT1.5S")

    async with serving(environ, tmp_path) as relay:
        registration = await relay.register("hang-at-stop", neighbours.hook("ok"))

        async def is_polled() -> bool:
            return await neighbours.task("hang-at-stop") is not None

        await until(is_polled)
        exit_code = await relay.terminate()
    async with serving(environ, tmp_path) as successor:
        seen = await successor.reaches(registration, "delivered")

    task = await neighbours.task("hang-at-stop")
    assert exit_code == 0
    assert task is not None
    assert task["polls"] == seen["task"]["polls"] == 2


async def test_what_is_answered_while_the_signal_comes_is_stored(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    environ = environment(neighbours, sqlite_url(tmp_path))
    answered: list[str] = []

    async def keep_registering(relay: RelayProcess, name: str) -> None:
        number = 0
        while True:
            try:
                answered.append(await relay.register(f"never-at-stop-{name}-{number}", neighbours.hook("ok")))
            except httpx.TransportError:
                return
            number += 1

    async def has_answered() -> bool:
        return len(answered) > 5

    async with serving(environ, tmp_path) as relay, asyncio.TaskGroup() as callers:
        for name in "abcd":
            callers.create_task(keep_registering(relay, name))
        await until(has_answered)
        exit_code = await relay.terminate()
    async with serving(environ, tmp_path) as successor:
        known = {id_: await successor.read(id_) for id_ in answered}

    assert exit_code == 0
    assert {each["state"] for each in known.values()} == {"watching"}
