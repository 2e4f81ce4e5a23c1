"""What the relay tells of itself: how things stand, and charts that outlive the process."""

import asyncio
import threading
from pathlib import Path

import httpx
from sqlalchemy import Connection
from structlog.testing import capture_logs

from relay.domain.deliveries import DeadReason
from relay.domain.instants import MINUTE, Span
from relay.domain.registrations import EventType
from relay.domain.rollups import Charts, ChartSpan, bucket_of, latency_of
from relay.domain.survey import Count, KeyState
from relay.services import tally
from tests.relays import (
    FAILING,
    HOOK,
    OK,
    PENDING,
    SUCCESS,
    HandClock,
    RelayInHand,
    World,
    client_section,
    open_relay,
    settings_for,
    sqlite_url,
)

ALONE = ["default"]
BOTH = ["default", "other"]


def totals(charts: Charts) -> tuple[dict[str, int], dict[str, int]]:
    return (
        {name: sum(series) for name, series in charts.detections.items()},
        {name: sum(series) for name, series in charts.outcomes.items()},
    )


async def written(relay: RelayInHand, names: list[str], span: ChartSpan = ChartSpan.HOUR) -> Charts:
    await relay.relay.tallying.run_once()
    return await relay.relay.surveying.charts(names, span)


async def test_what_was_detected_and_tried_and_how_long_it_took_is_charted(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    relay.world.hook(HOOK, FAILING, OK)
    await relay.register()
    await relay.pass_time(60)

    charts = await written(relay, ALONE)

    assert totals(charts) == ({"task.succeeded": 1}, {"rejected": 1, "accepted": 1})
    assert charts.outcomes["rejected"][-2:] == (1, 0)
    assert charts.outcomes["accepted"][-2:] == (0, 1)
    assert charts.overall.p50 == latency_of(bucket_of(MINUTE))
    assert [latency.p99 for latency in charts.latency[-2:]] == [None, charts.overall.p99]


async def test_a_registration_on_a_task_that_has_ended_counts_when_it_was_made(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    await relay.register()
    relay.hands.advance(300)
    await relay.register("task-1", HOOK + "/late")

    charts = await written(relay, ALONE)

    assert charts.detections["task.succeeded"][-6:] == (1, 0, 0, 0, 0, 1)


async def test_each_client_has_charts_of_its_own_and_whoever_reads_all_sees_their_sum(
    relay: RelayInHand,
) -> None:
    relay.world.task("task-1", SUCCESS)
    await relay.register()
    for number in range(2):
        await relay.other.post(
            "/v1/registrations", json={"task_id": "task-1", "callback_url": f"{HOOK}/{number}"}
        )
        await relay.settle()

    own, others, all_ = [await written(relay, names) for names in (ALONE, ["other"], BOTH)]

    assert totals(own) == ({"task.succeeded": 1}, {"accepted": 1})
    assert totals(others) == ({"task.succeeded": 2}, {"accepted": 2})
    assert totals(all_) == ({"task.succeeded": 3}, {"accepted": 3})


async def test_of_many_clients_together_no_more_is_read_than_of_one(tmp_path: Path) -> None:
    clients = {f"client_{number}": client_section(f"token-of-{number:02}") for number in range(40)}
    async with open_relay(settings_for(sqlite_url(tmp_path), clients=clients)) as relay:
        now = relay.relay.clock.now()
        for name in clients:
            relay.relay.tallying.detected(name, EventType.TASK_FAILED, now)
        await relay.relay.tallying.run_once()
        await relay.execute("DELETE FROM rollups WHERE client <> ''")

        everybody = await written(relay, list(relay.relay.clients))
        some = await written(relay, list(clients)[1:])

    assert totals(everybody) == ({"task.failed": 40}, {})
    assert totals(some) == ({}, {})


async def test_charts_survive_a_restart_and_what_was_not_written_yet_is_written_at_the_stop(
    tmp_path: Path,
) -> None:
    hands = HandClock()
    world = World(hands.clock.now)
    world.task("task-1", SUCCESS)
    settings = settings_for(sqlite_url(tmp_path))
    async with open_relay(settings, hands=hands, world=world) as relay:
        await relay.register()
        before = await relay.relay.surveying.charts(ALONE, ChartSpan.HOUR)
    hands.advance(60)

    async with open_relay(settings, hands=hands, world=world) as relay:
        await relay.register("task-1", HOOK + "/again")
        hour, day = [await written(relay, ALONE, span) for span in ChartSpan]

    assert totals(before) == ({}, {})
    assert totals(hour) == totals(day) == ({"task.succeeded": 2}, {"accepted": 2})
    assert (len(hour.starts), len(day.starts)) == (60, 96)


async def test_what_the_database_does_not_take_is_kept_and_written_later_and_once(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    await relay.register()
    await relay.execute("ALTER TABLE rollups RENAME TO elsewhere")

    with capture_logs() as logs:
        await relay.relay.tallying.run_once()
    await relay.execute("ALTER TABLE elsewhere RENAME TO rollups")
    await relay.register("task-1", HOOK + "/again")
    await written(relay, ALONE)
    charts = await written(relay, ALONE)

    assert [(line["event"], line["log_level"]) for line in logs] == [("rollups.failed", "warning")]
    assert totals(charts) == ({"task.succeeded": 2}, {"accepted": 2})


async def test_only_so_much_is_kept_for_a_database_that_takes_nothing(relay: RelayInHand) -> None:
    tallying, now = relay.relay.tallying, relay.relay.clock.now()
    for number in range(tally.MOST_WAITING + 1):
        tallying.detected(f"client {number:06}", EventType.TASK_FAILED, now)
    tallying.detected("client 000000", EventType.TASK_FAILED, now)

    await tallying.run_once()

    counts = await relay.execute("SELECT client, count FROM rollups WHERE span = 60 AND client <> ''")
    assert len(counts) == tally.MOST_WAITING
    assert [count for client, count in counts if client == "client 000000"] == [2]


async def test_a_stop_waits_only_so_long_for_the_last_counts(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    await relay.register()
    busy, free = threading.Event(), threading.Event()

    def hold(_connection: Connection) -> None:
        busy.set()
        free.wait(20)

    holding = asyncio.create_task(relay.relay.database.write(hold))
    await asyncio.to_thread(busy.wait, 20)
    with capture_logs() as logs:
        await relay.relay.tallying.close()
    free.set()
    await holding

    assert [line["event"] for line in logs] == ["rollups.abandoned"]


async def test_counts_go_once_no_chart_shows_them(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    await relay.register()
    await relay.relay.tallying.run_once()

    async def spans_after(hours: float) -> set[int]:
        relay.hands.advance(hours * 3_600)
        await relay.relay.pruning.run_once()
        return {span for (span,) in await relay.execute("SELECT span FROM rollups")}

    assert [await spans_after(hours) for hours in (1.9, 0.2, 24, 1)] == [{60, 900}, {900}, {900}, set()]


async def test_more_counts_than_one_roundful_go_at_once(relay: RelayInHand) -> None:
    for number in range(600):
        relay.relay.tallying.detected(f"client {number}", EventType.TASK_FAILED, relay.relay.clock.now())
    await relay.relay.tallying.run_once()
    relay.hands.advance(27 * 3_600)

    await relay.relay.pruning.run_once()

    assert await relay.execute("SELECT count(*) FROM rollups") == [(0,)]


async def test_how_things_stand_is_told_with_each_keys_health(relay: RelayInHand) -> None:
    relay.world.task("dead", SUCCESS)
    relay.world.hook(HOOK + "/gone", httpx.Response(410))
    relay.world.task("task-1", PENDING, httpx.Response(401))
    await relay.register("dead", HOOK + "/gone")
    await relay.register()
    before = await relay.relay.surveying.survey(BOTH)
    await relay.pass_time(2)
    refused_at = relay.relay.clock.now()
    relay.hands.advance(5)

    after = await relay.relay.surveying.survey(BOTH)

    (well,), (refused,) = before.keys, after.keys
    assert (before.watching, before.dead) == (Count(value=1), Count(value=1))
    assert (well.clients, well.state) == (("default", "other"), KeyState.WELL)
    assert (refused.state, refused.since) == (KeyState.REFUSED, refused_at)
    assert refused.paused_until == refused_at + MINUTE
    assert after.tasks.late == Span(0)


async def test_what_is_late_for_a_refused_key_is_held(relay: RelayInHand) -> None:
    relay.world.task("task-1", httpx.Response(503, headers={"retry-after": "600"}))
    await relay.register()
    relay.hands.advance(120)

    found = await relay.relay.surveying.survey(ALONE)

    assert (found.tasks.due, found.tasks.held) == (Count(value=0), Count(value=1))
    assert found.keys[0].state is KeyState.PAUSED
    assert found.at == relay.relay.clock.now()


async def test_what_is_dead_is_told_by_reason_and_origin(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    relay.world.hook(HOOK, httpx.Response(410))
    await relay.register()
    died_at = relay.relay.clock.now()

    (group,) = await relay.relay.surveying.dead_groups("default")

    assert (group.reason, group.origin, group.count) == (DeadReason.GONE, "https://hooks.test", 1)
    assert (group.newest_at, group.more) == (died_at, False)
    assert await relay.relay.surveying.dead_groups("other") == []
