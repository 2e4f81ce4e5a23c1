"""Three replicas behind haproxy on a real PostgreSQL, under constant load: replaced one by one, killed, and left without their
database; at the end every accepted registration has been notified."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from relay.demo.processes import Processes, ProcessFailed
from tests.e2e.neighbours import RECEIVER, SIMULATOR, Neighbours, neighbours_at
from tests.e2e.processes import TOKEN, environment, until
from tests.postgres import DURABLE, PostgresServer
from tests.relays import migrate
from tests.rolling.haproxy import Haproxy
from tests.rolling.load import Load, Tally
from tests.rolling.promises import Broken, end_on_sigterm, hold, say
from tests.rolling.replicas import Replicas

REPLICAS: Final = 3
PRE_STOP_SECONDS: Final = 3.0
CALM_SECONDS: Final = 3.0
NOTICED_SECONDS: Final = 8.0
"""Within which a replica without its database is to be out of the balancer: what it knows of the database, it trusts for five."""
QUIET_SECONDS: Final = 3.0
CLOSED_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    server: PostgresServer
    neighbours: Neighbours
    replicas: Replicas
    load: Load
    url: str

    async def requests(self) -> int:
        """All that the simulator and the receiver were ever asked."""
        state = await self.neighbours.http.get(
            f"{self.neighbours.simulator_url}/_simulator/state", params={"limit": "0"}
        )
        polls: dict[str, int] = state.json()["requests"]
        return sum(polls.values()) + int((await self.neighbours.totals())["received"])


@asynccontextmanager
async def setting() -> AsyncIterator[Stage]:
    async with AsyncExitStack() as opened:
        server = opened.enter_context(PostgresServer.running(DURABLE))
        processes = await opened.enter_async_context(Processes({}))
        simulator = await processes.start("simulator", *SIMULATOR)
        receiver = await processes.start("receiver", *RECEIVER)
        balancer = await processes.start("balancer", "tests.rolling.haproxy", str(processes.folder))
        neighbours = await opened.enter_async_context(neighbours_at(simulator.url, receiver.url))
        database_url = server.url_for(server.create_database())
        await asyncio.to_thread(migrate, database_url)
        environ = environment(
            neighbours,
            database_url,
            POLLING__TICK="PT0.5S",
            POLLING__MIN_PACE="PT0.5S",
            POLLING__MAX_PACE="PT1S",
            DELIVERY__DEADLINE="PT4S",
            CAMB__DEADLINE="PT4S",
        )
        replicas = Replicas(processes, Haproxy(processes.folder), environ, neighbours.http)
        opened.push_async_callback(replicas.close)
        load = Load(balancer.url, receiver.url)
        opened.push_async_callback(load.close)
        yield Stage(server=server, neighbours=neighbours, replicas=replicas, load=load, url=balancer.url)


@asynccontextmanager
async def phase(stage: Stage, name: str) -> AsyncIterator[Tally]:
    begun = asyncio.get_running_loop().time()
    tally = stage.load.next_phase()
    yield tally
    say(name, asyncio.get_running_loop().time() - begun, tally)


async def replace_all(stage: Stage, pre_stop: float) -> list[float]:
    """One more than wanted at most, and never one less; answers with what each took to stop."""
    return [await replace_one(stage, pre_stop) for _ in range(REPLICAS)]


async def replace_one(stage: Stage, pre_stop: float) -> float:
    oldest = stage.replicas.running[0]
    await stage.replicas.start()
    return await stage.replicas.stop(oldest, pre_stop=pre_stop)


async def kill_one(stage: Stage) -> None:
    await stage.replicas.kill(stage.replicas.running[0])
    await stage.replicas.start()


async def restart_database(stage: Stage) -> str:
    loop = asyncio.get_running_loop()
    before = list(stage.replicas.running)
    stopped_at = loop.time()
    await asyncio.to_thread(stage.server.stop, "fast")
    await asyncio.gather(*(each.becomes(ready=False, within=NOTICED_SECONDS) for each in before))
    noticed = loop.time() - stopped_at
    asked = await stage.requests()
    await asyncio.sleep(QUIET_SECONDS)
    asked_meanwhile = await stage.requests() - asked
    hold(
        asked_meanwhile == 0,
        f"without the database nothing is claimed ({asked_meanwhile} requests were sent)",
    )
    started_at = loop.time()
    await asyncio.to_thread(stage.server.start)
    await asyncio.gather(*(each.becomes(ready=True) for each in before))
    hold(stage.replicas.running == before, "the replicas come back by themselves")
    return f"not ready after {noticed:.1f} s, ready again {loop.time() - started_at:.1f} s after the start"


async def settled(stage: Stage) -> None:
    """Wait until nothing is open any more."""
    headers = {"authorization": f"Bearer {TOKEN}"}

    async def nothing_open() -> bool:
        for state in ("watching", "delivering"):
            query = {"state": state, "limit": "1"}
            answer = await stage.neighbours.http.get(
                f"{stage.url}/v1/registrations", params=query, headers=headers
            )
            if not answer.is_success or answer.json()["data"]:
                return False
        return True

    try:
        await until(nothing_open, within=CLOSED_SECONDS)
    except AssertionError as error:
        raise Broken(f"what was accepted comes to an end: {error}") from None


async def judge(stage: Stage) -> str:
    arrivals = await stage.neighbours.arrivals()
    totals = await stage.neighbours.totals()
    accepted = set(stage.load.accepted)
    unnotified = [each for each in accepted if not arrivals.get(each, {}).get("accepted")]
    hold(accepted, "something was registered")
    hold(not unnotified, f"accepted means notified: {len(unnotified)} were not, such as {unnotified[:3]}")
    hold(not totals["bodies_changed"], f"a body never changes under its id: {totals['bodies_changed']} did")
    hold(not totals["bad_signatures"], f"every signature verifies: {totals['bad_signatures']} did not")
    return (
        f"{len(accepted)} registrations accepted, all notified; {totals['received']} notifications, "
        f"{totals['duplicates']} of them duplicates, every signature verified"
    )


async def duplicates(stage: Stage) -> int:
    return int((await stage.neighbours.totals())["duplicates"])


async def play(stage: Stage, pre_stop: float) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(REPLICAS):
        await stage.replicas.start()
    async with phase(stage, "all is well") as calm:
        stage.load.start()
        await asyncio.sleep(CALM_SECONDS)
    hold(not calm.failed, "nothing fails while nothing happens")
    async with phase(stage, f"rolling restart, preStop {pre_stop:g} s") as rolling:
        stops = await replace_all(stage, pre_stop)
        await asyncio.sleep(1)
    say("  from SIGTERM to the end", max(stops), ", ".join(f"{each:.2f} s" for each in stops))
    hold(not rolling.failed, "a rolling restart fails no request")
    hold(await duplicates(stage) == 0, "a rolling restart repeats no notification")
    async with phase(stage, "one replaced without a preStop") as careless:
        await replace_one(stage, 0)
    hold(careless.failed, "without a preStop requests fail: these callers notice")
    async with phase(stage, "SIGKILL of one"):
        await kill_one(stage)
    async with phase(stage, "PostgreSQL stopped and started"):
        told = await restart_database(stage)
    say("  its replicas", 0, told)
    async with phase(stage, "all is well again") as after:
        await asyncio.sleep(CALM_SECONDS)
    hold(not after.failed, "nothing fails once all is well again")
    begun = loop.time()
    await stage.load.stop()
    await settled(stage)
    say("everything closed", loop.time() - begun, await judge(stage))


async def main(pre_stop: float) -> None:
    begun = asyncio.get_running_loop().time()
    end_on_sigterm()
    async with setting() as stage:
        await play(stage, pre_stop)
    say("in all", asyncio.get_running_loop().time() - begun, "every promise held")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.rolling", description=__doc__)
    parser.add_argument(
        "--pre-stop",
        type=float,
        default=PRE_STOP_SECONDS,
        metavar="SECONDS",
        help="how long a pod serves on before its SIGTERM; 0 shows requests that fail",
    )
    try:
        asyncio.run(main(parser.parse_args().pre_stop))
    except (Broken, ProcessFailed) as broken:
        sys.exit(f"not so: {broken}")
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("interrupted")
