from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.lanes import LaneName, client_of
from relay.domain.sharing import Rooms, Shares, share

A, B, C, D = (LaneName(name) for name in "abcd")
NAMES = st.lists(st.sampled_from([LaneName(name) for name in "abcdefgh"]), unique=True)


def in_pairs(lane: LaneName) -> LaneName:
    """Lanes a and b are in one group, c and d in the next."""
    return LaneName("key:" + "aabbccdd"["abcdefgh".index(lane)])


@pytest.mark.parametrize(
    ("last", "counts"),
    [
        (None, {A: 3, B: 2}),
        (A, {B: 3, C: 2}),
        (B, {C: 3, D: 2}),
        (C, {D: 3, A: 2}),
        (D, {A: 3, B: 2}),
        (LaneName("bb"), {C: 3, D: 2}),
        (LaneName("0"), {A: 3, B: 2}),
        (LaneName("z"), {A: 3, B: 2}),
    ],
)
def test_lanes_are_served_in_rotation_after_the_last_one_though_it_is_gone(
    last: LaneName | None, counts: dict[LaneName, int]
) -> None:
    rooms = dict.fromkeys((A, B, C, D), 3)

    shares = share([D, B, A, C], Rooms(by_group=rooms, free=5, quantum=50), last=last)

    assert shares.counts == counts


@pytest.mark.parametrize(
    ("rooms", "free", "quantum", "shares"),
    [
        ({A: 8, B: 8}, 100, 5, Shares(counts={A: 5, B: 5}, last=None)),
        ({A: 8, B: 3}, 100, 50, Shares(counts={A: 8, B: 3}, last=None)),
        ({A: 8, B: 8}, 10, 50, Shares(counts={A: 8, B: 2}, last=A)),
        ({A: 8, B: 8}, 8, 50, Shares(counts={A: 8}, last=A)),
        ({A: 0, B: 8}, 10, 50, Shares(counts={B: 8}, last=None)),
        ({B: 8}, 10, 50, Shares(counts={B: 8}, last=None)),
        ({A: 8, B: 8}, 1, 50, Shares(counts={A: 1}, last=A)),
        ({A: 8, B: 8}, 0, 50, Shares(counts={}, last=None)),
        ({A: 8, B: 8}, -1, 50, Shares(counts={}, last=None)),
        ({}, 10, 50, Shares(counts={}, last=None)),
    ],
)
def test_a_lane_is_given_what_its_room_the_quantum_and_the_free_slots_allow(
    rooms: dict[LaneName, int], free: int, quantum: int, shares: Shares
) -> None:
    assert share([A, B], Rooms(by_group=rooms, free=free, quantum=quantum), last=None) == shares


def test_nothing_due_is_nothing_to_share_and_the_rotation_stays_where_it_was() -> None:
    assert share([], Rooms(by_group={A: 8}, free=10, quantum=50), last=A) == Shares(counts={}, last=A)


@given(
    due=NAMES,
    rooms=st.dictionaries(st.sampled_from([LaneName("key:" + name) for name in "abcd"]), st.integers(-3, 30)),
    free=st.integers(-3, 40),
    quantum=st.integers(1, 20),
    last=st.none() | st.text("abcdefghi", max_size=2).map(LaneName),
)
def test_a_share_never_exceeds_the_room_of_its_group_the_free_slots_or_the_quantum(
    due: list[LaneName], rooms: dict[LaneName, int], free: int, quantum: int, last: LaneName | None
) -> None:
    shares = share(due, Rooms(by_group=rooms, group_of=in_pairs, free=free, quantum=quantum), last=last)

    by_group: Counter[LaneName] = Counter()
    for lane, count in shares.counts.items():
        assert lane in due
        assert 0 < count <= quantum
        by_group[in_pairs(lane)] += count
    assert all(count <= rooms[group] for group, count in by_group.items())
    assert sum(shares.counts.values()) <= max(0, free)


@given(
    due=NAMES,
    rooms=st.dictionaries(st.sampled_from([LaneName("key:" + name) for name in "abcd"]), st.integers(-3, 30)),
    free=st.integers(-3, 40),
    quantum=st.integers(1, 20),
)
def test_no_room_is_left_unused_while_a_lane_could_have_used_it(
    due: list[LaneName], rooms: dict[LaneName, int], free: int, quantum: int
) -> None:
    shares = share(due, Rooms(by_group=rooms, group_of=in_pairs, free=free, quantum=quantum), last=None)

    by_group: Counter[LaneName] = Counter()
    for lane, count in shares.counts.items():
        by_group[in_pairs(lane)] += count
    assert all(
        shares.counts.get(lane, 0) == quantum
        or by_group[in_pairs(lane)] >= rooms.get(in_pairs(lane), 0)
        or sum(shares.counts.values()) >= free
        for lane in due
    )


@given(
    due=NAMES.filter(bool),
    rooms=st.lists(st.integers(1, 12), min_size=4, max_size=4),
    free=st.integers(1, 40),
    quantum=st.integers(1, 20),
    last=st.none() | st.sampled_from([LaneName(name) for name in "abcdefgh"]),
)
def test_a_lane_waits_for_no_more_turns_than_there_are_lanes(
    due: list[LaneName], rooms: list[int], free: int, quantum: int, last: LaneName | None
) -> None:
    groups = {LaneName("key:" + name): room for name, room in zip("abcd", rooms, strict=True)}
    waited = dict.fromkeys(due, 0)

    for _ in range(3 * len(due)):
        shares = share(due, Rooms(by_group=groups, group_of=in_pairs, free=free, quantum=quantum), last=last)
        last = shares.last
        waited = {lane: 0 if lane in shares.counts else waited[lane] + 1 for lane in due}
        assert max(waited.values()) < len(due)


def test_regression_a_client_of_a_shared_key_starved_while_another_key_was_served_after_it() -> None:
    rooms = {LaneName("key:a"): 1, LaneName("key:b"): 1}
    last, served = None, Counter[LaneName]()

    for _ in range(10):
        shares = share([A, B, C], Rooms(by_group=rooms, group_of=in_pairs, free=100, quantum=50), last=last)
        last = shares.last
        served.update(shares.counts)

    assert served == {A: 5, B: 5, C: 10}


def test_regression_two_lanes_that_do_not_fit_together_take_the_larger_share_in_turn() -> None:
    last, served = None, Counter[LaneName]()

    for _ in range(10):
        shares = share([A, B], Rooms(by_group={A: 8, B: 8}, free=10, quantum=50), last=last)
        last = shares.last
        served.update(shares.counts)

    assert served == {A: 50, B: 50}


def owner(lane: LaneName) -> str:
    return lane[0]


def courteous(free: int, **busy: int) -> Rooms:
    """Lanes named by their owner and a number, eight slots each."""
    names = [LaneName(f"{name}{number}") for name in "ab" for number in range(9)]
    return Rooms(by_group=dict.fromkeys(names, 8), free=free, quantum=50, owner_of=owner, busy=busy)


def test_an_owner_of_many_lanes_leaves_a_quarter_to_others() -> None:
    due = [LaneName(f"a{number}") for number in range(9)]

    first = share(due, courteous(64), last=None)
    second = share(due, courteous(16, a=48), last=first.last)

    assert sum(first.counts.values()) == 48
    assert second.counts == {}
    assert second.last == LaneName("a5")


def test_whoever_comes_after_an_owner_of_many_hanging_lanes_finds_room() -> None:
    due = [LaneName(f"{name}{number}") for name in "ab" for number in range(9)]

    shares = share(due, courteous(16, a=48), last=None)

    assert shares.counts == {LaneName("b0"): 8, LaneName("b1"): 4}
    assert shares.last == LaneName("b0")


@given(
    due=st.lists(st.sampled_from([f"{name}{number}" for name in "abc" for number in range(9)]), unique=True),
    free=st.integers(0, 80),
    held=st.dictionaries(st.sampled_from("abc"), st.integers(0, 40)),
)
def test_there_is_always_room_for_an_owner_who_holds_nothing(
    due: list[str], free: int, held: dict[str, int]
) -> None:
    rooms = Rooms(
        by_group={LaneName(lane): 8 for lane in due}, free=free, quantum=50, owner_of=owner, busy=held
    )

    shares = share([LaneName(lane) for lane in due], rooms, last=None)

    taken: Counter[str] = Counter()
    for lane, count in shares.counts.items():
        taken[owner(lane)] += count
    assert all(held.get(name, 0) + count <= 3 * (free - count + 1) for name, count in taken.items())
    assert free < 27 or all(taken[lane[0]] > 0 for lane in due if not held.get(lane[0]))


def lanes_of(count: int, owner: str = "a", name: str = "hangs") -> list[LaneName]:
    return [LaneName(f"{owner} {name}-{number:03}") for number in range(count)]


def crowded(due: list[LaneName], free: int, held: dict[LaneName, int], **more: Any) -> Rooms:  # noqa: ANN401 - a field of Rooms
    """One client's lanes, eight slots each."""
    rooms = {lane: 8 - held.get(lane, 0) for lane in due}
    return Rooms(by_group=rooms, free=free, quantum=50, owner_of=client_of, held=held, **more)


def all_hang(due: list[LaneName], slots: int, **more: Any) -> tuple[dict[LaneName, int], int]:  # noqa: ANN401 - a field of Rooms
    """What each holds once they have taken all they are given, and what is left."""
    held: dict[LaneName, int] = {}
    free, last = slots, None
    while (shares := share(due, crowded(due, free, held, **more), last=last)).counts:
        held = {lane: held.get(lane, 0) + shares.counts.get(lane, 0) for lane in due}
        free, last = free - sum(shares.counts.values()), shares.last
    return {lane: count for lane, count in held.items() if count}, free


@pytest.mark.parametrize("count", [64, 100, 128])
def test_hanging_lanes_of_one_owner_leave_room_for_one_that_holds_nothing(count: int) -> None:
    held, free = all_hang(lanes_of(count), 512)

    fresh = LaneName("a fresh")
    shares = share([*lanes_of(count), fresh], crowded([*lanes_of(count), fresh], free, held), last=None)

    assert len(held) == count
    assert free > 0
    assert shares.counts == {fresh: 1}


@pytest.mark.parametrize("count", [64, 600, 5_000])
def test_lanes_that_are_known_to_hang_leave_a_quarter_however_many_they_are(count: int) -> None:
    due = lanes_of(count)

    held, free = all_hang(due, 512, doubtful=due)

    assert (sum(held.values()), free) == (384, 128)


def test_lanes_that_hang_for_the_first_time_fill_a_quarter_only_if_there_are_as_many() -> None:
    doubtful = lanes_of(600, name="known")
    held, free = all_hang(doubtful, 512, doubtful=doubtful)
    fresh = lanes_of(200, name="first")
    due = [*doubtful, *fresh]

    shares = share(due, crowded(due, free, held, doubtful=doubtful), last=None)

    assert shares.counts == dict.fromkeys(fresh[:128], 1)


@pytest.mark.parametrize(
    ("slots", "count", "held"),
    [(1, 1, 1), (1, 9, 1), (2, 1, 2), (3, 1, 3), (8, 1, 7), (16, 1, 8), (512, 8, 64)],
)
def test_few_lanes_are_given_all_or_nearly_all_that_there_is(slots: int, count: int, held: int) -> None:
    taken, _ = all_hang(lanes_of(count), slots)

    assert sum(taken.values()) == held


def test_an_owners_crowd_leaves_room_within_what_others_leave_to_him() -> None:
    due = lanes_of(64)
    held: dict[LaneName, int] = {}
    free, last = 512, None
    while (shares := share(due, crowded(due, free, held, busy={"a": 512 - free, "b": 0}), last=last)).counts:
        held = {lane: held.get(lane, 0) + shares.counts.get(lane, 0) for lane in due}
        free, last = free - sum(shares.counts.values()), shares.last
    fresh = [LaneName("a fresh"), LaneName("b fresh")]

    rooms = crowded([*due, *fresh], free, held, busy={"a": 512 - free, "b": 0})
    shares = share([*due, *fresh], rooms, last=None)

    assert shares.counts == {fresh[0]: 1, fresh[1]: 8}


ONE_OWNERS = st.sampled_from(lanes_of(18))


@given(
    due=st.lists(ONE_OWNERS, unique=True),
    held=st.dictionaries(ONE_OWNERS, st.integers(1, 8)),
    doubtful=st.sets(ONE_OWNERS),
    free=st.integers(0, 80),
)
def test_a_lane_that_holds_nothing_and_is_not_in_doubt_is_given_a_slot_while_one_is_free(
    due: list[LaneName], held: dict[LaneName, int], doubtful: set[LaneName], free: int
) -> None:
    fresh = [lane for lane in due if lane not in held and lane not in doubtful]

    counts = share(due, crowded(due, free, held, doubtful=doubtful), last=None).counts

    left = free - sum(counts.values())
    crowd = sum(count if lane in doubtful else count - 1 for lane, count in held.items())
    more = sum(count - (lane in fresh) for lane, count in counts.items())
    assert left == 0 or all(counts.get(lane) for lane in fresh)
    assert more == 0 or crowd + more <= 3 * (left + len(fresh) + 1)
