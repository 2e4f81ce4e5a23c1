from pathlib import Path

import httpx

from relay import __version__
from relay.ports import create_operations_app
from tests.api.problems import problem
from tests.relays import RelayInHand, open_relay, settings_for, sqlite_url


async def reasons(relay: RelayInHand) -> list[str]:
    answer = await relay.api.get("/readyz")
    found: list[str] = answer.json()["reasons"]
    assert answer.status_code == (503 if found else 200)
    assert answer.json()["status"] == ("unavailable" if found else "ok")
    return found


async def test_health_and_metrics_need_no_token(relay: RelayInHand) -> None:
    del relay.api.headers["authorization"]

    answers = [await relay.api.get(path) for path in ("/livez", "/readyz", "/metrics", "/openapi.json")]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert [answer.headers["content-type"].partition(";")[0] for answer in answers] == [
        "application/json",
        "application/json",
        "text/plain",
        "application/json",
    ]


async def test_it_is_ready_once_it_has_looked_at_its_queues(relay: RelayInHand) -> None:
    assert await reasons(relay) == []


async def test_it_is_not_ready_while_nobody_looks_at_a_queue(relay: RelayInHand) -> None:
    relay.hands.advance(120.1)
    await relay.relay.probing.run_once()
    await relay.relay.delivering.run_once()

    assert await reasons(relay) == ["tasks: not looked at lately"]

    await relay.tick()

    assert await reasons(relay) == []


async def test_it_is_not_ready_while_the_database_has_not_answered_for_five_seconds(
    relay: RelayInHand,
) -> None:
    relay.hands.advance(5)
    assert await reasons(relay) == []

    relay.hands.advance(0.1)

    assert await reasons(relay) == ["database: no answer lately"]
    assert (await relay.api.get("/livez")).json() == {"status": "ok"}


async def test_it_is_not_ready_while_it_drains(relay: RelayInHand) -> None:
    relay.relay.begin_drain()

    assert await reasons(relay) == ["draining"]
    assert (await relay.api.get("/livez")).status_code == 200


async def test_a_slow_tick_is_no_reason_to_be_unready(tmp_path: Path) -> None:
    settings = settings_for(sqlite_url(tmp_path), polling={"tick": "PT10S"})
    async with open_relay(settings) as relay:
        relay.hands.advance(19)
        await relay.relay.probing.run_once()

        assert await reasons(relay) == []


async def test_health_moves_to_a_port_of_its_own_where_one_is_set(tmp_path: Path) -> None:
    settings = settings_for(sqlite_url(tmp_path), server={"operations_port": 9090})
    async with open_relay(settings) as relay:
        operations = httpx.AsyncClient(
            transport=httpx.ASGITransport(create_operations_app(relay.relay)), base_url="http://operations"
        )

        moved = [await relay.api.get(path) for path in ("/livez", "/readyz", "/metrics")]
        there = [await operations.get(path) for path in ("/livez", "/readyz", "/metrics")]
        not_there = await operations.get("/v1/registrations")

    assert [answer.status_code for answer in moved] == [404] * 3
    assert [answer.status_code for answer in there] == [200] * 3
    problem(not_there, 404)


async def test_metrics_name_what_keeps_it_from_being_ready(relay: RelayInHand) -> None:
    def not_ready() -> set[str]:
        names = ("tasks", "deliveries", "database", "draining")
        return {name for name in names if relay.metric("relay_not_ready", reason=name)}

    exposed = (await relay.api.get("/metrics")).text
    at_first = not_ready()
    relay.hands.advance(120.1)
    later = not_ready()
    relay.relay.begin_drain()

    assert 'relay_not_ready{reason="database"} 0.0' in exposed
    assert at_first == set()
    assert later == {"tasks", "deliveries", "database"}
    assert not_ready() == {"tasks", "deliveries", "database", "draining"}


async def test_metrics_say_what_runs_here(relay: RelayInHand) -> None:
    assert relay.metric("relay_build_info", version=__version__, role="all") == 1
