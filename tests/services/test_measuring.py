import httpx

from tests.relays import FAILING, HOOK, OK, SUCCESS, RelayInHand


async def test_what_waits_is_measured(relay: RelayInHand) -> None:
    relay.world.task("ended", SUCCESS)
    relay.world.hook(HOOK, FAILING)
    await relay.register("ended")
    await relay.register("task-1")
    relay.hands.advance(9)

    await relay.relay.measuring.run_once()

    assert relay.metric("relay_due", queue="tasks") == 1
    assert relay.metric("relay_due_oldest_age_seconds", queue="tasks") == 7
    assert relay.metric("relay_due", queue="deliveries") == 1
    assert relay.metric("relay_due_oldest_age_seconds", queue="deliveries") == 4


async def test_what_waits_for_a_pause_is_not_counted_as_due(relay: RelayInHand) -> None:
    relay.world.task("ended", SUCCESS)
    relay.world.hook(HOOK, httpx.Response(429, headers={"retry-after": "3600"}))
    await relay.register("ended")
    relay.hands.advance(600)

    await relay.relay.measuring.run_once()

    assert relay.metric("relay_due", queue="deliveries") == 0
    assert relay.metric("relay_due_oldest_age_seconds", queue="deliveries") == 0


async def test_what_is_dead_is_measured_by_its_reason(relay: RelayInHand) -> None:
    relay.world.task("ended", SUCCESS)
    relay.world.hook(HOOK, httpx.Response(410), OK)
    dead = await relay.register("ended")
    await relay.relay.measuring.run_once()
    before = {
        reason: relay.metric("relay_dead", reason=reason) for reason in ("gone", "exhausted", "blocked")
    }
    await relay.api.post(f"/v1/registrations/{dead}/redeliver")
    await relay.settle()

    await relay.relay.measuring.run_once()

    assert before == {"gone": 1, "exhausted": 0, "blocked": 0}
    assert relay.metric("relay_dead", reason="gone") == 0
