import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from relay.domain.errors import DatabaseUnavailable, Overloaded
from relay.storage.committer import GATHER_SECONDS, Committer
from relay.telemetry import Metrics
from tests.storage.interleaving import Gate
from tests.storage.store import Store

ADD = text("INSERT INTO clients (name, last_position) VALUES (:name, :place)")
Write = Callable[[Connection, Sequence[str]], list[str]]
Pause = Callable[[float], Awaitable[None]]


def add(connection: Connection, names: Sequence[str]) -> list[str]:
    connection.execute(ADD, [{"name": name, "place": place} for place, name in enumerate(names)])
    return [f"added {name}" for name in names]


class Patience:
    """Waits no time at all, writes down how long it was to be, and ends the trouble after so many waits."""

    def __init__(self, troubled_waits: int = 0) -> None:
        self._troubled_waits = troubled_waits
        self.waits: list[float] = []

    async def __call__(self, seconds: float) -> None:
        await asyncio.sleep(0)
        if seconds != GATHER_SECONDS:
            self.waits.append(seconds)

    @property
    def troubled(self) -> bool:
        return len(self.waits) < self._troubled_waits

    def add(self, connection: Connection, names: Sequence[str]) -> list[str]:
        if self.troubled:
            raise DatabaseUnavailable("the database does not answer")
        return add(connection, names)


def committer(
    store: Store,
    metrics: Metrics,
    write: Write = add,
    *,
    keeps: bool = False,
    capacity: int | None = None,
    pause: Pause | None = None,
) -> Committer[str, str]:
    return Committer(
        "names",
        database=store.database,
        write=write,
        clock=store.time.clock,
        metrics=metrics,
        keeps=keeps,
        capacity=capacity,
        pause=pause or Patience(),
    )


async def names(store: Store) -> list[object]:
    return [name for (name,) in await store.rows("SELECT name FROM clients ORDER BY name")]


def sizes(metrics: Metrics) -> tuple[float | None, float | None]:
    """How many commits there were, and of how many rows in all."""
    commits, rows = (
        metrics.registry.get_sample_value(f"relay_commit_size_{what}", {"writes": "names"})
        for what in ("count", "sum")
    )
    return commits, rows


async def test_concurrent_writes_share_a_transaction_and_each_is_answered_for_its_own(
    store: Store, metrics: Metrics
) -> None:
    writes = committer(store, metrics)
    writes.open()

    answers = await asyncio.gather(writes.submit(["a"]), writes.submit(["b", "c"]), writes.submit(["d"]))
    await writes.close()

    assert [*answers] == [["added a"], ["added b", "added c"], ["added d"]]
    assert sizes(metrics) == (1, 4)
    assert await store.value("SELECT count(DISTINCT last_position) FROM clients") == 4


async def test_nobody_is_answered_before_the_commit(store: Store, metrics: Metrics) -> None:
    gate = Gate()

    def held(connection: Connection, wanted: Sequence[str]) -> list[str]:
        added = add(connection, wanted)
        gate.stop(connection)
        return added

    writes = committer(store, metrics, held)
    writes.open()
    submitted = asyncio.create_task(writes.submit(["a"]))
    await gate.reached()

    answered_early, seen_early = submitted.done(), await names(store)
    gate.open()
    await submitted
    await writes.close()

    assert (answered_early, seen_early) == (False, [])
    assert await names(store) == ["a"]


async def test_what_a_caller_handed_in_is_written_though_the_caller_goes_away(
    store: Store, metrics: Metrics
) -> None:
    writes = committer(store, metrics)
    gone, stays = asyncio.create_task(writes.submit(["a"])), asyncio.create_task(writes.submit(["b"]))
    await asyncio.sleep(0)

    gone.cancel()
    writes.open()

    assert await stays == ["added b"]
    await writes.close()
    assert await names(store) == ["a", "b"]


async def test_one_poisonous_row_fails_alone(store: Store, metrics: Metrics) -> None:
    await store.write(add, ["poison"])
    writes = committer(store, metrics)
    writes.open()

    answers = await asyncio.gather(
        *(writes.submit([name]) for name in ("a", "poison", "b")), return_exceptions=True
    )
    await writes.close()

    assert answers[0] == ["added a"]
    assert isinstance(answers[1], IntegrityError)
    assert answers[2] == ["added b"]
    assert await names(store) == ["a", "b", "poison"]


async def test_a_poisonous_row_whose_caller_has_gone_away_hurts_nobody(
    store: Store, metrics: Metrics
) -> None:
    await store.write(add, ["poison"])
    writes = committer(store, metrics)
    gone, stays = asyncio.create_task(writes.submit(["poison"])), asyncio.create_task(writes.submit(["b"]))
    await asyncio.sleep(0)

    gone.cancel()
    writes.open()

    assert await stays == ["added b"]
    await writes.close()


async def test_a_database_error_fails_every_caller_of_the_batch(store: Store, metrics: Metrics) -> None:
    patience = Patience(troubled_waits=1)
    writes = committer(store, metrics, patience.add, pause=patience)
    writes.open()

    answers = await asyncio.gather(writes.submit(["a"]), writes.submit(["b"]), return_exceptions=True)
    await writes.close()

    assert [type(answer) for answer in answers] == [DatabaseUnavailable] * 2
    assert not writes.stuck
    assert await names(store) == []
    assert metrics.registry.get_sample_value("relay_commit_failures_total", {"writes": "names"}) == 1


async def test_what_must_not_be_lost_is_kept_and_tried_again_ever_more_slowly_until_it_is_written(
    store: Store, metrics: Metrics
) -> None:
    patience = Patience(troubled_waits=7)
    stuck: list[bool] = []

    def watched(connection: Connection, wanted: Sequence[str]) -> list[str]:
        stuck.append(writes.stuck)
        return patience.add(connection, wanted)

    writes = committer(store, metrics, watched, keeps=True, pause=patience)
    writes.open()

    answers = await asyncio.gather(writes.submit(["a"]), writes.submit(["b"]))
    await writes.close()

    assert [*answers] == [["added a"], ["added b"]]
    assert patience.waits == [0.25, 0.5, 1, 2, 4, 5, 5]
    assert stuck == [False, *[True] * 7]
    assert not writes.stuck


async def test_a_database_that_answers_again_with_a_rows_own_fault_is_not_stuck(
    store: Store, metrics: Metrics
) -> None:
    await store.write(add, ["poison"])
    patience = Patience(troubled_waits=2)
    writes = committer(store, metrics, patience.add, keeps=True, pause=patience)
    writes.open()

    with pytest.raises(IntegrityError):
        await writes.submit(["poison"])
    await writes.close()

    assert patience.waits == [0.25, 0.5]
    assert not writes.stuck


async def test_more_than_may_wait_is_refused_and_changes_nothing(store: Store, metrics: Metrics) -> None:
    writes = committer(store, metrics, capacity=3)
    first = asyncio.create_task(writes.submit(["a", "b"]))
    await asyncio.sleep(0)

    with pytest.raises(Overloaded):
        await writes.submit(["c", "d"])
    last = asyncio.create_task(writes.submit(["e"]))
    await asyncio.sleep(0)
    writes.open()
    await asyncio.gather(first, last)
    await writes.submit(["f", "g", "h"])
    await writes.close()

    assert await names(store) == ["a", "b", "e", "f", "g", "h"]


async def test_a_commit_holds_a_thousand_rows_at_most_unless_one_caller_brings_more(
    store: Store, metrics: Metrics
) -> None:
    writes = committer(store, metrics)
    pending = [
        asyncio.create_task(writes.submit([f"{caller}-{number}" for number in range(count)]))
        for caller, count in enumerate((600, 400, 1, 1_001))
    ]
    await asyncio.sleep(0)

    writes.open()
    await asyncio.gather(*pending)
    await writes.close()

    assert sizes(metrics) == (3, 2_002)


async def test_closing_commits_what_was_handed_in(store: Store, metrics: Metrics) -> None:
    writes = committer(store, metrics)
    submitted = asyncio.create_task(writes.submit(["a"]))
    writes.open()
    await asyncio.sleep(0)

    await writes.close()

    assert await submitted == ["added a"]
    assert await names(store) == ["a"]


async def test_closing_gives_up_what_the_database_does_not_take(store: Store, metrics: Metrics) -> None:
    patience = Patience(troubled_waits=10_000)
    writes = committer(store, metrics, patience.add, keeps=True, pause=patience)
    submitted = asyncio.create_task(writes.submit(["a"]))
    writes.open()
    while not writes.stuck:  # noqa: ASYNC110 - what is awaited in production is only asked for
        await asyncio.sleep(0)

    await asyncio.wait_for(writes.close(), 10)

    with pytest.raises(DatabaseUnavailable):
        await submitted


async def test_what_was_never_opened_can_be_closed(store: Store, metrics: Metrics) -> None:
    writes = committer(store, metrics)

    await writes.close()

    assert await names(store) == []


async def test_closing_does_not_wait_for_a_database_that_hangs(store: Store, metrics: Metrics) -> None:
    gate = Gate()

    def hanging(connection: Connection, wanted: Sequence[str]) -> list[str]:
        gate.stop(connection)
        return add(connection, wanted)

    writes = committer(store, metrics, hanging, keeps=True)
    writes.open()
    submitted = asyncio.create_task(writes.submit(["a"]))
    await gate.reached()

    await asyncio.wait_for(writes.close(), 10)
    answered = submitted.done()
    submitted.cancel()
    gate.open()

    assert not answered
