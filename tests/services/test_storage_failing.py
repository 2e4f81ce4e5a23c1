import asyncio
from collections.abc import Callable

import httpx
import pytest
from structlog.testing import capture_logs

from tests.api.problems import problem
from tests.relays import HOOK, OK, PENDING, SUCCESS, Held, RelayInHand

LARGE = httpx.Response(200, text="x" * 4_096)
"""An answer that takes a page of its own."""


async def until(condition: Callable[[], bool]) -> None:
    """The committer tries again in its own time."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a counter is no event
            await asyncio.sleep(0.01)


async def fill_the_disk(relay: RelayInHand) -> None:
    """SQLite refuses to grow the file by a single page."""
    await relay.execute("PRAGMA max_page_count = 1")


async def free_the_disk(relay: RelayInHand) -> None:
    await relay.execute("PRAGMA max_page_count = 1000000")


async def test_a_full_disk_repeats_nothing_stops_the_claiming_and_is_got_over(relay: RelayInHand) -> None:
    hooks = [f"{HOOK}/{number}" for number in range(20)]
    held = Held(LARGE)
    relay.world.task("task-1", SUCCESS)
    first = [relay.world.hook(hook, held) for hook in hooks]
    items = [{"task_id": "task-1", "callback_url": hook} for hook in hooks]
    await relay.api.post("/v1/registrations/batch", json={"registrations": items})
    await held.asked.wait()

    await fill_the_disk(relay)
    with capture_logs() as logs:
        held.go.set()
        await until(lambda: relay.metric("relay_commit_failures_total", writes="attempts") >= 2)
    sent_when_full = sum(len(hook.requests) for hook in first)
    for _ in range(10):
        relay.hands.advance(60)
        await relay.relay.delivering.run_once()
    sent_later = sum(len(hook.requests) for hook in first)

    await free_the_disk(relay)
    await relay.settle()
    await relay.pass_time(60)

    listed = (await relay.api.get("/v1/registrations")).json()["data"]
    assert [line["event"] for line in logs] == ["commit.failed"]
    assert sent_later == sent_when_full < 20
    assert {item["state"] for item in listed} == {"delivered"}
    assert [len(hook.requests) for hook in first] == [1] * 20


async def test_a_full_disk_refuses_registrations_whole_and_takes_them_again(relay: RelayInHand) -> None:
    items = [
        {"task_id": f"task-{number}", "callback_url": HOOK, "metadata": {"pad": "x" * 4_000}}
        for number in range(200)
    ]
    before = await relay.stored()

    await fill_the_disk(relay)
    refused = await relay.api.post("/v1/registrations/batch", json={"registrations": items})
    meanwhile = await relay.stored()
    await free_the_disk(relay)
    accepted = await relay.api.post("/v1/registrations/batch", json={"registrations": items})

    assert "the database does not answer" in problem(refused, 503)["detail"]
    assert refused.headers["retry-after"] == "2"
    assert meanwhile == before
    assert {item["http_status"] for item in accepted.json()["data"]} == {201}


async def test_answers_of_camb_that_cannot_be_stored_are_kept_and_not_asked_for_again(
    relay: RelayInHand,
) -> None:
    held = Held(httpx.Response(200, json={"status": "SUCCESS", "pad": "x" * 100_000}))
    task = relay.world.task("task-1", held)
    other = relay.world.task("task-2", PENDING)
    await relay.register("task-2")
    answer = await relay.api.post("/v1/registrations", json={"task_id": "task-1", "callback_url": HOOK})
    await held.asked.wait()

    await fill_the_disk(relay)
    held.go.set()
    await until(lambda: relay.metric("relay_commit_failures_total", writes="polls") >= 1)
    for _ in range(3):
        relay.hands.advance(60)
        await relay.relay.polling.run_once()
    meanwhile = (len(task.requests), len(other.requests))
    await free_the_disk(relay)
    await relay.settle()
    await relay.pass_time(60)

    assert meanwhile == (1, 1)
    assert len(task.requests) == 1
    assert len(other.requests) == 2
    assert (await relay.read(answer.json()["id"]))["state"] == "delivered"


@pytest.mark.parametrize("queue", ["tasks", "deliveries"])
async def test_a_row_that_raises_does_not_starve_the_rest(relay: RelayInHand, queue: str) -> None:
    relay.world.task("task-1", PENDING, SUCCESS)
    bad = await relay.register("task-1", HOOK + "/bad")
    good = await relay.register("task-2", HOOK + "/good")
    await relay.execute(
        "UPDATE tasks SET kind = 'unheard-of' WHERE task_id = 'task-1'"
        if queue == "tasks"
        else f"UPDATE registrations SET callback_url = 'nonsense' WHERE id = '{bad}'"  # noqa: S608 - an id of ours
    )
    relay.world.task("task-2", SUCCESS)

    with capture_logs() as logs:
        await relay.pass_time(2)

    failed = [line for line in logs if line["event"] == "row.failed"]
    assert [(line["queue"], line["exc_info"]) for line in failed] == [(queue, True)]
    assert relay.metric("relay_errors_total", work=queue) == 1
    assert (await relay.read(good))["state"] == "delivered"
    assert (await relay.api.get(f"/v1/registrations/{bad}")).json()["state"] in {"watching", "delivering"}


async def test_a_row_that_raised_is_taken_up_again_after_its_lease(relay: RelayInHand) -> None:
    relay.world.task("task-1", ZeroDivisionError("no such answer"), SUCCESS)
    with capture_logs() as logs:
        registration = await relay.register()
    await relay.pass_time(24.9)
    before = (await relay.read(registration))["state"]

    await relay.pass_time(0.2)

    assert [line["event"] for line in logs] == ["row.failed"]
    assert before == "watching"
    assert (await relay.read(registration))["state"] == "delivered"


async def test_without_its_tables_nothing_is_claimed_and_the_work_goes_on_once_they_are_back(
    relay: RelayInHand,
) -> None:
    relay.world.task("task-1", PENDING, SUCCESS)
    registration = await relay.register(expires_in=60)
    await relay.execute("ALTER TABLE tasks RENAME TO mislaid")
    ticked_at = relay.relay.polling.ticked_at

    with capture_logs() as logs:
        relay.hands.advance(2)
        await relay.relay.polling.run_once()
        await relay.relay.pruning.run_once()
        await relay.relay.measuring.run_once()
        relay.hands.advance(60)
        await relay.relay.expiring.run_once()
    meanwhile = relay.relay.polling.ticked_at
    await relay.execute("ALTER TABLE mislaid RENAME TO tasks")
    await relay.tick()

    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("claim.failed", "warning"),
        ("prune.failed", "warning"),
        ("measure.failed", "warning"),
        ("expire.failed", "warning"),
    ]
    assert meanwhile == ticked_at
    assert (await relay.read(registration))["state"] == "delivered"


async def test_an_attempt_whose_log_cannot_be_written_is_recorded_all_the_same(relay: RelayInHand) -> None:
    relay.world.task("task-1", SUCCESS)
    relay.world.hook(HOOK, OK)
    await relay.execute(
        "CREATE TRIGGER no_log BEFORE INSERT ON attempts BEGIN SELECT RAISE(ABORT, 'no log'); END"
    )

    registration = await relay.register()

    assert (await relay.read(registration))["state"] == "delivered"
    assert await relay.attempts(registration) == []
    assert relay.metric("relay_attempt_logs_lost_total") == 1


async def test_what_a_row_itself_causes_is_a_500_for_its_caller_and_nobody_else(relay: RelayInHand) -> None:
    await relay.execute(
        "CREATE TRIGGER picky BEFORE INSERT ON registrations WHEN NEW.callback_url LIKE '%bad'"
        " BEGIN SELECT RAISE(ABORT, 'picky'); END"
    )

    with capture_logs() as logs:
        bad, good = await asyncio.gather(
            relay.api.post("/v1/registrations", json={"task_id": "a", "callback_url": HOOK + "/bad"}),
            relay.api.post("/v1/registrations", json={"task_id": "b", "callback_url": HOOK + "/good"}),
        )

    problem(bad, 500)
    assert good.status_code == 201
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["request.failed"]


async def test_a_claim_that_raises_is_told_and_is_not_the_last(relay: RelayInHand) -> None:
    relay.world.task("task-1", PENDING, SUCCESS)
    registration = await relay.register()
    await relay.execute("CREATE TRIGGER picky BEFORE UPDATE ON tasks BEGIN SELECT RAISE(ABORT, 'picky'); END")

    with capture_logs() as logs:
        relay.hands.advance(2)
        await relay.relay.polling.run_once()
    await relay.execute("DROP TRIGGER picky")
    await relay.tick()

    assert [(line["event"], line["queue"], line["exc_info"]) for line in logs] == [
        ("claim.failed", "tasks", True)
    ]
    assert relay.metric("relay_errors_total", work="tasks") == 1
    assert (await relay.read(registration))["state"] == "delivered"
