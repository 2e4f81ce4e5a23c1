"""SIGTERM: not ready any more, what is in flight finishes, nothing is sent twice, exit 0."""

import asyncio
import signal
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.e2e.neighbours import Neighbours
from tests.e2e.processes import RelayProcess, environment, serving, sqlite_url, until

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


async def is_ready(url: str) -> bool:
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            return (await client.get(f"{url}/readyz")).status_code == 200
        except httpx.TransportError:
            return False


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


async def test_a_relay_that_drains_is_not_ready(neighbours: Neighbours, tmp_path: Path) -> None:
    environ = environment(neighbours, sqlite_url(tmp_path))

    async with serving(environ, tmp_path) as relay:
        registration = await slow_delivery(relay, neighbours, "success-not-ready")
        relay.signal(signal.SIGTERM)

        async def is_off() -> bool:
            return not await is_ready(relay.url)

        await until(is_off)
        in_flight = await neighbours.arrival(registration)
        exit_code = await relay.ended()

    assert in_flight is not None
    assert in_flight["accepted"] == 0, "the delivery was still going on"
    assert exit_code == 0


async def test_an_idle_relay_stops_within_a_moment(neighbours: Neighbours, tmp_path: Path) -> None:
    environ = environment(neighbours, sqlite_url(tmp_path))

    async with serving(environ, tmp_path) as relay:
        await relay.register("never-idle", neighbours.hook("ok"))
        exit_code = await relay.terminate(within=IDLE_STOP)

    assert exit_code == 0


async def test_a_second_signal_cuts_nothing_short(neighbours: Neighbours, tmp_path: Path) -> None:
    environ = environment(neighbours, sqlite_url(tmp_path))

    async with serving(environ, tmp_path) as relay:
        registration = await slow_delivery(relay, neighbours, "success-impatient")
        for heard, number in enumerate((signal.SIGTERM, signal.SIGTERM, signal.SIGINT), 1):
            relay.signal(number)

            async def is_heard(count: int = heard) -> bool:
                return len(relay.written.events("relay.stopping")) == count

            await until(is_heard)
        exit_code = await relay.ended()
    arrival = await neighbours.arrival(registration)

    assert arrival is not None
    assert (arrival["arrivals"], arrival["accepted"]) == (1, 1)
    assert exit_code == 0


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
