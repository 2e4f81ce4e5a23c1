"""Who is served next, and how much of each: rotation over lanes, within what each of them and its owner may take."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from relay.domain.lanes import LaneName

GREED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How many rows to claim of each lane; the next rotation begins after `last`."""

    counts: Mapping[LaneName, int]
    last: LaneName | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """What may be taken: `by_group` is what each group of lanes has left, `free` what there is in all, `quantum` a lane's turn.

    `busy` is what each owner holds already. Where it is given, nobody comes to hold more than GREED times what he leaves
    free: however many lanes one owner has, there is room for the next.

    `held` is what each lane holds already. Where it is given, the same goes for what an owner's lanes take beyond the first
    of each, and for all that the `doubtful` ones take: however many of them hang, there is room for one that holds nothing.
    """

    by_group: Mapping[LaneName, int]
    free: int
    quantum: int
    group_of: Callable[[LaneName], LaneName] = lambda lane: lane
    owner_of: Callable[[LaneName], str] = str
    busy: Mapping[str, int] | None = None
    held: Mapping[LaneName, int] | None = None
    doubtful: Container[LaneName] = ()


def share(due: Sequence[LaneName], rooms: Rooms, *, last: LaneName | None) -> Shares:
    """Rows for each due lane, in rotation after `last`.

    The next rotation begins with the first lane that others left too little for, so that none is always too late.
    """
    ordered = sorted(due)
    turn = bisect_right(ordered, last) if last is not None else 0
    turns = ordered[turn:] + ordered[:turn]
    whole, left = _Left(rooms), _Left(rooms)
    counts: dict[LaneName, int] = {}
    for lane in turns:
        count = left.most(lane)
        if count > 0:
            left.take(lane, count)
            counts[lane] = count
    served_first = next(iter(counts), None)
    for place, lane in enumerate(turns):
        if lane != served_first and counts.get(lane, 0) < whole.most(lane):
            return Shares(counts=counts, last=turns[place - 1])
    return Shares(counts=counts, last=last)


class _Left:
    """What is left of the rooms while lanes are given theirs, one after the other."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._free = rooms.free
        self._by_group = dict(rooms.by_group)
        self._busy = Counter(rooms.busy or {})
        self._crowd = Counter[str]()
        for lane, count in (rooms.held or {}).items():
            self._crowd[rooms.owner_of(lane)] += count if lane in rooms.doubtful else count - 1

    def most(self, lane: LaneName) -> int:
        rooms, owner = self._rooms, self._rooms.owner_of(lane)
        free = self._free if rooms.busy is None else courteous(self._free, self._busy[owner])
        most = min(self._by_group.get(rooms.group_of(lane), 0), rooms.quantum, free)
        if rooms.held is None:
            return most
        first = self._first(lane, rooms.held)
        return min(most, first + max(0, courteous(free - first, self._crowd[owner])))

    def take(self, lane: LaneName, count: int) -> None:
        rooms, owner = self._rooms, self._rooms.owner_of(lane)
        self._free -= count
        self._by_group[rooms.group_of(lane)] -= count
        self._busy[owner] += count
        if rooms.held is not None:
            self._crowd[owner] += count - self._first(lane, rooms.held)

    def _first(self, lane: LaneName, held: Mapping[LaneName, int]) -> int:
        """One, where the lane has a right to it whatever the others hold."""
        return int(not held.get(lane) and lane not in self._rooms.doubtful)


def courteous(free: int, held: int) -> int:
    """How much more may be taken so that a third of what is held is left; of a single slot, all."""
    return (GREED * free - held + GREED) // (GREED + 1)
