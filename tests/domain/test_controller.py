"""The controller of an origin: failure halves its slots, none is a pause, one probe ends it, success adds one."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.instants import HOUR, MINUTE, SECOND, Instant, Span
from relay.domain.lanes import NEXT_SLOTS, Cause, Lane, LaneName, Signal, SlotPolicy, Word

NOON = Instant(1_795_435_200 * SECOND)
WHOLE = Lane(name=LaneName("shop https://hooks.example"))
POLICY = SlotPolicy(most=8, first_pause=Span(5 * SECOND), longest_pause=Span(5 * MINUTE), patience=Span(HOUR))


def at(seconds: float) -> Instant:
    return Instant(NOON + round(seconds * SECOND))


def word(signal: Signal, ended: float, *, begun: float | None = None) -> Word:
    return Word(signal=signal, begun=at(ended if begun is None else begun), ended=at(ended))


def asked(
    ended: float, pause: float, *, begun: float | None = None, cause: Cause = Cause.RETRY_AFTER
) -> Word:
    told = word(Signal.ASKED, ended, begun=begun)
    return replace(told, pause=Span(round(pause * SECOND)), cause=cause)


def told(lane: Lane, *words: Word) -> Lane:
    for each in words:
        lane = lane.after_word(each, POLICY)
    return lane


def unanswered(ended: float, *, begun: float | None = None) -> Word:
    return replace(word(Signal.FAILED, ended, begun=begun), answered=False)


def failed_down(until: float = 0) -> Lane:
    """Four failures in a row, the last of them at `until`: paused for the first time."""
    return told(WHOLE, *(unanswered(until - 3 + number) for number in range(4)))


def test_the_table_says_what_each_signal_makes_of_the_slots() -> None:
    assert {signal: [step(slots) for slots in (1, 2, 5, 8)] for signal, step in NEXT_SLOTS.items()} == {
        Signal.ACCEPTED: [2, 3, 6, 9],
        Signal.ANSWERED: [1, 2, 5, 8],
        Signal.FAILED: [0, 1, 2, 4],
        Signal.ASKED: [0, 0, 0, 0],
    }


def test_each_failure_halves_the_slots_until_none_is_left_and_the_origin_is_paused() -> None:
    lane, rooms = WHOLE, []

    for second in range(4):
        lane = told(lane, word(Signal.FAILED, second))
        rooms.append(lane.room(8, at(second)))

    assert rooms == [4, 2, 1, 0]
    assert lane.cause is Cause.FAILING
    assert lane.failing_since == at(0)
    assert lane.paused_until == at(3 + 5)


def test_after_its_pause_an_origin_gets_one_probe() -> None:
    lane = failed_down()

    assert lane.room(8, at(4.999)) == 0
    assert lane.room(8, at(5)) == 1
    assert lane.to_be_probed


def test_a_probe_holds_its_origin_until_its_answer_is_there_or_cannot_come_any_more() -> None:
    probed = failed_down().probed(at(20))

    assert probed.cause is Cause.PROBING
    assert probed.room(8, at(19.9)) == 0
    assert probed.room(8, at(20)) == 1


def test_an_origin_that_is_back_gets_a_ramp_of_one_slot_for_each_success() -> None:
    lane, rooms = failed_down().probed(at(20)), []

    for second in range(6, 14):
        lane = told(lane, word(Signal.ACCEPTED, second))
        rooms.append(lane.room(8, at(second)))

    assert rooms == [2, 3, 4, 5, 6, 7, 8, 8]
    assert (lane.slots, lane.cause, lane.failing_since, lane.failures) == (None, None, None, 0)


def test_each_probe_that_is_not_answered_doubles_the_pause_up_to_the_longest() -> None:
    lane, now, pauses = failed_down(), 0.0, []

    for _ in range(8):
        now = (lane.paused_until - NOON) / SECOND
        lane = told(lane.probed(at(now + 15)), unanswered(now + 1, begun=now))
        pauses.append((lane.paused_until - at(now + 1)) // SECOND)

    assert pauses == [10, 20, 40, 80, 160, 300, 300, 300]
    assert lane.failing_since == at(-3)


def test_an_origin_that_answers_though_it_fails_is_asked_again_after_the_first_pause_every_time() -> None:
    lane, now, pauses = failed_down(), 0.0, []

    for _ in range(4):
        now = (lane.paused_until - NOON) / SECOND
        lane = told(lane.probed(at(now + 15)), word(Signal.FAILED, now + 1, begun=now))
        pauses.append((lane.paused_until - at(now + 1)) // SECOND)

    assert pauses == [5, 5, 5, 5]


def test_once_patience_is_over_each_of_those_that_wait_gets_its_try_soon() -> None:
    lane = failed_down().probed(at(3_600))

    patient = told(lane, unanswered(3_597, begun=3_590))
    impatient = told(lane, unanswered(3_598, begun=3_590))

    assert patient.paused_until == at(3_597 + 10)
    assert impatient.paused_until == at(3_598 + 5)


def test_a_success_between_makes_the_pauses_begin_at_the_first_one_again() -> None:
    lane = told(failed_down().probed(at(20)), word(Signal.ACCEPTED, 6))

    again = told(lane, word(Signal.FAILED, 7), word(Signal.FAILED, 8))

    assert again.paused_until == at(8 + 5)
    assert again.failing_since == at(7)


def test_requests_that_fail_together_count_as_one_failure() -> None:
    lane = told(WHOLE, *(word(Signal.FAILED, 15 + number / 100, begun=0) for number in range(8)))

    assert lane.slots == 4


def test_a_success_that_left_before_the_last_failure_proves_nothing() -> None:
    lane = told(WHOLE, word(Signal.FAILED, 1), word(Signal.ACCEPTED, 1.5, begun=0.5))

    assert lane.slots == 4


@pytest.mark.parametrize("cause", [Cause.RETRY_AFTER, Cause.TOO_MANY_REQUESTS])
def test_a_pause_that_was_asked_for_lasts_exactly_as_long_as_asked(cause: Cause) -> None:
    lane = told(WHOLE, asked(1, 90, cause=cause))

    assert lane.cause is cause
    assert (lane.room(8, at(90.999999)), lane.room(8, at(91))) == (0, 1)


@pytest.mark.parametrize("signal", [Signal.ACCEPTED, Signal.ANSWERED, Signal.FAILED])
def test_nothing_else_that_is_said_changes_a_pause_that_was_asked_for(signal: Signal) -> None:
    paused = told(WHOLE, asked(1, 90))

    assert told(paused, word(signal, 2, begun=0.5), word(signal, 3)) == paused


def test_a_longer_wait_lengthens_a_pause_and_a_shorter_one_does_not_shorten_it() -> None:
    paused = told(WHOLE, asked(1, 90))

    assert told(paused, asked(2, 10)).paused_until == at(91)
    assert told(paused, asked(2, 120, begun=0)).paused_until == at(122)


def test_a_pause_of_our_own_ends_early_for_an_origin_that_accepts_what_was_sent_in_it() -> None:
    lane = told(failed_down(), word(Signal.ACCEPTED, 2, begun=1))

    assert lane.room(8, at(2)) == 2


def test_a_failure_during_a_pause_is_no_probe_and_lengthens_nothing() -> None:
    paused = failed_down()

    assert told(paused, word(Signal.FAILED, 2, begun=1)) == paused


@pytest.mark.parametrize(("signal", "room"), [(Signal.ANSWERED, 1), (Signal.ACCEPTED, 2)])
def test_a_probe_that_is_answered_at_all_ends_the_pause_and_only_a_success_widens(
    signal: Signal, room: int
) -> None:
    lane = told(failed_down().probed(at(20)), word(signal, 6, begun=5))

    assert lane.room(8, at(6)) == room
    assert (lane.failing_since, lane.cause) == (None, Cause.RECOVERING)


def test_an_origin_with_all_its_slots_has_nothing_to_remember() -> None:
    assert told(WHOLE, word(Signal.ACCEPTED, 1), word(Signal.ANSWERED, 2)) == WHOLE


def test_with_a_single_slot_the_first_failure_is_a_pause() -> None:
    lane = WHOLE.after_word(word(Signal.FAILED, 1), replace(POLICY, most=1))

    assert lane.room(1, at(1)) == 0


def test_a_configuration_with_fewer_slots_than_the_lane_remembers_counts() -> None:
    lane = told(WHOLE, word(Signal.FAILED, 1))

    assert lane.room(2, at(1)) == 2


WORDS = st.lists(
    st.tuples(
        st.sampled_from(Signal), st.integers(0, HOUR), st.integers(0, 15 * SECOND), st.integers(0, HOUR)
    ),
    max_size=60,
)


@given(WORDS, st.integers(1, 64))
def test_whatever_is_said_the_slots_stay_within_bounds_and_no_pause_is_longer_than_was_asked_for(
    said: list[tuple[Signal, int, int, int]], most: int
) -> None:
    policy = replace(POLICY, most=most)
    lane, now, longest = WHOLE, NOON, NOON

    for signal, wait, took, pause in said:
        begun, now = Instant(now + wait), Instant(now + wait + took)
        lane = lane.after_word(Word(signal=signal, begun=begun, ended=now, pause=Span(pause)), policy)
        allowed = pause if signal is Signal.ASKED else policy.longest_pause
        longest = max(longest, Instant(now + allowed))
        assert 0 <= lane.room(most, now) <= most
        assert lane.paused_until <= longest
        assert (lane.slots is None) == (lane.cause is None)
        assert lane.slots is None or lane.slots < most


@given(st.lists(st.booleans(), max_size=100))
def test_one_poisonous_payload_does_not_stop_an_origin_that_accepts_what_comes_between(
    poisonous: list[bool],
) -> None:
    lane = WHOLE

    for place, bad in enumerate(poisonous):
        before = place and poisonous[place - 1]
        signal = Signal.FAILED if bad and not before else Signal.ACCEPTED
        poisonous[place] = signal is Signal.FAILED
        lane = told(lane, word(signal, place))
        assert lane.room(8, at(place)) > 0
