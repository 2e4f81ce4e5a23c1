from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.clock import LARGEST_STEP, SLOWDOWN, Clock, system_clock
from relay.domain.instants import DAY, HOUR, SECOND, Instant, Span

NOON = Instant(1_795_435_200 * SECOND)
STEPS = st.lists(
    st.tuples(st.integers(0, HOUR), st.integers(-DAY, DAY) | st.integers(-HOUR, HOUR)), max_size=20
)


@dataclass
class Hand:
    """The two sources of a clock, moved by hand; the machine has been up for five seconds."""

    up: int = 5 * SECOND
    wall: int = NOON

    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self.up, wall=lambda: self.wall)

    def passes(self, span: int) -> None:
        self.up += span
        self.wall += span


def test_a_new_clock_says_what_the_wall_says() -> None:
    clock = Hand().clock()

    assert (clock.now(), clock.skew, clock.halted) == (NOON, 0, False)


def test_now_goes_on_with_the_monotonic_clock_whatever_becomes_of_the_wall() -> None:
    hand = Hand()
    clock = hand.clock()

    hand.passes(7 * SECOND)
    hand.wall += 30 * SECOND

    assert clock.now() == NOON + 7 * SECOND
    assert clock.wall() == NOON + 37 * SECOND


@pytest.mark.parametrize("step", [0, 1, 5 * SECOND, HOUR])
def test_a_reference_up_to_an_hour_ahead_is_followed_at_once(step: int) -> None:
    hand = Hand()
    clock = hand.clock()

    clock.follow(Instant(NOON + step))

    assert (clock.now(), clock.skew, clock.halted) == (NOON + step, step, False)
    hand.passes(SECOND)
    assert clock.now() == NOON + step + SECOND


@pytest.mark.parametrize("step", [HOUR + 1, -HOUR - 1, DAY, -DAY, 400 * DAY, -400 * DAY])
def test_a_reference_that_jumps_by_more_than_an_hour_is_not_believed_until_it_is_undone(step: int) -> None:
    hand = Hand()
    clock = hand.clock()

    for _ in range(3):
        clock.follow(Instant(hand.wall + step))
        assert (clock.now(), clock.skew, clock.halted) == (hand.wall, step, True)
        hand.passes(10 * SECOND)

    clock.follow(Instant(hand.wall + 2))
    assert (clock.now(), clock.skew, clock.halted) == (hand.wall + 2, 2, False)


def test_a_jump_is_not_believed_little_by_little() -> None:
    hand = Hand()
    clock = hand.clock()

    for _ in range(100):
        hand.passes(SECOND)
        clock.follow(Instant(hand.wall - 2 * HOUR))

    assert clock.now() == hand.wall
    assert clock.halted


@pytest.mark.parametrize("step", [SECOND, 5 * SECOND, HOUR])
def test_a_reference_up_to_an_hour_behind_is_met_by_going_slower(step: int) -> None:
    hand = Hand()
    clock = hand.clock()
    hand.wall -= step

    for _ in range(4):
        hand.passes(SECOND)
        before = clock.now()
        clock.follow(Instant(hand.wall))
        assert before - clock.now() == min(SECOND // SLOWDOWN, before - hand.wall)

    for _ in range(SLOWDOWN * step // SECOND):
        hand.passes(SECOND)
        clock.follow(Instant(hand.wall))
    assert (clock.now(), clock.halted) == (hand.wall, False)


@given(STEPS)
def test_no_reference_moves_now_back_nor_on_by_more_than_an_hour(steps: list[tuple[int, int]]) -> None:
    hand = Hand()
    clock = hand.clock()
    reached = clock.now()

    for passed, off in steps:
        hand.passes(passed)
        before = clock.now()
        clock.follow(Instant(before + off))
        believed = abs(off) <= LARGEST_STEP
        assert clock.now() - before == (max(off, -(passed // SLOWDOWN)) if believed else 0)
        assert clock.now() >= reached
        assert clock.halted is not believed
        assert clock.skew == off
        reached = clock.now()


@pytest.mark.parametrize(
    ("last_seen", "begins", "halted"),
    [
        pytest.param(None, NOON, False, id="never seen"),
        pytest.param(NOON - 5 * SECOND, NOON, False, id="stopped a moment ago"),
        pytest.param(NOON - 400 * DAY, NOON, False, id="stopped long ago"),
        pytest.param(NOON + SECOND, NOON + SECOND, False, id="a second back"),
        pytest.param(NOON + HOUR, NOON + HOUR, False, id="an hour back"),
        pytest.param(NOON + HOUR + 1, NOON + HOUR + 1, True, id="more than an hour back"),
        pytest.param(NOON + 30 * DAY, NOON + 30 * DAY, True, id="a month back"),
    ],
)
def test_a_start_never_goes_back_before_what_was_seen_and_halts_where_that_is_more_than_an_hour(
    last_seen: Instant | None, begins: int, *, halted: bool
) -> None:
    hand = Hand(wall=0)
    clock = hand.clock()

    clock.begin(NOON, last_seen)

    assert (clock.now(), clock.halted) == (begins, halted)
    assert clock.skew == NOON - begins
    hand.passes(SECOND)
    assert clock.now() == begins + SECOND


def test_a_start_in_the_past_is_halted_until_the_reference_is_right_again() -> None:
    hand = Hand()
    clock = hand.clock()
    clock.begin(NOON, Instant(NOON + DAY))
    hand.passes(SECOND)

    clock.follow(Instant(NOON + SECOND))
    assert clock.halted

    clock.follow(Instant(NOON + DAY + 2 * SECOND))
    assert not clock.halted
    assert clock.now() == NOON + DAY + 2 * SECOND


def test_a_start_that_forgets_what_was_seen_accepts_the_reference() -> None:
    clock = Hand().clock()
    clock.begin(NOON, Instant(NOON + DAY))

    clock.begin(NOON, None)

    assert (clock.now(), clock.halted, clock.skew) == (NOON, False, 0)


def test_the_systems_clock_says_what_the_machine_says_and_never_goes_back() -> None:
    clock = system_clock()

    before, first, second, after = clock.wall(), clock.now(), clock.now(), clock.wall()

    assert first <= second
    assert abs(first - before) < Span(10 * SECOND)
    assert abs(second - after) < Span(10 * SECOND)
