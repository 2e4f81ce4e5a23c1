"""The rhythm that polls and deliveries share."""

from pathlib import Path

from tests.relays import FAILING, OK, SUCCESS, open_relay, settings_for, sqlite_url


async def test_places_that_are_all_freed_at_once_are_taken_again_before_the_next_tick(tmp_path: Path) -> None:
    few = settings_for(
        sqlite_url(tmp_path),
        polling={"concurrency": 2},
        delivery={"concurrency": 2, "concurrency_per_origin": 8},
    )
    async with open_relay(few) as relay:
        for number in range(6):
            relay.world.task(f"task-{number}", SUCCESS)
        hook = relay.world.hook("https://hooks.test/in", OK)

        answer = await relay.api.post(
            "/v1/registrations/batch",
            json={
                "registrations": [
                    {"task_id": f"task-{number}", "callback_url": "https://hooks.test/in"}
                    for number in range(6)
                ]
            },
        )
        await relay.settle()

        assert answer.status_code == 200
        assert len(hook.requests) == 6


async def test_a_claim_that_fails_by_a_fault_of_ours_is_counted_and_the_next_one_tries_again(
    tmp_path: Path,
) -> None:
    async with open_relay(settings_for(sqlite_url(tmp_path))) as relay:
        relay.world.task("task-1", SUCCESS)
        hook = relay.world.hook("https://hooks.test/in", FAILING, OK)
        await relay.register("task-1")
        await relay.settle()
        await relay.execute("UPDATE events SET type = 'task.unheard-of'")
        await relay.pass_time(60)
        refused = len(hook.requests)

        await relay.execute("UPDATE events SET type = 'task.succeeded'")
        await relay.tick()

        assert (refused, len(hook.requests)) == (1, 2)
        assert relay.metric("relay_errors_total", work="deliveries") > 0
