"""A whole relay inside the test's process: real services and storage, a clock moved by hand, and a world made of respx routes."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import httpx
import orjson
import respx
from sqlalchemy import text
from starlette.applications import Starlette

from relay.app import Relay
from relay.clock import Clock
from relay.domain.instants import SECOND, Instant
from relay.outside import Outside
from relay.ports import create_app
from relay.settings import Settings
from relay.storage import schema, tables
from relay.storage.engine import Database, open_database
from relay.webhook.names import Lookup

TOKEN: Final = "token-of-default"
OTHER_TOKEN: Final = "token-of-other"
CAMB_KEY: Final = "camb-key-of-both"
SIGNING_SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CAMB_URL: Final = "https://camb.test/apis"
HOOK: Final = "https://hooks.test/in"
PUBLIC_ADDRESS: Final = "93.184.216.34"

PENDING: Final = httpx.Response(200, json={"status": "PENDING"})
SUCCESS: Final = httpx.Response(200, json={"status": "SUCCESS", "run_id": 7})
OK: Final = httpx.Response(204)
FAILING: Final = httpx.Response(500, text="the callback is broken")

SETTLED_WITHIN: Final = 20
STANDING: Final = ("committer", "notifier", "server", "starlette.responses.StreamingResponse", "waiting")
"""How the names of those tasks begin that go on for as long as the relay does, or as somebody who waits or listens."""

Answer = httpx.Response | Exception | Callable[[httpx.Request], Any]


class HandClock:
    """Both of a Clock's sources; they move only when told."""

    def __init__(self, wall: int = 1_795_000_000 * SECOND) -> None:
        self._monotonic = 0
        self._wall = wall
        self.clock = Clock(lambda: self._monotonic, lambda: self._wall)

    def advance(self, seconds: float) -> None:
        self._monotonic += round(seconds * SECOND)
        self._wall += round(seconds * SECOND)

    def jump(self, seconds: float) -> None:
        """Somebody sets the machine's clock."""
        self._wall += round(seconds * SECOND)


@dataclass
class Scripted:
    """Gives its answers one after the other, the last one again and again, and keeps the requests that came."""

    answers: list[Answer]
    now: Callable[[], Instant]
    requests: list[httpx.Request] = field(default_factory=list)
    at: list[Instant] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.at.append(self.now())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        result: httpx.Response = await answer(request)
        return result


class Held:
    """An answer that is given once it is let go; `asked` is set when somebody waits for it."""

    def __init__(self, response: httpx.Response) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self._response = response

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.set()
        await self.go.wait()
        return self._response


class World:
    """CAMB and the callbacks, as respx routes, and the names there are. What was not scripted is pending, or accepted."""

    def __init__(self, now: Callable[[], Instant]) -> None:
        self.router = respx.MockRouter(assert_all_called=False)
        self.names: dict[str, tuple[str, ...]] = {}
        self.looked_up: list[str] = []
        self.looked_up_for: set[str] = set()
        self._now = now
        self.everything_asked = Scripted([PENDING], now=now)
        self.everything_sent = Scripted([OK], now=now)
        self.router.route(method="GET", url__startswith=CAMB_URL, name="camb").mock(
            side_effect=self.everything_asked
        )
        self.router.route(method="POST", name="callbacks").mock(side_effect=self.everything_sent)

    def task(self, task_id: str, *answers: Answer, route: str = "text-to-sound") -> Scripted:
        """What CAMB answers about a task."""
        return self._before("GET", f"{CAMB_URL}/{route}/{task_id}", answers)

    def hook(self, url: str, *answers: Answer) -> Scripted:
        """What a callback answers."""
        return self._before("POST", url, answers)

    def outside(self) -> Outside:
        transport = httpx.MockTransport(self.router.async_handler)
        return Outside(transport, transport, self._lookups, collector=transport)

    def _lookups(self, client: str) -> Lookup:
        self.looked_up_for.add(client)
        return self._lookup

    async def _lookup(self, name: str) -> tuple[str, ...]:
        self.looked_up.append(name)
        return self.names.get(name, (PUBLIC_ADDRESS,))

    def _before(self, method: str, url: str, answers: tuple[Answer, ...]) -> Scripted:
        """Routes are asked in order: those that take everything stay behind."""
        script = Scripted(list(answers), now=self._now)
        last = [self.router.pop(name) for name in ("camb", "callbacks")]
        self.router.route(method=method, url=url).mock(side_effect=script)
        for name, route in zip(("camb", "callbacks"), last, strict=True):
            self.router.route(route.pattern, name=name).mock(side_effect=route.side_effect)
        return script


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayInHand:
    """An open relay; nothing in it becomes due by itself but what `pass_time` lets become due."""

    relay: Relay
    hands: HandClock
    world: World
    api: httpx.AsyncClient
    """Speaks as the client `default`."""
    other: httpx.AsyncClient
    """Speaks as the client `other`, which shares CAMB's key with `default`."""
    _before: frozenset[asyncio.Task[Any]]

    async def settle(self) -> None:
        """Let everything that was begun come to its end."""
        async with asyncio.timeout(SETTLED_WITHIN):
            while busy := self._busy():
                await asyncio.wait(busy)

    async def pass_time(self, seconds: float = 0) -> None:
        """Move the clock, then do what is due by then."""
        self.hands.advance(seconds)
        await self.tick()

    async def pass_to_next(self, queue: Literal["tasks", "deliveries"]) -> None:
        """Move the clock to where the next row of that queue is due, and do it."""
        ((next_at,),) = await self.execute(f"SELECT min(next_at) FROM {queue}")  # noqa: S608 - our own tables
        await self.pass_time((next_at - self.relay.clock.now()) / SECOND)

    async def tick(self) -> None:
        await self.relay.probing.run_once()
        await self.relay.polling.run_once()
        await self.settle()
        await self.relay.expiring.run_once()
        await self.settle()
        await self.relay.delivering.run_once()
        await self.settle()

    async def register(self, task_id: str = "task-1", callback_url: str | None = HOOK, **more: object) -> str:
        """The id of a new registration, once everything it set off has settled."""
        answer = await self.api.post(
            "/v1/registrations", json={"task_id": task_id, "callback_url": callback_url, **more}
        )
        assert answer.status_code == 201, answer.text
        await self.settle()
        registration: str = answer.json()["id"]
        return registration

    async def read(self, registration: str) -> dict[str, Any]:
        answer = await self.api.get(f"/v1/registrations/{registration}")
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = orjson.loads(answer.content)
        return document

    async def attempts(self, registration: str) -> list[dict[str, Any]]:
        answer = await self.api.get(f"/v1/registrations/{registration}/attempts")
        assert answer.status_code == 200, answer.text
        attempts: list[dict[str, Any]] = answer.json()["data"]
        return attempts

    async def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """On the relay's own writing connection, in a transaction."""

        def run(connection: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 - what the database hands to its work
            result = connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []

        return await self.relay.database.write(run)

    async def stored(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table, to be compared with what was there before."""
        return {
            table.name: sorted(await self.execute(f"SELECT * FROM {table.name}"), key=repr)  # noqa: S608 - our own tables
            for table in tables.metadata.sorted_tables
        }

    def metric(self, name: str, **labels: str) -> float:
        return self.relay.metrics.registry.get_sample_value(name, labels) or 0.0

    def _busy(self) -> set[asyncio.Task[Any]]:
        return {
            task
            for task in asyncio.all_tasks() - self._before
            if task is not asyncio.current_task() and not task.get_name().startswith(STANDING)
        }


def settings_for(database_url: str, **sections: Mapping[str, Any] | str) -> Settings:
    """Two clients on one CAMB key, no jitter, and no tick that would come by itself; `sections` are laid over that."""
    base: dict[str, Any] = {
        "database": {"url": database_url},
        "camb": {"base_url": CAMB_URL, "rate_per_second": 1_000},
        "polling": {"tick": "PT1M", "jitter": 0},
        "delivery": {"jitter": 0},
        "clients": {
            "default": client_section(TOKEN),
            "other": client_section(OTHER_TOKEN),
        },
    }
    for name, section in sections.items():
        base[name] = {**base.get(name, {}), **section} if isinstance(section, Mapping) else section
    return Settings.model_validate(base)


def client_section(token: str, **more: object) -> dict[str, object]:
    return {
        "api_tokens": [token],
        "camb_api_key": CAMB_KEY,
        "signing_secrets": [SIGNING_SECRET],
        **more,
    }


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'relay.db'}"


def migrate(database_url: str) -> None:
    async def migrated(database: Database) -> None:
        try:
            await database.write(schema.migrate)
        finally:
            await database.close()

    asyncio.run(migrated(open_database(database_url, HandClock().clock, pool_size=1)))


@asynccontextmanager
async def open_relay(
    settings: Settings,
    *,
    hands: HandClock | None = None,
    clock: Clock | None = None,
    world: World | None = None,
    accept_clock: bool = False,
) -> AsyncIterator[RelayInHand]:
    """`clock` is for a database whose own clock is the reference: PostgreSQL's cannot be moved by hand."""
    hands = hands or HandClock()
    clock = clock or hands.clock
    world = world or World(clock.now)
    before = frozenset(asyncio.all_tasks())
    relay = Relay(settings, world.outside(), clock=clock, rng=random.Random(7), accept_clock=accept_clock)
    app = create_app(relay)
    async with relay, _calling(app, TOKEN) as api, _calling(app, OTHER_TOKEN) as other:
        in_hand = RelayInHand(relay=relay, hands=hands, world=world, api=api, other=other, _before=before)
        await in_hand.settle()
        yield in_hand


def _calling(app: Starlette, token: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://relay",
        headers={"authorization": f"Bearer {token}"},
    )
