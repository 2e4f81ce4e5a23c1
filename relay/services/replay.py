"""Replays: what a client asks for, and the job that walks through it in the background."""

import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Final, assert_never

import structlog

from relay.clock import Clock
from relay.domain.errors import Conflict, DatabaseUnavailable, TooMany
from relay.domain.ids import RANDOM_BITS, ReplayId, replay_id
from relay.domain.replays import (
    MOST_IN_ALL,
    MOST_OPEN,
    Full,
    Place,
    Replay,
    ReplayChange,
    ReplayFilter,
    ReplayState,
)
from relay.services.prune import PRUNE_SECONDS
from relay.storage import replay_walk, replaying, replays
from relay.storage.engine import Database
from relay.storage.replays import NotNow, ReplayView
from relay.telemetry import Metrics

MAX_COUNTS: Final = 2
"""Counts of a client under way at once."""

_log = structlog.get_logger()


class ReplayControl:
    """What a client may do with replays of its own."""

    def __init__(self, database: Database, *, clock: Clock, rng: random.Random) -> None:
        self._database = database
        self._clock = clock
        self._rng = rng
        self._counting: Counter[str] = Counter()

    async def count(self, client: str, wanted: ReplayFilter) -> int:
        """How many a replay would find now, read slice by slice so that nobody waits behind it.

        Raises TooMany: a count reads everything that has ended, and on SQLite there is one reader.
        """
        if self._counting[client] == MAX_COUNTS:
            raise TooMany(f"{MAX_COUNTS} dry runs of this client are under way", retry_after=1)
        self._counting[client] += 1
        try:
            return await self._counted(client, wanted)
        finally:
            self._counting[client] -= 1

    async def _counted(self, client: str, wanted: ReplayFilter) -> int:
        now, matching = self._clock.now(), 0
        place: Place | None = Place()
        while place is not None:
            counted = await self._database.read(replay_walk.count, client, wanted, now, place)
            matching += counted.matching
            place = counted.place
        return matching

    async def begin(self, client: str, wanted: ReplayFilter) -> Replay:
        """Raises Conflict where too many are open, TooMany where too many that are over have not been pruned yet."""
        now = self._clock.now()
        replay = Replay(
            id=replay_id(now, self._rng.getrandbits(RANDOM_BITS)),
            client=client,
            wanted=wanted,
            state=ReplayState.RUNNING,
            created_at=now,
        )
        match await self._database.write(replays.add, replay):
            case Full.OPEN:
                raise Conflict(f"{MOST_OPEN} replays are open already: cancel one, or wait for its end")
            case Full.IN_ALL:
                raise TooMany(
                    f"there are {MOST_IN_ALL} replays of this client already, most of which will be dropped soon",
                    retry_after=PRUNE_SECONDS,
                )
            case None:
                pass
            case never:
                assert_never(never)
        _log.info("replay.started", client=client, wanted=wanted.state, **_counts(replay))
        return replay

    async def change(self, client: str, wanted: ReplayId, change: ReplayChange) -> ReplayView:
        """Raises NotFound, or Conflict where the replay's state does not allow it."""
        now = self._clock.now()
        changed = await self._database.write(replays.change, client, wanted, change, now)
        if isinstance(changed, NotNow):
            raise Conflict(f"a replay that is {changed.state} cannot be {change}")
        _log.info(f"replay.{change}", client=client, **_counts(changed))
        return await self.read(client, wanted)

    async def read(self, client: str, wanted: ReplayId) -> ReplayView:
        """Raises NotFound, also for what is another client's."""
        return await self._database.read(replays.get, client, wanted)

    async def list(self, client: str, before: ReplayId | None, limit: int) -> Sequence[Replay]:
        return await self._database.read(replays.find, client, before, limit)


class Replaying:
    """The job: `announced` is called when deliveries have become due. A replay of a client that is not configured waits."""

    def __init__(
        self,
        database: Database,
        *,
        clients: Collection[str],
        announced: Callable[[], None],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._clients = clients
        self._announced = announced
        self._clock = clock
        self._metrics = metrics
        self._stopping = False

    def stop(self) -> None:
        """Begin no step any more; the one under way comes to its end."""
        self._stopping = True

    async def run_once(self) -> None:
        """Go on with every replay, a step of each in turn, until none has anything to do now."""
        try:
            found = await self._database.read(replays.find_open, self._clients)
            self._gauge(found)
            going = [replay for replay in found if replay.state is ReplayState.RUNNING]
            while going:
                after = [await self._advanced(replay) for replay in going if not self._stopping]
                going = [replay for replay in after if replay is not None]
        except DatabaseUnavailable as error:
            _log.warning("replay.failed", error=str(error))

    async def _advanced(self, replay: Replay) -> Replay | None:
        """The replay where it has more to do at once."""
        try:
            if replay.counted is not None:
                return await self._count(replay, replay.counted)
            return await self._step(replay)
        except DatabaseUnavailable:
            raise
        except Exception:  # noqa: BLE001 - one replay that fails must not hold the others up; the next tick tries again
            self._metrics.errors.labels("replay").inc()
            _log.exception("replay.failed", replay=replay.id)
            return None

    async def _count(self, replay: Replay, place: Place) -> Replay | None:
        # Read first and written after: on SQLite nobody who writes waits for the reading.
        counted = await self._database.read(
            replay_walk.count, replay.client, replay.wanted, replay.created_at, place
        )
        return await self._database.write(replay_walk.keep_count, replay, counted, self._clock.now())

    async def _step(self, replay: Replay) -> Replay | None:
        step = await self._database.write(replaying.step, replay.id, self._clock.now())
        if step is None:
            return None
        if step.replayed:
            self._metrics.replayed.inc(step.replayed)
            self._announced()
        if step.done is None:
            return replay
        _log.info("replay.done", client=replay.client, **_counts(step.done))
        return None

    def _gauge(self, found: Sequence[Replay]) -> None:
        for state in (ReplayState.RUNNING, ReplayState.PAUSED):
            self._metrics.replays.labels(state).set(sum(replay.state is state for replay in found))


def _counts(replay: Replay) -> dict[str, object]:
    return {
        "replay": replay.id,
        "matching": None if replay.counted is not None else replay.matching,
        "replayed": replay.replayed,
        "skipped": replay.skipped,
    }
