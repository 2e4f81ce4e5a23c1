import httpx

from relay.domain.deliveries import DeadReason
from relay.domain.kinds import KINDS
from tests.relays import FAILING, HOOK, OK, PENDING, SUCCESS, RelayInHand


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


async def keys_paused(relay: RelayInHand) -> float:
    await relay.relay.measuring.run_once()
    return relay.metric("relay_keys_paused")


async def test_a_key_counts_as_paused_until_it_answers_well(relay: RelayInHand) -> None:
    relay.world.task("task-1", httpx.Response(503), httpx.Response(503), PENDING)
    await relay.register()
    first = await keys_paused(relay)

    await relay.pass_time(2)
    again = await keys_paused(relay)
    await relay.pass_time(10)

    assert (first, again, await keys_paused(relay)) == (1, 1, 0)


async def test_a_key_that_has_nothing_to_ask_is_not_paused_for_ever(relay: RelayInHand) -> None:
    relay.world.task("task-1", httpx.Response(401))
    registration = await relay.register()
    await relay.api.delete(f"/v1/registrations/{registration}")

    relay.hands.advance(60 + 3_599)
    before = await keys_paused(relay)
    relay.hands.advance(1)

    assert (before, await keys_paused(relay)) == (1, 0)


async def test_what_is_alerted_about_as_it_increases_is_there_before_its_first_increase(
    relay: RelayInHand,
) -> None:
    exposed = relay.relay.metrics.exposition().decode()

    for reason in DeadReason:
        assert f'relay_deliveries_dead_total{{reason="{reason}"}} 0.0' in exposed
    for kind in KINDS:
        assert f'relay_polls_total{{kind="{kind}",result="unauthorized"}} 0.0' in exposed


async def test_an_origin_that_is_held_back_is_in_no_open_state(relay: RelayInHand) -> None:
    await relay.relay.measuring.run_once()

    exposed = relay.relay.metrics.exposition().decode()

    assert 'relay_origins{state="paused"} 0.0' in exposed
    assert 'state="open"' not in exposed
