import asyncio

from structlog.testing import capture_logs

from relay.scheduler import Scheduler
from relay.telemetry import Metrics

SOON = 0.01


class Job:
    """Counts its runs; `reached` is set by the run of that number."""

    def __init__(self, reached_at: int = 1) -> None:
        self.runs = 0
        self.reached = asyncio.Event()
        self._reached_at = reached_at

    async def run(self) -> None:
        self.runs += 1
        if self.runs >= self._reached_at:
            self.reached.set()


async def test_a_job_runs_at_every_interval() -> None:
    scheduler, job = Scheduler(Metrics()), Job(reached_at=3)
    scheduler.every(SOON, "job", job.run)

    scheduler.start()
    async with asyncio.timeout(10):
        await job.reached.wait()
    scheduler.shutdown()

    assert job.runs >= 3


async def test_a_job_that_raises_is_told_and_runs_again() -> None:
    runs = 0
    again = asyncio.Event()

    async def fail() -> None:
        nonlocal runs
        runs += 1
        if runs > 1:
            again.set()
        raise ZeroDivisionError

    metrics = Metrics()
    scheduler = Scheduler(metrics)
    scheduler.every(SOON, "failing", fail)
    with capture_logs() as logs:
        scheduler.start()
        async with asyncio.timeout(10):
            await again.wait()
        scheduler.shutdown()

    assert logs[0]["event"] == "job.failed"
    assert (logs[0]["job"], logs[0]["log_level"]) == ("failing", "error")
    assert logs[0]["exc_info"] is True
    assert metrics.registry.get_sample_value("relay_errors_total", {"work": "failing"}) == len(logs)


async def test_a_paused_scheduler_begins_nothing_and_lets_what_runs_go_on() -> None:
    begun, finish, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()
    runs = 0

    async def slow() -> None:
        nonlocal runs
        runs += 1
        begun.set()
        await finish.wait()
        finished.set()

    witness = Job(reached_at=3)
    scheduler, other = Scheduler(Metrics()), Scheduler(Metrics())
    scheduler.every(SOON, "slow", slow)
    other.every(SOON, "witness", witness.run)
    scheduler.start()
    async with asyncio.timeout(10):
        await begun.wait()
        scheduler.pause()
        finish.set()
        await finished.wait()
        other.start()  # three of its intervals pass, and so do three of the paused one's
        await witness.reached.wait()
    scheduler.shutdown()
    other.shutdown()

    assert runs == 1


async def test_one_job_that_takes_long_holds_up_no_other() -> None:
    never = asyncio.Event()
    quick = Job(reached_at=2)
    scheduler = Scheduler(Metrics())

    async def slow() -> None:
        await never.wait()

    scheduler.every(SOON, "slow", slow)
    scheduler.every(SOON, "quick", quick.run)
    scheduler.start()
    async with asyncio.timeout(10):
        await quick.reached.wait()
    never.set()
    scheduler.shutdown()

    assert quick.runs >= 2


async def test_a_job_that_runs_is_waited_for_and_not_cancelled() -> None:
    begun, finish = asyncio.Event(), asyncio.Event()
    ended = []

    async def slow() -> None:
        begun.set()
        await finish.wait()
        ended.append("whole")

    scheduler = Scheduler(Metrics())
    scheduler.every(SOON, "slow", slow)
    scheduler.start()
    async with asyncio.timeout(10):
        await begun.wait()
        scheduler.pause()
        asyncio.get_running_loop().call_soon(finish.set)
        await scheduler.drain(10)
    scheduler.shutdown()

    assert ended == ["whole"]


async def test_a_job_whose_time_comes_while_it_runs_is_begun_once() -> None:
    begun, never = asyncio.Event(), asyncio.Event()
    runs = 0

    async def slow() -> None:
        nonlocal runs
        runs += 1
        begun.set()
        await never.wait()

    witness = Job(reached_at=3)
    scheduler = Scheduler(Metrics())
    scheduler.every(SOON, "slow", slow)
    scheduler.start()
    async with asyncio.timeout(10):
        await begun.wait()
        scheduler.every(SOON, "witness", witness.run)
        await witness.reached.wait()
    never.set()
    await scheduler.drain(1)
    scheduler.shutdown()

    assert runs == 1
