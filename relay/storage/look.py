"""What a process remembers of its last look at a queue, so that the next one costs less."""

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from relay.domain.instants import MINUTE, Instant
from relay.domain.lanes import LaneName, client_of
from relay.storage.queue import DueLane, Window

FULL_LOOK_EVERY: Final = MINUTE


@dataclass(slots=True, kw_only=True)
class _Round:
    """Over a client's lanes, from the one after `begun_after` to the last and on from the first."""

    begun_after: LaneName | None
    over: bool = False
    _from_the_first: bool = False

    def ended(self, last: LaneName | None) -> None:
        if last is None:
            self.over = self.over or self.begun_after is None
            self._from_the_first = True
        elif self._from_the_first and self.begun_after is not None and last >= self.begun_after:
            self.over = True


class Look:
    """Where the last look at a queue found each lane's oldest due row, and where it ended; one for each process and queue."""

    def __init__(self) -> None:
        self._floors: dict[str, dict[LaneName, Instant]] = {}
        self._full_look_at = Instant(0)
        self._ends: dict[str, LaneName] = {}
        self._rounds: dict[str, _Round] = {}

    def begin_round(self) -> None:
        """From here on `unseen` tells whether all lanes have been looked at."""
        self._rounds = {}

    @property
    def unseen(self) -> bool:
        """Whether there are lanes, of those clients that were looked at in this round, that have not had their turn in it."""
        return any(not each.over for each in self._rounds.values())

    def window(self, client: str, most: int) -> Window:
        """The next of a client's lanes to look at: however many it has, nobody waits longer for a look."""
        begin, beyond = LaneName(f"{client} "), LaneName(f"{client}!")
        return Window(after=self._ends.get(client, begin), beyond=beyond, most=most)

    def ended(self, client: str, last: LaneName | None) -> bool:
        """Go on after `last` the next time, else from the first lane; answers whether some were left out of this look."""
        this = self._rounds.setdefault(client, _Round(begun_after=self._ends.get(client)))
        this.ended(last)
        partial = last is not None or client in self._ends
        if last is None:
            self._ends.pop(client, None)
        else:
            self._ends[client] = last
        return partial

    def floors(self, now: Instant, *clients: str) -> Mapping[LaneName, Instant]:
        """Of the clients' lanes; without any, of all."""
        if now >= self._full_look_at:
            self._full_look_at = Instant(now + FULL_LOOK_EVERY)
            self._floors = {}
        return dict(ChainMap(*(self._floors.get(client, {}) for client in clients or self._floors)))

    def saw(self, found: Sequence[DueLane]) -> None:
        for lane in found:
            self._floors.setdefault(client_of(lane.lane), {})[lane.lane] = lane.oldest
