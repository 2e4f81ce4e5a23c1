"""Unlucky moments: crashes between two steps, stops, restarts, clocks, races, receivers that are down for days."""

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from relay.domain.instants import SECOND
from tests.receivers.calling import relaying
from tests.relays import (
    HOOK,
    OK,
    PENDING,
    SUCCESS,
    HandClock,
    Held,
    RelayInHand,
    World,
    open_relay,
    settings_for,
    sqlite_url,
)
from tests.sockets import ACCEPTED, Exchange, SocketServer, answer, hanging, listening

DAY: Final = 86_400
BUSY: Final = answer("503 Busy")


async def until(condition: Callable[[], bool]) -> None:
    """Receivers on sockets answer in their own time."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a count is no event
            await asyncio.sleep(0.005)


def crash(folder: Path, into: Path) -> None:
    """Keep what a crash at this moment would leave."""
    shutil.copytree(folder, into, ignore=shutil.ignore_patterns("*.lock"))


def by_id(server: SocketServer) -> dict[str, set[bytes]]:
    """The bodies that came under each id."""
    found: dict[str, set[bytes]] = {}
    for received in server.received:
        found.setdefault(received.headers["webhook-id"], set()).add(received.body)
    return found


async def states(relay: RelayInHand, state: str | None = None) -> Counter[str]:
    query = {"limit": "200"} if state is None else {"limit": "200", "state": state}
    listed = (await relay.api.get("/v1/registrations", params=query)).json()["data"]
    return Counter(item["state"] for item in listed)


async def test_a_crash_after_the_registrations_commit_loses_no_notification(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    held = Held(SUCCESS)
    async with listening(ACCEPTED) as server:
        async with relaying(before) as relay:
            relay.world.task("task-1", held)
            answered = await relay.api.post(
                "/v1/registrations", json={"task_id": "task-1", "callback_url": server.origin}
            )
            await held.asked.wait()
            crash(before, after)
            await relay.api.post(f"/v1/registrations/{answered.json()['id']}/cancel")
            held.go.set()
        told_before = len(server.received)
        async with relaying(after) as successor:
            state = (await successor.read(answered.json()["id"]))["state"]

    assert answered.status_code == 201
    assert (told_before, len(server.received), state) == (0, 1, "delivered")


async def test_a_crash_between_the_events_commit_and_its_sending_loses_no_notification(
    tmp_path: Path,
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    async with listening(ACCEPTED) as server:
        async with relaying(before) as relay:
            relay.relay.delivering.stop_claiming()
            registration = await relay.register(callback_url=server.origin)
            state_before = (await relay.read(registration))["state"]
            crash(before, after)
        told_before = len(server.received)
        async with relaying(after) as successor:
            state = (await successor.read(registration))["state"]

    assert (state_before, told_before) == ("delivering", 0)
    assert (state, len(server.received)) == ("delivered", 1)


async def test_a_crash_after_the_2xx_and_before_it_is_recorded_sends_the_same_again(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()

    async def accept(exchange: Exchange) -> None:
        crash(before, after)
        await exchange.write(ACCEPTED)

    async with listening(accept, ACCEPTED) as server:
        async with relaying(before) as relay:
            registration = await relay.register(callback_url=server.origin)
            recorded = (await relay.read(registration))["state"]
        async with relaying(after) as successor:
            resource = await successor.read(registration)

    first, second = server.received
    assert recorded == resource["state"] == "delivered"
    assert resource["delivery"]["attempts"] == 1, "the one that was recorded"
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


async def test_a_request_that_takes_thirty_seconds_is_waited_for_at_a_stop_and_sent_once(
    tmp_path: Path,
) -> None:
    patient = settings_for(sqlite_url(tmp_path), server={"drain": "PT31S"}, delivery={"deadline": "PT30S"})
    held = Held(OK)
    async with open_relay(patient) as relay:
        relay.world.task("task-1", SUCCESS)
        hook = relay.world.hook(HOOK, held)
        answered = await relay.api.post("/v1/registrations", json={"task_id": "task-1", "callback_url": HOOK})
        await held.asked.wait()

        relay.relay.begin_drain()
        relay.hands.advance(30)
        draining = asyncio.create_task(relay.relay.drain())
        await asyncio.sleep(0)
        waited = not draining.done()
        held.go.set()
        await draining
        resource = await relay.read(answered.json()["id"])

    assert waited
    assert (resource["state"], resource["delivery"]["attempts"]) == ("delivered", 1)
    assert len(hook.requests) == 1


async def test_restarts_poll_at_the_keys_rate_and_earn_no_burst(tmp_path: Path) -> None:
    hands = HandClock()
    world = World(hands.clock.now)
    settings = settings_for(sqlite_url(tmp_path), camb={"rate_per_second": 10})
    asked = world.everything_asked.requests
    items = [{"task_id": f"task-{number}", "callback_url": HOOK} for number in range(60)]
    async with open_relay(settings, hands=hands, world=world) as relay:
        await relay.api.post("/v1/registrations/batch", json={"registrations": items})
        await relay.settle()
    hands.advance(600)
    asked.clear()

    counts = []
    for _ in range(4):
        async with open_relay(settings, hands=hands, world=world) as relay:
            await relay.settle()
            counts.append(len(asked))
            await relay.pass_time(0.5)
            counts.append(len(asked))

    assert counts == [10, 15, 15, 20, 20, 25, 25, 30]
    assert len({request.url for request in asked}) == 30


async def test_a_clock_set_back_an_hour_puts_off_no_retry_and_repeats_nothing(tmp_path: Path) -> None:
    async with listening(BUSY, ACCEPTED) as server, relaying(tmp_path) as relay:
        registration = await relay.register(callback_url=server.origin)
        relay.hands.jump(-3_600)
        for _ in range(12):
            await relay.pass_time(1)
        resource = await relay.read(registration)

    first, second = (int(received.headers["webhook-timestamp"]) for received in server.received)
    assert resource["state"] == "delivered"
    assert -3_600 < second - first <= -3_600 + 12


async def test_a_start_after_the_clock_was_set_back_an_hour_delivers_what_was_due(tmp_path: Path) -> None:
    hands = HandClock()
    async with listening(BUSY, ACCEPTED) as server:
        async with relaying(tmp_path, hands=hands) as relay:
            registration = await relay.register(callback_url=server.origin)
        behind = HandClock(wall=hands.clock.wall() - 3_600 * SECOND)
        async with relaying(tmp_path, hands=behind) as successor:
            for _ in range(12):
                await successor.pass_time(1)
            resource = await successor.read(registration)

    assert resource["state"] == "delivered"
    assert len(server.received) == 2


async def test_registrations_that_race_on_one_identity_make_one_and_are_all_told_its_id(
    relay: RelayInHand,
) -> None:
    wish = {"task_id": "task-1", "callback_url": HOOK}
    relay.world.task("task-1", PENDING)

    answers = await asyncio.gather(*(relay.api.post("/v1/registrations", json=wish) for _ in range(20)))

    assert Counter(answer.status_code for answer in answers) == {200: 19, 201: 1}
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_registrations_that_race_with_other_options_leave_one_standing_and_conflict(
    relay: RelayInHand,
) -> None:
    relay.world.task("task-1", PENDING)
    wishes = [
        {"task_id": "task-1", "callback_url": HOOK, "metadata": {"number": number % 2}}
        for number in range(20)
    ]

    answers = await asyncio.gather(*(relay.api.post("/v1/registrations", json=wish) for wish in wishes))

    (winner,) = [place for place, answer in enumerate(answers) if answer.status_code == 201]
    standing = answers[winner].json()["id"]
    for place, told in enumerate(answers):
        if place % 2 != winner % 2:
            assert (told.status_code, told.headers["location"]) == (409, f"/v1/registrations/{standing}")
        elif place != winner:
            assert (told.status_code, told.json()["id"]) == (200, standing)


async def test_deliveries_that_are_cancelled_while_they_are_queued_are_not_sent(relay: RelayInHand) -> None:
    async with listening(answer("429 Slow Down", retry_after="60"), ACCEPTED) as server:
        made = [await relay.register("task-1", f"{server.origin}/{number}") for number in range(6)]
        sent_before = len(server.received)
        cancelled = [
            await relay.api.post(f"/v1/registrations/{registration}/cancel") for registration in made[::2]
        ]
        for _ in range(6):
            await relay.pass_time(60)
        found = await states(relay)

    assert sent_before == 1
    assert {answer.status_code for answer in cancelled} == {200}
    assert found == {"cancelled": 3, "delivered": 3}
    assert sorted(received.target for received in server.received) == [b"/0", b"/1", b"/3", b"/5"]


async def test_nothing_is_dropped_while_a_receiver_is_down_for_days(relay: RelayInHand) -> None:
    async with listening(BUSY) as server:
        made = [await relay.register(f"task-{number}", f"{server.origin}/{number}") for number in range(5)]
        for _ in range(200):
            if not await states(relay, "delivering"):
                break
            await relay.pass_time(DAY)
        dead = await states(relay, "dead")
        await relay.pass_time(60 * DAY)
        await relay.relay.pruning.run_once()
        kept = await states(relay, "dead")

        server.answers[:] = [ACCEPTED]
        server.received.clear()
        for registration in made:
            await relay.api.post(f"/v1/registrations/{registration}/redeliver")
        for _ in range(10):
            await relay.pass_time(DAY)
        delivered = await states(relay, "delivered")

    assert dead == kept == {"dead": 5}
    assert delivered == {"delivered": 5}
    assert {received.target for received in server.received} == {f"/{number}".encode() for number in range(5)}


async def test_a_receiver_that_hangs_holds_its_own_slots_while_all_others_are_told(tmp_path: Path) -> None:
    """Forty deliveries wait for a receiver that never answers, and are older than everybody else's."""
    async with (
        relaying(tmp_path, deadline="PT2S") as relay,
        listening(hanging()) as stuck,
        listening(ACCEPTED) as well,
    ):
        for server in (stuck, well):
            items = [
                {"task_id": "task-1", "callback_url": f"{server.origin}/{number}"} for number in range(40)
            ]
            await relay.api.post("/v1/registrations/batch", json={"registrations": items})
        await until(lambda: len(well.received) == 40)
        held = (len(stuck.received), stuck.connections)

    assert held == (8, 8)


async def test_bytes_that_no_text_may_hold_are_kept_and_shown(relay: RelayInHand) -> None:
    async with listening(answer("500 Br\xf6ken", b"a\x00b\xff\xfe</script>\x1b[2J"), ACCEPTED) as server:
        registration = await relay.register(callback_url=server.origin)
        await relay.pass_to_next("deliveries")
        attempts = await relay.attempts(registration)

    assert [each["http_status"] for each in attempts] == [500, 204]
    assert attempts[0]["answer"] == "a\x00b\ufffd\ufffd</script>\x1b[2J"


async def test_a_204_with_a_body_is_delivered_once(relay: RelayInHand) -> None:
    async with listening(b"HTTP/1.1 204 No Content\r\n\r\n<html>thanks</html>", BUSY) as server:
        registration = await relay.register(callback_url=server.origin)
        await relay.pass_time(DAY)
        resource = await relay.read(registration)

    assert (resource["state"], resource["delivery"]["last_http_status"]) == ("delivered", 204)
    assert len(server.received) == 1


@pytest.mark.parametrize("poison", [b"\x00", b"HTTP/1.1 500 Broken\r\n\r\n"], ids=["no HTTP", "a failure"])
async def test_one_payload_that_breaks_its_receiver_holds_up_no_other(
    relay: RelayInHand, poison: bytes
) -> None:
    async def pick(exchange: Exchange) -> None:
        await exchange.write(poison if exchange.received.target == b"/3" else ACCEPTED)
        exchange.writer.close()

    async with listening(pick) as server:
        items = [{"task_id": "task-1", "callback_url": f"{server.origin}/{number}"} for number in range(8)]
        await relay.api.post("/v1/registrations/batch", json={"registrations": items})
        await relay.settle()
        found = await states(relay)

    assert found == {"delivered": 7, "delivering": 1}
    assert all(len(bodies) == 1 for bodies in by_id(server).values())
