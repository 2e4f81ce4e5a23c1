import random

import httpx

from relay.demo.application import Application
from relay.demo.behaviours import script_of
from relay.demo.hooks import hook_of
from relay.demo.scenario import CLIENTS
from relay.demo.traffic import HABITS, RECEIVERS, Traffic
from relay.domain.kinds import KINDS

URLS = {name: f"http://{name}.test" for name in RECEIVERS}


async def test_traffic_is_what_the_simulator_and_the_receivers_understand() -> None:
    async with httpx.AsyncClient() as http:
        application = Application(http, relay_url="http://relay.test", receiver_url=URLS["well"], tokens={})
        traffic = Traffic(application, URLS, random.Random(1))
        wishes = [traffic.next_wish(number) for number in range(500)]

    assert {client for client, _ in wishes} == set(CLIENTS)
    assert all(script_of(str(wish["task_id"])) for _, wish in wishes)
    assert {str(wish["kind"]) for _, wish in wishes} <= set(KINDS)
    assert len({wish["task_id"] for _, wish in wishes}) == len(wishes)
    called = {str(wish["callback_url"]) for _, wish in wishes if "callback_url" in wish}
    assert all(hook_of(url.rpartition("/")[2]) for url in called)
    assert {httpx.URL(url).host for url in called} == {f"{name}.test" for name in RECEIVERS}
    assert any("callback_url" not in wish for _, wish in wishes)
    assert sum(habit.weight for habit in HABITS) == 100
