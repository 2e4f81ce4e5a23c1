"""What the image does where it is run."""

import socket
from typing import Final

import httpx
import pytest

from tests.e2e.neighbours import CAMB_KEY, SIGNING_SECRET, Neighbours, neighbours_at
from tests.e2e.processes import TOKEN, until
from tests.image.conftest import NETWORK, Figure, Start, World, published
from tests.image.container import Container
from tests.postgres import PostgresServer

pytestmark = [pytest.mark.image, pytest.mark.timeout(600)]

AT_ONCE: Final = 1.0
"""Seconds for an idle relay to stop, podman's own share included; the best of a few, for the machine has other work."""
STOPS: Final = 3

SECRETS: Final = {"API_TOKENS": TOKEN, "CAMB_API_KEY": CAMB_KEY, "SIGNING_SECRETS": SIGNING_SECRET}
QUICK: Final = {"POLLING__TICK": "PT0.1S", "POLLING__MIN_PACE": "PT0.2S"}
INSIDE: Final = {"CALLBACKS__ALLOW_NETWORKS": "private", "CALLBACKS__ALLOW_HTTP": "allowed-networks"}

USERS: Final = [
    pytest.param((), id="its-own-user"),
    pytest.param(("--user=1234567:0",), id="a-random-user"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Api:
    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self._url = url
        self._http = http
        self._headers = {"authorization": f"Bearer {TOKEN}"}

    async def ready(self) -> None:
        async def answers() -> bool:
            try:
                return (await self._http.get(f"{self._url}/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        await until(answers)

    async def register(self, wish: dict[str, str]) -> str:
        answer = await self._http.post(f"{self._url}/v1/registrations", headers=self._headers, json=wish)
        assert answer.status_code == 201, answer.text
        id_: str = answer.json()["id"]
        return id_

    async def state(self, registration: str) -> str:
        answer = await self._http.get(f"{self._url}/v1/registrations/{registration}", headers=self._headers)
        state: str = answer.json()["state"]
        return state

    async def notified(self, neighbours: Neighbours, task_id: str) -> str:
        """The registration of that task, once its verified notification was accepted."""
        registration = await self.register({"task_id": task_id, "callback_url": neighbours.hook("ok")})

        async def delivered() -> bool:
            return await self.state(registration) == "delivered"

        await until(delivered)
        arrival = await neighbours.arrival(registration)
        assert arrival is not None
        assert (arrival["arrivals"], arrival["accepted"]) == (1, 1)
        assert arrival["body"]["data"]["payload"]["status"] == "SUCCESS"
        return registration


async def stops_in_peace(container: Container, figure: Figure, who: str) -> None:
    stopped = await container.stop()
    figure(f"{who} stopped in {stopped.seconds:.2f} s, exit code {stopped.exit_code}")
    assert stopped.exit_code == 0, container.logs


@pytest.mark.parametrize("user", USERS)
async def test_a_volume_a_port_and_three_secrets_are_enough(
    start: Start, figure: Figure, request: pytest.FixtureRequest, user: tuple[str, ...]
) -> None:
    container = start(options=(*user, *published(), "--volume=/data"), **SECRETS)

    async with httpx.AsyncClient(trust_env=False) as http:
        await Api(container.url, http).ready()
    await container.becomes_healthy()

    await stops_in_peace(container, figure, f"idle, {request.node.callspec.id}:")


async def test_it_stops_at_once_when_idle(start: Start, figure: Figure) -> None:
    container = start(
        options=("--network=none",), **SECRETS
    )  # to take a network down is not the relay's time

    stops = []
    for _ in range(STOPS):
        await container.becomes_healthy()
        stops.append(await container.stop())
        container.start()

    figure(f"idle: stopped in {', '.join(f'{each.seconds:.2f}' for each in stops)} s")
    assert {each.exit_code for each in stops} == {0}
    assert min(each.seconds for each in stops) < AT_ONCE


@pytest.mark.parametrize("user", USERS)
async def test_it_does_its_job_and_what_it_knows_survives_the_container(
    start: Start, world: World, figure: Figure, request: pytest.FixtureRequest, user: tuple[str, ...]
) -> None:
    who = request.node.callspec.id
    options = (*user, *published(), f"--network={NETWORK}", f"--volume={who}:/data")
    variables = {**SECRETS, **QUICK, **INSIDE, "CAMB__BASE_URL": f"{world.simulator}/apis"}
    first = start(options=options, **variables)

    async with neighbours_at(world.published_simulator, world.receiver) as neighbours:
        api = Api(first.url, neighbours.http)
        await api.ready()
        registration = await api.notified(neighbours, f"success-after-0.3-{who}")
        await stops_in_peace(first, figure, f"after its job, {who}:")
        second = start(options=options, **variables)
        api = Api(second.url, neighbours.http)
        await api.ready()
        known = await api.state(registration)

    assert known == "delivered"


async def test_a_url_is_enough_for_postgresql(
    start: Start, world: World, figure: Figure, postgres_server: PostgresServer
) -> None:
    database = postgres_server.url_for(postgres_server.create_database())
    port = free_port()
    variables = {
        **SECRETS,
        **QUICK,
        **INSIDE,
        "DATABASE__URL": database,
        "SERVER__PORT": str(port),
        "CAMB__BASE_URL": f"{world.published_simulator}/apis",
    }
    options = ("--network=host",)  # the server listens on the host's loopback alone

    migrated = start("migrate", options=options, **variables)
    assert await migrated.ended() == 0, migrated.logs
    container = start(options=options, **variables)
    async with neighbours_at(world.published_simulator, world.receiver) as neighbours:
        api = Api(f"http://127.0.0.1:{port}", neighbours.http)
        await api.ready()
        await api.notified(neighbours, "success-after-0.3-postgresql")

    await container.becomes_healthy()
    await stops_in_peace(container, figure, "after its job, on PostgreSQL:")
