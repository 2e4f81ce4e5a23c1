"""Who is served next, and how much of each: rotation over lanes, within what each of them and its owner may take."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
    """

    by_group: Mapping[LaneName, int]
    free: int
    quantum: int
    group_of: Callable[[LaneName], LaneName] = lambda lane: lane
    owner_of: Callable[[LaneName], str] = str
    busy: Mapping[str, int] | None = None


def share(due: Sequence[LaneName], rooms: Rooms, *, last: LaneName | None) -> Shares:
    """Rows for each due lane, in rotation after `last`.

    The next rotation begins with the first lane that others left too little for, so that none is always too late.
    """
    ordered = sorted(due)
    turn = bisect_right(ordered, last) if last is not None else 0
    turns = ordered[turn:] + ordered[:turn]
    free, by_group, busy = rooms.free, dict(rooms.by_group), Counter(rooms.busy or {})
    wishes: list[int] = []
    counts: dict[LaneName, int] = {}
    for lane in turns:
        group, owner = rooms.group_of(lane), rooms.owner_of(lane)
        wish = min(rooms.by_group.get(group, 0), rooms.quantum)
        count = min(by_group.get(group, 0), rooms.quantum, free)
        if rooms.busy is not None:
            wish = min(wish, _courteous(rooms.free, rooms.busy.get(owner, 0)))
            count = min(count, _courteous(free, busy[owner]))
        wishes.append(wish)
        if count > 0:
            counts[lane] = count
            free -= count
            by_group[group] -= count
            busy[owner] += count
    served_first = next(iter(counts), None)
    for place, lane in enumerate(turns):
        if lane != served_first and counts.get(lane, 0) < wishes[place]:
            return Shares(counts=counts, last=turns[place - 1])
    return Shares(counts=counts, last=last)


def _courteous(free: int, held: int) -> int:
    """How much more an owner may take and still leave a third of what he holds; of a single slot, all."""
    return (GREED * free - held + GREED) // (GREED + 1)
