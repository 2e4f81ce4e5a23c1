"""The demo's run: start everything, register, kill the relay in the middle, and see what became of every registration."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import httpx
from rich.text import Text

from relay.api.schemas import RegistrationResource
from relay.clock import Clock
from relay.demo.application import Application
from relay.demo.observed import seen_arrivals, seen_tasks
from relay.demo.processes import Child, Processes
from relay.demo.scenario import CLIENTS, SHORTENED, PlannedTask
from relay.demo.screen import Row, Screen
from relay.demo.traffic import RECEIVERS, Traffic
from relay.demo.verdict import Crash, Summary, judge
from relay.domain.instants import Instant, Span, seconds
from relay.domain.registrations import RegistrationState
from relay.webhook.signing import NEW_KEY, new_secret

_SECONDS_IN_ALL: Final = 90
_SECONDS_UNTIL_BUSY: Final = 8
_GLANCE_SECONDS: Final = 0.1
_REQUEST_SECONDS: Final = 10
_ANSWERED_BEFORE_THE_CRASH: Final = 3
_HELD_BACK: Final = 3
"""One task in so many is registered while the relay is killed."""
_DELIVERED_FIRST: Final = 3
"""One registration in so many of the others is delivered before."""


class Demo:
    """Use it within `opened()`; `play` once, and `close` to stop the relay in peace."""

    def __init__(
        self,
        tasks: Sequence[PlannedTask],
        *,
        environ: Mapping[str, str],
        clock: Clock,
        rng: random.Random,
        screen: Screen,
    ) -> None:
        self._tasks = tasks
        self._clock = clock
        self._screen = screen
        self._processes = Processes(environ)
        # They guard nothing: all of it is made up, and stays on the loopback interface.
        self.tokens = {client: f"{client}-{rng.getrandbits(64):016x}" for client in CLIENTS}
        self.operators_token = f"operator-{rng.getrandbits(64):016x}"
        self.signing_secret = new_secret(rng.randbytes(NEW_KEY))
        self._rng = rng
        self._begun = clock.now()
        self._killed_at: Instant | None = None
        self._crash: Crash | None = None
        self._listed: Mapping[str, RegistrationResource] = {}
        self.simulator: Child
        self.receiver: Child
        self.relay: Child

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Raises ProcessFailed."""
        async with self._processes, httpx.AsyncClient(trust_env=False, timeout=_REQUEST_SECONDS) as http:
            self._http = http
            self.simulator, self.receiver = await asyncio.gather(
                self._processes.start("simulator", "relay.demo.simulator"),
                self._processes.start("receiver", "relay.demo.receiver", "--secret", self.signing_secret),
            )
            self.relay = await self._start_relay()
            self._application = Application(
                http, relay_url=self.relay.url, receiver_url=self.receiver.url, tokens=self.tokens
            )
            self._begun = self._clock.now()
            self._screen.relay_is(self._of_the_relay)
            self._note(f"CAMB's simulator at {self.simulator.url}, the receiver at {self.receiver.url}")
            self._note(f"the relay, process {self.relay.pid}, at {self.relay.url}")
            yield

    @property
    def elapsed(self) -> float:
        """Seconds since all was set up."""
        return self._since(self._begun)

    async def play(self, *, crash: bool) -> Summary:
        """Raises ProcessFailed where a process ends that nobody killed, and Refused."""
        acting = asyncio.create_task(self._with_a_crash() if crash else self._without_a_crash())
        try:
            while self.elapsed < _SECONDS_IN_ALL:
                await self._look()
                if acting.done():
                    acting.result()
                    if all(row.over for row in self._rows()):
                        break
                await asyncio.sleep(_GLANCE_SECONDS)
        finally:
            acting.cancel()
        return judge(
            len(self._tasks),
            self._application.accepted,
            self._listed,
            await seen_arrivals(self._http, self.receiver.url),
            await seen_tasks(self._http, self.simulator.url),
            self._crash,
        )

    async def go_on(self) -> None:
        """New tasks, for receivers of every mood, until it is cancelled. Raises ProcessFailed and Refused."""
        others = RECEIVERS[1:]
        started = await asyncio.gather(
            *(
                self._processes.start(name, "relay.demo.receiver", "--secret", self.signing_secret)
                for name in others
            )
        )
        urls = [self.receiver.url, *(child.url for child in started)]
        await Traffic(self._application, dict(zip(RECEIVERS, urls, strict=True)), self._rng).go_on()

    async def close(self) -> int:
        """SIGTERM to the relay; answers its exit code. Raises ProcessFailed."""
        return await self.relay.stop()

    async def _without_a_crash(self) -> None:
        await self._register_together(self._tasks)

    async def _with_a_crash(self) -> None:
        first = self._tasks[: len(self._tasks) - len(self._tasks) // _HELD_BACK]
        rest = self._tasks[len(first) :]
        await self._register_together(first)
        polls, deliveries = await self._until_busy(len(first) // _DELIVERED_FIRST)
        self._note(f"registering {len(rest)} more one by one")
        killed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        answers = 0

        def answered() -> None:
            nonlocal answers
            answers += 1
            if answers == min(len(rest), _ANSWERED_BEFORE_THE_CRASH):
                killed.set_result(self._kill())

        registering = asyncio.create_task(self._application.register_each(rest, answered))
        try:
            either: tuple[asyncio.Future[int] | asyncio.Future[None], ...] = (registering, killed)
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not killed.done():
                registering.result()
            await self._recover(await killed, polls, deliveries)
            await registering
        finally:
            registering.cancel()
        again = self._application.asked_again
        self._note(
            f"all {len(self._tasks)} tasks are registered; {_counted(again, 'request')} had to be repeated"
        )

    async def _register_together(self, tasks: Sequence[PlannedTask]) -> None:
        await self._application.register_together(tasks)
        self._note(f"registered {len(tasks)} tasks, in one batch for each client")

    async def _until_busy(self, delivered: int) -> tuple[int, int]:
        """Wait for polls and deliveries under way, `delivered` registrations being past that; answers how many there are."""
        while True:
            tasks = await seen_tasks(self._http, self.simulator.url)
            arrivals = await seen_arrivals(self._http, self.receiver.url)
            polls, deliveries = tasks.polls_under_way, arrivals.deliveries_under_way(self._clock.wall())
            done = sum(each.state == RegistrationState.DELIVERED for each in self._listed.values())
            if (polls and deliveries and done >= delivered) or self.elapsed > _SECONDS_UNTIL_BUSY:
                return polls, deliveries
            await asyncio.sleep(_GLANCE_SECONDS)

    def _kill(self) -> int:
        """Answers how many registrations were sent and not answered."""
        self.relay.kill()
        self._killed_at = self._clock.now()
        return self._application.unanswered

    async def _recover(self, unanswered: int, polls: int, deliveries: int) -> None:
        killed_at = self._clock.now() if self._killed_at is None else self._killed_at
        self._note(
            f"SIGKILL: the relay is dead. Unanswered: {_counted(unanswered, 'registration')}; under way: "
            f"{_counted(polls, 'poll')}, {_counted(deliveries, 'delivery', 'deliveries')}",
            "bold red",
        )
        await self.relay.over()
        self.relay = await self._start_relay()
        self._application.relay_url = self.relay.url
        self._crash = Crash(
            killed_at=killed_at,
            back_at=self._clock.now(),
            registrations_unanswered=unanswered,
            polls_under_way=polls,
            deliveries_under_way=deliveries,
        )
        self._killed_at = None
        self._note(
            f"the relay is back after {self._since(killed_at):.1f} s, process {self.relay.pid}, same database",
            "bold green",
        )

    async def _start_relay(self) -> Child:
        client = {
            f"RELAY_CLIENTS__{name.upper()}__{key}": value
            for name, token in self.tokens.items()
            for key, value in {
                "API_TOKENS": token,
                "CAMB_API_KEY": f"{name}-key",
                "SIGNING_SECRETS": self.signing_secret,
            }.items()
        }
        return await self._processes.start(
            "relay",
            "relay",
            "serve",
            environ={
                **client,
                **{each.variable: each.value for each in SHORTENED},
                "RELAY_OPERATOR__API_TOKENS": self.operators_token,
                "RELAY_SERVER__PORT": "0",
                "RELAY_DATABASE__URL": f"sqlite:///{self._processes.folder}/relay.db",
                "RELAY_CAMB__BASE_URL": f"{self.simulator.url}/apis",
                "RELAY_CALLBACKS__ALLOW_NETWORKS": "loopback",
                "RELAY_CALLBACKS__ALLOW_HTTP": "allowed-networks",
                "RELAY_LOGGING__FORMAT": "json",
            },
        )

    async def _look(self) -> None:
        """Take in what the relay says, and show it. Raises ProcessFailed where a process has ended by itself."""
        for child in (self.simulator, self.receiver, self.relay):
            if child.ended and not (child is self.relay and self._killed_at is not None):
                raise child.failure("ended by itself")
        with suppress(httpx.TransportError):  # while it is dead, what it said last stands
            self._listed = await self._application.registrations()
        self._screen.show(self.elapsed, self._rows())

    def _rows(self) -> list[Row]:
        listed = {each.task_id: each for each in self._listed.values()}
        accepted = {task.task_id for task in self._application.accepted.values()}
        return [
            Row(task=task, accepted=task.task_id in accepted, registration=listed.get(task.task_id))
            for task in self._tasks
        ]

    def _of_the_relay(self) -> Text:
        if self._killed_at is None:
            health = Text(f"the relay, process {self.relay.pid}, serves", style="bold green")
        else:
            gone = self._since(self._killed_at)
            health = Text(f"the relay was killed {gone:.1f} s ago and starts again", style="bold red")
        return Text.assemble((f"{self.elapsed:5.1f} s  ", "dim"), health)

    def _note(self, text: str, style: str = "") -> None:
        self._screen.note(self.elapsed, text, style)

    def _since(self, moment: Instant) -> float:
        return seconds(Span(self._clock.now() - moment))


def _counted(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
