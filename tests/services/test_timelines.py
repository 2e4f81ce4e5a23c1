"""What the timelines of a whole relay say, whatever befell it."""

from pathlib import Path

import httpx
import pytest

from relay.domain.chain import Rule, Step, What
from relay.domain.clients import Client
from relay.domain.errors import NotFound
from relay.domain.ids import RegistrationId
from tests.domain.chains import hold
from tests.relays import (
    FAILING,
    HOOK,
    OK,
    PENDING,
    SUCCESS,
    RelayInHand,
    open_relay,
    settings_for,
    sqlite_url,
)

NOT_FOUND = httpx.Response(404)


async def told(relay: RelayInHand, registration: str) -> list[Step]:
    client = relay.relay.clients["default"]
    steps = await relay.relay.reading.timeline(client, RegistrationId(registration))
    hold(steps)
    return list(steps)


async def words(relay: RelayInHand, registration: str) -> list[What]:
    return [step.what for step in await told(relay, registration)]


async def test_a_delivery_is_told_from_its_registration_to_its_end(relay: RelayInHand) -> None:
    relay.world.task("task-1", PENDING, SUCCESS)
    relay.world.hook(HOOK, FAILING, OK)
    registration = await relay.register()
    watching = await told(relay, registration)
    await relay.pass_time(2)
    retrying = await told(relay, registration)
    await relay.pass_to_next("deliveries")

    delivered = await told(relay, registration)

    assert [step.what for step in watching] == [What.REGISTERED, What.POLLED, What.NEXT_POLL]
    assert watching[-1].rule is Rule.PACE
    assert [step.what for step in retrying] == [
        *(What.REGISTERED, What.POLLED, What.SEEN, What.QUEUED, What.TRIED, What.NEXT_TRY)
    ]
    assert (
        retrying[-1].detail
        == "attempt 2 is made by step 1 of 9 of the retry schedule, 5 s after the one before"
    )
    assert [step.what for step in delivered[4:]] == [What.TRIED, What.TRIED, What.DELIVERED]
    assert delivered[-1].detail == "delivered 5 s after the notification was made"


async def test_an_origin_that_asks_for_rest_holds_every_delivery_to_it(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    relay.world.hook(HOOK, httpx.Response(503, headers={"retry-after": "3600"}))
    first = await relay.register()
    second = await relay.register("task-1", HOOK + "/other")

    asked, held = await told(relay, first), await told(relay, second)

    assert asked[-2].facts["pause_seconds"] == 3_600
    assert asked[-1].rule is Rule.RETRY_AFTER
    assert [step.what for step in held[-3:]] == [What.QUEUED, What.HELD, What.NEXT_TRY]
    assert held[-2].facts["cause"] == "retry-after"
    assert held[-1].at == asked[-1].at


async def test_a_failing_origin_is_told_to_be_paused_then_probed(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    relay.world.hook(HOOK, FAILING)
    ids = [await relay.register()]
    for number in range(12):
        relay.world.hook(f"{HOOK}/{number}", FAILING)
        ids.append(await relay.register("task-1", f"{HOOK}/{number}"))
    causes = set()
    for _ in range(12):
        for registration in ids:
            causes |= {step.facts.get("cause") for step in await told(relay, registration)}
        await relay.pass_time(5)

    assert "failing" in causes


async def test_a_dead_delivery_tells_of_its_whole_schedule_and_goes_on_in_another_round(
    relay: RelayInHand,
) -> None:
    relay.world.task("task-1", SUCCESS)
    relay.world.hook(HOOK, *[httpx.Response(422)] * 10, OK)
    registration = await relay.register()
    for _ in range(9):
        await relay.pass_to_next("deliveries")
    dead = await told(relay, registration)
    await relay.api.post(f"/v1/registrations/{registration}/redeliver")
    await relay.settle()

    again = await told(relay, registration)

    assert dead[-1].detail == "given up after 10 attempts over 76 h: the last was answered 422"
    assert [step.what for step in again[-3:]] == [What.REDELIVERED, What.TRIED, What.DELIVERED]
    assert again[:-3] == dead[:-1]


async def test_what_can_never_succeed_says_so(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    relay.world.hook(HOOK, httpx.Response(410))

    registration = await relay.register()

    assert (await told(relay, registration))[
        -1
    ].detail == "given up: the callback answered 410, it is gone for good"


async def test_a_cancelled_registration_ends_there_wherever_it_was(relay: RelayInHand) -> None:
    relay.world.task("ended", SUCCESS)
    relay.world.hook(HOOK, FAILING)
    watching, delivering = await relay.register("task-1"), await relay.register("ended")
    for registration in (watching, delivering):
        await relay.api.post(f"/v1/registrations/{registration}/cancel")

    assert (await words(relay, watching))[-2:] == [What.POLLED, What.CANCELLED]
    assert (await words(relay, delivering))[-2:] == [What.TRIED, What.CANCELLED]


async def test_a_lost_task_and_an_expired_registration_tell_the_relays_own_verdicts(
    relay: RelayInHand,
) -> None:
    relay.world.task("lost", NOT_FOUND)
    relay.world.task("slow", PENDING)
    lost, expired = await relay.register("lost"), await relay.register("slow", expires_in=60)
    for _ in range(25):
        await relay.pass_time(30)
        for registration in (lost, expired):
            await told(relay, registration)

    assert What.LOST in await words(relay, lost)
    assert What.EXPIRED in await words(relay, expired)


async def test_who_registers_after_the_end_is_told_when_that_was(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    await relay.register()
    relay.hands.advance(600)

    late = await relay.register("task-1", HOOK + "/late")

    steps = await told(relay, late)
    assert [step.what for step in steps[:3]] == [What.REGISTERED, What.SEEN, What.QUEUED]
    assert "before the registration came" in steps[1].detail


async def test_a_key_that_is_refused_says_what_the_next_poll_waits_for(relay: RelayInHand) -> None:
    relay.world.task("task-1", httpx.Response(401))
    registration = await relay.register()

    polled, planned = (await told(relay, registration))[-2:]

    assert polled.detail.endswith("CAMB refused the client's key with 401")
    assert planned.rule is Rule.KEY


async def test_a_clock_that_jumped_is_named_where_something_would_expire(relay: RelayInHand) -> None:
    relay.world.task("task-1", PENDING)
    registration = await relay.register(expires_in=60)
    relay.hands.jump(-7_200)
    await relay.pass_time(90)

    over = (await told(relay, registration))[-2]

    assert (over.what, over.rule) == (What.TIME_OVER, Rule.CLOCK)


async def test_no_more_than_the_newest_attempts_are_told_one_by_one(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    relay.world.hook(HOOK, FAILING)
    registration = await relay.register()
    await relay.execute(
        "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 70)"
        " INSERT INTO attempts (registration, fence, number, started_at, duration, outcome, http_status, error, answer, round)"
        " SELECT registration, i, i, started_at, duration, outcome, http_status, error, answer, i / 10 + 1 FROM n, attempts"
    )
    await relay.execute("UPDATE deliveries SET attempts = 70, round = 8, round_at = next_at")

    steps = await told(relay, registration)

    tried = [step.facts["attempt"] for step in steps if step.what is What.TRIED]
    (left_out,) = [step for step in steps if step.what is What.LEFT_OUT]
    assert tried == list(range(21, 71))
    assert left_out.facts["attempts"] == 20


async def test_a_client_reads_no_other_ones_timeline(relay: RelayInHand) -> None:
    registration = await relay.register()
    other: Client = relay.relay.clients["other"]

    with pytest.raises(NotFound):
        await relay.relay.reading.timeline(other, RegistrationId(registration))
    assert (await relay.other.get(f"/v1/registrations/{registration}/timeline")).status_code == 404


async def test_the_timeline_of_a_delivery_under_way_names_its_lease(tmp_path: Path) -> None:
    async with open_relay(settings_for(sqlite_url(tmp_path))) as relay:
        relay.world.task("task-1", SUCCESS)
        registration = await relay.register()
        await relay.execute(
            "UPDATE deliveries SET ended_at = NULL, delivered_at = NULL, next_at = 2000000000000000,"
            " leased_until = 2000000000000000"
        )

        planned = (await told(relay, registration))[-1]

        await relay.execute("UPDATE deliveries SET next_at = NULL, leased_until = NULL")
    assert (planned.rule, planned.at) == (Rule.LEASE, 2_000_000_000_000_000)
