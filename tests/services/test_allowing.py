"""What one client may register: in a minute, and at once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from relay.domain.allowances import MOST_OF_A_TASK
from relay.domain.instants import seconds
from relay.services.allow import COUNT_AGAIN, LATER_SECONDS
from relay.services.register import CROWDED_SECONDS
from relay.settings import Settings
from tests.api.problems import problem, rules
from tests.relays import (
    HOOK,
    OTHER_TOKEN,
    SUCCESS,
    TOKEN,
    RelayInHand,
    client_section,
    open_relay,
    settings_for,
    sqlite_url,
)

PER_MINUTE = 20
WATCHED = 5
PATH = "/v1/registrations"
BATCH = PATH + "/batch"


@pytest.fixture
async def bounded(tmp_path: Path) -> AsyncIterator[RelayInHand]:
    """The client `default` has bounds of its own, the other everybody's."""
    clients = {
        "default": client_section(TOKEN, registrations_per_minute=PER_MINUTE, max_watched=WATCHED),
        "other": client_section(OTHER_TOKEN),
    }
    async with open_relay(settings_for(sqlite_url(tmp_path), clients=clients)) as relay:
        yield relay


def item(task_id: str) -> dict[str, Any]:
    return {"task_id": task_id, "callback_url": HOOK}


async def post(relay: RelayInHand, task_id: str = "task-1") -> httpx.Response:
    return await relay.api.post(PATH, json=item(task_id))


async def post_batch(relay: RelayInHand, *task_ids: str) -> httpx.Response:
    return await relay.api.post(BATCH, json={"registrations": [item(task_id) for task_id in task_ids]})


def statuses(answer: httpx.Response) -> list[int]:
    return [each["http_status"] for each in answer.json()["data"]]


async def fill(relay: RelayInHand) -> list[str]:
    """As many watching registrations as there may be; their ids."""
    answer = await post_batch(relay, *(f"watched-{number}" for number in range(WATCHED)))
    assert statuses(answer) == [201] * WATCHED
    await relay.settle()
    return [each["registration"]["id"] for each in answer.json()["data"]]


async def test_beyond_its_minute_a_client_is_answered_429_until_it_fits(bounded: RelayInHand) -> None:
    for _ in range(PER_MINUTE):
        assert (await post(bounded)).is_success

    refused = await post(bounded, "one-too-many")
    wait = int(refused.headers["retry-after"])
    bounded.hands.advance(wait - 1)
    too_early = await post(bounded, "too-early")
    bounded.hands.advance(1)
    accepted = await post(bounded, "in-time")

    document = problem(refused, 429)
    assert document["retry_after"] == wait == 60 / PER_MINUTE
    assert f"{PER_MINUTE} times a minute (registrations_per_minute)" in document["detail"]
    assert (too_early.status_code, accepted.status_code) == (429, 201)
    assert bounded.metric("relay_registrations_total", result="created") == 2


async def test_what_the_minute_does_not_allow_is_neither_looked_up_nor_stored(bounded: RelayInHand) -> None:
    await post_batch(bounded, *["task-1"] * PER_MINUTE)
    await bounded.settle()
    before, looked_up = await bounded.stored(), len(bounded.world.looked_up)

    refused = await bounded.api.post(
        PATH, json={"task_id": "task-2", "callback_url": "https://another.test/in"}
    )

    assert refused.status_code == 429
    assert await bounded.stored() == before
    assert len(bounded.world.looked_up) == looked_up


async def test_a_batch_counts_as_many_as_it_holds_and_is_refused_whole(bounded: RelayInHand) -> None:
    accepted = await post_batch(bounded, *["task-1"] * (PER_MINUTE - 1))

    refused = await post_batch(bounded, "task-2", "task-3")

    assert accepted.status_code == 200
    assert problem(refused, 429)["retry_after"] == 60 / PER_MINUTE


async def test_a_batch_that_never_fits_into_a_minute_says_so(bounded: RelayInHand) -> None:
    answer = await post_batch(bounded, *["task-1"] * (PER_MINUTE + 1))

    assert rules(answer) == {
        "registrations": f"must be at most {PER_MINUTE}: that is what this client may register in a minute"
    }


async def test_a_client_that_is_at_its_bounds_is_in_nobody_elses_way(bounded: RelayInHand) -> None:
    await post_batch(bounded, *["task-1"] * PER_MINUTE)
    assert (await post(bounded)).status_code == 429

    answer = await bounded.other.post(PATH, json=item("task-1"))

    assert answer.status_code == 201


async def test_no_more_registrations_watch_than_the_client_may_have(bounded: RelayInHand) -> None:
    await fill(bounded)
    before = await bounded.stored()

    refused = await post(bounded, "one-too-many")

    document = problem(refused, 429)
    assert refused.headers["retry-after"] == str(LATER_SECONDS)
    assert f"{WATCHED} registrations of this client watch (max_watched)" in document["detail"]
    assert await bounded.stored() == before
    assert bounded.metric("relay_registrations_total", result="too_many") == 1


async def test_what_stands_is_answered_also_at_the_bound(bounded: RelayInHand) -> None:
    await fill(bounded)

    answer = await post(bounded, "watched-0")

    assert answer.status_code == 200


async def test_the_first_of_a_batch_find_room_and_each_of_the_others_is_refused(bounded: RelayInHand) -> None:
    await post_batch(bounded, *(f"watched-{number}" for number in range(WATCHED - 1)))

    answer = await post_batch(bounded, "watched-0", "fits", "fits", "too-many", "fits", "too-many")

    assert statuses(answer) == [200, 201, 200, 429, 200, 429]
    assert answer.json()["data"][3]["problem"]["retry_after"] == LATER_SECONDS


async def test_what_ends_or_is_cancelled_makes_room(bounded: RelayInHand) -> None:
    ids = await fill(bounded)
    bounded.world.task("watched-1", SUCCESS)
    assert (await post(bounded, "too-early")).status_code == 429

    await bounded.api.post(f"{PATH}/{ids[0]}/cancel")
    await bounded.pass_to_next("tasks")
    bounded.hands.advance(seconds(COUNT_AGAIN))
    answers = await post_batch(bounded, "one", "two", "three")

    assert statuses(answers) == [201, 201, 429]


async def test_a_registration_of_an_ended_task_takes_no_room(bounded: RelayInHand) -> None:
    bounded.world.task("ended", SUCCESS)
    await bounded.register("ended")
    await bounded.settle()
    for number in range(WATCHED):
        await bounded.api.post(PATH, json=item("ended") | {"callback_url": f"{HOOK}/{number}"})
    bounded.hands.advance(seconds(COUNT_AGAIN))

    answer = await post_batch(bounded, *(f"watched-{number}" for number in range(WATCHED)))

    assert statuses(answer) == [201] * WATCHED


async def test_many_at_once_do_not_share_the_last_place(bounded: RelayInHand) -> None:
    answers = await asyncio.gather(*(post(bounded, f"task-{number}") for number in range(PER_MINUTE)))

    assert sorted(answer.status_code for answer in answers) == [201] * WATCHED + [429] * (
        PER_MINUTE - WATCHED
    )


async def test_a_refused_callback_gives_its_place_back(bounded: RelayInHand) -> None:
    blocked = {"task_id": "task-1", "callback_url": "https://10.0.0.1/"}
    for _ in range(WATCHED):
        assert (await bounded.api.post(PATH, json=blocked)).status_code == 422

    assert len(await fill(bounded)) == WATCHED


async def test_what_was_registered_before_a_start_is_counted_after_it(tmp_path: Path) -> None:
    def configured(most: int) -> Settings:
        return settings_for(sqlite_url(tmp_path), registrations={"max_watched": most})

    async with open_relay(configured(2)) as relay:
        await relay.register("one")
        await relay.register("two")

    async with open_relay(configured(2)) as relay:
        refused = await relay.api.post(PATH, json=item("three"))
        other = await relay.other.post(PATH, json=item("three"))

    assert (refused.status_code, other.status_code) == (429, 201)


async def test_a_client_at_its_bound_has_the_database_count_once_a_second(
    bounded: RelayInHand,
) -> None:
    await fill(bounded)
    assert (await post(bounded, "too-many")).status_code == 429
    await bounded.execute("DELETE FROM registrations WHERE id = (SELECT min(id) FROM registrations)")

    stale = await post(bounded, "within-the-second")
    bounded.hands.advance(seconds(COUNT_AGAIN))
    fresh = await post(bounded, "after-it")

    assert (stale.status_code, fresh.status_code) == (429, 201)


async def test_a_task_that_has_all_the_registrations_there_may_be_takes_no_other(tmp_path: Path) -> None:
    async with open_relay(settings_for(sqlite_url(tmp_path))) as relay:
        asked = [item("task-1") | {"callback_url": f"{HOOK}/{number}"} for number in range(MOST_OF_A_TASK)]
        assert statuses(await relay.api.post(BATCH, json={"registrations": asked})) == [201] * MOST_OF_A_TASK

        refused = await post(relay)
        another = await post(relay, "task-2")

    document = problem(refused, 429)
    assert document["detail"].startswith(f"{MOST_OF_A_TASK} registrations of this task are kept")
    assert refused.headers["retry-after"] == str(CROWDED_SECONDS)
    assert another.status_code == 201
