import itertools

import pytest

from relay.domain.errors import BrokenRule
from relay.domain.instants import HOUR, SECOND, Instant
from relay.domain.lanes import Lane, origin_lane
from relay.domain.replays import (
    CLOSED_STATES,
    LOOK_AGAIN,
    LOOK_AT_PAUSE,
    MOST_DUE,
    REPLAY_TRANSITIONS,
    Full,
    Hold,
    ReplayChange,
    ReplayState,
    Wait,
    after_change,
    allows,
    full,
    room,
)
from tests.domain.samples import NOON

S, C = ReplayState, ReplayChange
LONG_AGO = Instant(0)


def lane(paused_until: Instant, slots: int | None) -> Lane:
    name = origin_lane("shop", "https://shop.example")
    return Lane(name=name, paused_until=paused_until, slots=slots)


@pytest.mark.parametrize(
    ("state", "change", "after"),
    [
        (S.RUNNING, C.PAUSED, S.PAUSED),
        (S.RUNNING, C.RESUMED, S.RUNNING),
        (S.RUNNING, C.CANCELLED, S.CANCELLED),
        (S.RUNNING, C.FINISHED, S.DONE),
        (S.PAUSED, C.PAUSED, S.PAUSED),
        (S.PAUSED, C.RESUMED, S.RUNNING),
        (S.PAUSED, C.CANCELLED, S.CANCELLED),
        (S.CANCELLED, C.CANCELLED, S.CANCELLED),
    ],
)
def test_a_replay_changes_as_its_table_says(
    state: ReplayState, change: ReplayChange, after: ReplayState
) -> None:
    assert allows(state, change)
    assert after_change(state, change) is after


@pytest.mark.parametrize(
    ("state", "change"), sorted(set(itertools.product(S, C)) - REPLAY_TRANSITIONS.keys())
)
def test_a_replay_changes_in_no_other_way(state: ReplayState, change: ReplayChange) -> None:
    assert not allows(state, change)
    with pytest.raises(BrokenRule, match=f"a replay that is {state} cannot be {change}"):
        after_change(state, change)


def test_nothing_leaves_a_closed_replay() -> None:
    left = {state for (state, _), after in REPLAY_TRANSITIONS.items() if after is not state}

    assert set(S) - left == CLOSED_STATES


@pytest.mark.parametrize(
    ("paused_until", "slots", "due", "free"),
    [
        (LONG_AGO, None, 0, MOST_DUE),
        (NOON, None, 0, MOST_DUE),
        (LONG_AGO, 8, MOST_DUE - 1, 1),
        (LONG_AGO, 1, 10, MOST_DUE - 10),
        (LONG_AGO, 0, 0, 1),
    ],
)
def test_an_origin_has_room_for_what_brings_it_to_its_bound(
    paused_until: Instant, slots: int | None, due: int, free: int
) -> None:
    assert room(lane(paused_until, slots), due, NOON) == free


@pytest.mark.parametrize(
    ("paused_until", "slots", "due", "wait"),
    [
        (LONG_AGO, None, MOST_DUE, Wait(hold=Hold.FULL, next_at=Instant(NOON + LOOK_AGAIN))),
        (LONG_AGO, 3, MOST_DUE + 9, Wait(hold=Hold.FULL, next_at=Instant(NOON + LOOK_AGAIN))),
        (LONG_AGO, 0, 1, Wait(hold=Hold.PAUSED, next_at=Instant(NOON + LOOK_AGAIN))),
        (
            Instant(NOON + 2 * SECOND),
            0,
            0,
            Wait(hold=Hold.PAUSED, next_at=Instant(NOON + 2 * SECOND), until=Instant(NOON + 2 * SECOND)),
        ),
        (
            Instant(NOON + HOUR),
            None,
            0,
            Wait(hold=Hold.PAUSED, next_at=Instant(NOON + LOOK_AT_PAUSE), until=Instant(NOON + HOUR)),
        ),
    ],
)
def test_an_origin_without_room_is_looked_at_again(
    paused_until: Instant, slots: int | None, due: int, wait: Wait
) -> None:
    assert room(lane(paused_until, slots), due, NOON) == wait


@pytest.mark.parametrize(
    ("open_", "in_all", "reached"),
    [
        (0, 0, None),
        (9, 199, None),
        (10, 10, Full.OPEN),
        (10, 200, Full.OPEN),
        (9, 200, Full.IN_ALL),
        (0, 5_000, Full.IN_ALL),
    ],
)
def test_a_client_may_begin_a_replay_while_it_has_neither_ten_open_nor_two_hundred_in_all(
    open_: int, in_all: int, reached: Full | None
) -> None:
    assert full(open_, in_all) is reached
