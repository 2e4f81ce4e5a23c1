from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.instants import DAY, HOUR, SECOND, Instant, Span
from relay.domain.lanes import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    UNAUTHORIZED_PAUSE,
    Budget,
    Lane,
    LaneName,
    key_lane,
    origin_lane,
    parse_retry_after,
)
from tests.domain.samples import NOON, at

BASE = "https://client.camb.ai/apis"
KEY = "0123456789abcdef-camb-key"
BUDGET = Budget(rate=10, burst=10)
LANE = Lane(name=LaneName("key:1"))
HOLD = Span(25 * SECOND)


def test_clients_on_one_key_share_its_lane_and_other_keys_and_places_have_their_own() -> None:
    lanes = {key_lane(BASE, KEY), key_lane(BASE, KEY + "2"), key_lane(BASE + "/v2", KEY)}

    assert key_lane(BASE, KEY) == key_lane(BASE, KEY)
    assert len(lanes) == 3


def test_a_keys_lane_keeps_its_name_and_gives_nothing_of_the_key_away() -> None:
    name = key_lane(BASE, KEY)

    assert name == "key:fdeac351e4beb34287214518"
    assert KEY[:4] not in name


def test_two_clients_that_call_one_origin_have_a_lane_each() -> None:
    assert origin_lane("shop", "https://hooks.example") != origin_lane("bank", "https://hooks.example")
    assert origin_lane("shop", "https://hooks.example") != origin_lane("shop", "https://hooks.example:8443")


@pytest.mark.parametrize(
    ("rate", "interval"), [(10, 100_000), (0.5, 2_000_000), (3, 333_333), (1_000_000, 1), (1e9, 1)]
)
def test_a_budget_earns_a_token_each_interval(rate: float, interval: int) -> None:
    assert Budget(rate=rate, burst=1).interval == interval


def test_a_new_lane_has_its_whole_burst_and_earns_what_it_spent_at_its_rate() -> None:
    spent = LANE.spend(10, BUDGET, NOON, HOLD)

    assert LANE.tokens(BUDGET, NOON) == 10
    assert [spent.tokens(BUDGET, at(seconds)) for seconds in (0, 0.099, 0.1, 0.25, 0.95, 1, 3_600)] == [
        0,
        0,
        1,
        2,
        9,
        10,
        10,
    ]


def test_a_lane_has_no_token_to_give_while_its_clock_runs_behind_another_replicas() -> None:
    spent = LANE.spend(10, BUDGET, NOON, HOLD)

    assert spent.tokens(BUDGET, at(-60)) == 0


STEPS = st.lists(st.tuples(st.integers(0, 2 * SECOND), st.integers(0, 20)), max_size=60)


@given(steps=STEPS, rate=st.sampled_from([0.5, 3, 10, 70]), burst=st.integers(1, 70))
def test_a_keys_budget_never_exceeds_its_rate_over_any_interval(
    steps: list[tuple[int, int]], rate: float, burst: int
) -> None:
    budget, lane, now = Budget(rate=rate, burst=burst), LANE, NOON
    spent: list[tuple[Instant, int]] = []

    for wait, wanted in steps:
        now = Instant(now + wait)
        count = min(wanted, lane.tokens(budget, now))
        lane = lane.spend(count, budget, now, HOLD)
        spent.append((now, count))

    for first in range(len(spent)):
        for last in range(first, len(spent)):
            length = spent[last][0] - spent[first][0]
            total = sum(count for _, count in spent[first : last + 1])
            assert total <= burst + length // budget.interval


@given(waits=st.lists(st.integers(1, 900_000), min_size=1, max_size=60))
def test_a_lane_that_is_always_asked_loses_nothing_of_its_rate(waits: list[int]) -> None:
    lane, now, total = LANE, NOON, 0

    for wait in [0, *waits]:
        now = Instant(now + wait)
        count = lane.tokens(BUDGET, now)
        lane = lane.spend(count, BUDGET, now, HOLD)
        total += count

    assert total == BUDGET.burst + (now - NOON) // BUDGET.interval


def test_nothing_is_spent_from_a_paused_lane_until_its_pause_is_over() -> None:
    paused = LANE.after_failure(at(0), at(1), Span(30 * SECOND))

    assert [paused.tokens(BUDGET, at(seconds)) for seconds in (1, 30.999, 31, 3_600)] == [0, 0, 1, 1]


def test_one_probe_at_a_time_is_let_through_after_a_pause() -> None:
    paused = LANE.after_failure(at(0), at(1), None)

    probing = paused.spend(paused.tokens(BUDGET, at(2)), BUDGET, at(2), HOLD)

    assert [probing.tokens(BUDGET, at(seconds)) for seconds in (2, 5, 26.999, 27)] == [0, 0, 0, 1]


def test_the_answer_to_the_probe_gives_the_lane_back() -> None:
    probing = LANE.after_failure(at(0), at(1), None).spend(1, BUDGET, at(2), HOLD)

    answered = probing.after_answer(at(2))

    assert (answered.failures, answered.paused_until) == (0, 0)
    assert answered.tokens(BUDGET, at(3)) == 10


def test_a_probe_waits_for_a_token_like_any_other_request() -> None:
    paused = LANE.spend(10, Budget(rate=0.1, burst=1), at(0), HOLD).after_failure(at(0), at(1), None)

    assert paused.tokens(Budget(rate=0.1, burst=1), at(50)) == 0
    assert paused.tokens(Budget(rate=0.1, burst=1), at(100)) == 1


def test_a_lane_in_order_is_not_held_for_a_probe_and_spending_nothing_holds_nothing() -> None:
    paused = LANE.after_failure(at(0), at(1), None)

    assert LANE.spend(3, BUDGET, at(0), HOLD).paused_until == 0
    assert paused.spend(0, BUDGET, at(2), HOLD).paused_until == paused.paused_until


def test_failures_in_a_row_pause_for_a_second_doubling_to_a_minute() -> None:
    lane, now, pauses = LANE, NOON, []

    for _ in range(9):
        lane = lane.after_failure(now, now, None)
        pauses.append((lane.paused_until - now) // SECOND)
        now = lane.paused_until

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_key_that_fails_for_days_still_pauses_for_a_minute() -> None:
    lane = replace(LANE, failures=1_000_000, paused_at=at(0), paused_until=at(60))

    assert lane.after_failure(at(61), at(61), None).paused_until == at(121)


def test_a_key_that_is_refused_is_asked_once_a_minute_and_never_seldomer() -> None:
    lane, now, pauses = LANE, NOON, []

    for _ in range(4):
        lane = lane.after_refusal(now, now, None)
        pauses.append((lane.paused_until - now) // SECOND)
        now = lane.paused_until

    assert pauses == [60, 60, 60, 60]


def test_a_key_counts_as_refused_from_its_first_refusal_to_the_next_other_answer() -> None:
    refused = LANE.after_refusal(at(0), at(1), None)

    again = refused.after_refusal(at(61), at(62), None)

    assert LANE.failing_since is None
    assert (refused.failing_since, again.failing_since) == (at(1), at(1))
    assert again.after_failure(at(0), at(63), None).failing_since == at(1)  # of the same wave
    assert again.after_failure(at(130), at(131), None).failing_since is None
    assert again.after_answer(at(130)).failing_since is None


@pytest.mark.parametrize("asked", [1, 999_999, 3 * SECOND, 61 * SECOND, HOUR, DAY])
@pytest.mark.parametrize("failures", [0, 1, 5, 40])
def test_retry_after_is_kept_to_the_microsecond_whatever_came_before(failures: int, asked: int) -> None:
    lane = replace(LANE, failures=failures, paused_at=at(-100), paused_until=at(-40))

    assert lane.after_failure(at(0), at(1), Span(asked)).paused_until == at(1) + asked


def test_requests_that_fail_together_count_as_one_failure() -> None:
    lane = LANE

    for seconds in (1, 1.1, 1.2, 1.3):
        lane = lane.after_failure(at(0.5), at(seconds), None)

    assert lane.failures == 1
    assert lane.paused_at == at(1)
    assert lane.paused_until == at(1.3) + FIRST_PAUSE


def test_the_rest_of_a_wave_may_lengthen_its_pause_and_never_shorten_it() -> None:
    paused = LANE.after_failure(at(0), at(1), Span(30 * SECOND))

    sooner = paused.after_failure(at(0), at(2), Span(3 * SECOND))
    later = paused.after_failure(at(0), at(2), Span(60 * SECOND))

    assert (sooner.paused_until, later.paused_until) == (at(31), at(62))
    assert (sooner.failures, later.failures) == (1, 1)


def test_a_failed_probe_is_a_failure_of_its_own() -> None:
    paused = LANE.after_failure(at(0), at(1), None)

    again = paused.after_failure(at(2), at(2.5), None)

    assert (again.failures, again.paused_at, again.paused_until) == (2, at(2.5), at(4.5))


@pytest.mark.parametrize(("begun", "ends"), [(0.5, False), (0.999, False), (1, True), (2, True)])
def test_only_an_answer_to_a_request_begun_after_the_pause_ends_it(begun: float, *, ends: bool) -> None:
    paused = LANE.after_failure(at(0), at(1), Span(30 * SECOND))

    answered = paused.after_answer(at(begun))

    assert (answered.tokens(BUDGET, at(3)) == 10) is ends
    assert (answered == paused) is not ends


def test_after_an_answer_the_pauses_begin_at_a_second_again() -> None:
    lane = LANE
    for seconds in (1, 10, 20):
        lane = lane.after_failure(at(seconds), at(seconds), None)

    lane = lane.after_answer(at(30)).after_failure(at(31), at(32), None)

    assert (lane.failures, lane.paused_until) == (1, at(33))


@given(
    floor=st.sampled_from([FIRST_PAUSE, UNAUTHORIZED_PAUSE]),
    waves=st.lists(st.tuples(st.integers(0, HOUR), st.integers(0, 30 * SECOND)), min_size=1, max_size=30),
)
def test_a_pause_that_nobody_asked_for_is_never_longer_than_a_minute(
    floor: Span, waves: list[tuple[int, int]]
) -> None:
    lane, now = LANE, NOON

    for wait, took in waves:
        begun, now = Instant(now + wait), Instant(now + wait + took)
        lane = lane.after_failure(begun, now, None, floor)
        assert floor <= lane.paused_until - now <= LONGEST_PAUSE


WALL = NOON
"""What the machine's own clock says when the header arrives: Mon, 23 Nov 2026 12:00:00 GMT."""


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("1", SECOND),
        ("120", 120 * SECOND),
        (" 120 ", 120 * SECOND),
        ("007", 7 * SECOND),
        ("0" * 63 + "5", 5 * SECOND),
        ("99999999999999999999", 99_999_999_999_999_999_999 * SECOND),
        ("Mon, 23 Nov 2026 12:00:01 GMT", SECOND),
        ("Mon, 23 Nov 2026 12:02:00 GMT", 120 * SECOND),
        ("Monday, 23-Nov-26 12:02:00 GMT", 120 * SECOND),
        ("Mon Nov 23 12:02:00 2026", 120 * SECOND),
        ("Mon, 23 Nov 2026 14:02:00 +0200", 120 * SECOND),
        ("Mon, 23 Nov 2026 12:02:00 -0000", 120 * SECOND),
        ("Tue, 24 Nov 2026 12:00:00 GMT", DAY),
        ("0", None),
        ("00", None),
        ("-1", None),
        ("-120", None),
        ("+120", None),
        ("1.5", None),
        ("1e3", None),
        ("0x10", None),
        ("1_000", None),
        ("120s", None),
        ("120, 60", None),
        ("PT2M", None),
        ("NaN", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        ("   ", None),
        ("\u0661\u0662", None),
        ("\u00b2", None),
        ("9" * 65, None),
        ("Mon, 23 Nov 2026 12:00:00 GMT", None),
        ("Mon, 23 Nov 2026 11:59:59 GMT", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("Mon, 31 Feb 2026 12:00:00 GMT", None),
        ("Mon, 23 Nov 2026 25:00:00 GMT", None),
        ("Mon, 23 Nov 99999 12:00:00 GMT", None),
        ("Mon, 23 Nov 99999999999999999999 12:00:00 GMT", None),
        ("Mon, 23 Nov 2026 12:02:00 +99999999999999", None),
        ("2026-11-23T12:02:00Z", None),
        ("1795435320.5", None),
        ("\0", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_to_come_and_anything_else_asks_for_nothing(
    value: str, wait: int | None
) -> None:
    assert parse_retry_after(value, WALL) == wait


def test_the_last_date_there_is_asks_for_a_very_long_wait() -> None:
    wait = parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT", WALL)

    assert wait is not None
    assert wait > 7_900 * 365 * DAY


DATE_PARTS = st.sampled_from(
    ["Mon,", "23", "Nov", "-nov-", "2026", "26", "GMT", "EST", "+0200"]
) | st.sampled_from(["12:02:00", "12:02", "12.02.00", "-", ":", ",", "0", ""])


@given(
    st.text()
    | st.binary(max_size=40).map(lambda raw: raw.decode("latin-1"))
    | st.lists(DATE_PARTS, max_size=7).map(" ".join)
)
def test_whatever_is_in_the_header_it_asks_for_a_wait_or_for_nothing(value: str) -> None:
    wait = parse_retry_after(value, WALL)

    assert wait is None or wait > 0


@given(st.integers(1, 200 * 365 * 24 * 3_600))
def test_a_date_asks_for_the_time_that_is_left_until_it(seconds: int) -> None:
    moment = datetime(2026, 11, 23, 12, tzinfo=UTC) + timedelta(seconds=seconds)

    assert parse_retry_after(format_datetime(moment, usegmt=True), WALL) == seconds * SECOND


def test_a_clock_that_was_set_back_costs_at_most_the_time_to_fill_a_budget() -> None:
    ahead = replace(LANE, spent_until=at(30 * 24 * 3_600))

    assert ahead.tokens(BUDGET, NOON) == 0
    assert ahead.spend(1, BUDGET, NOON, HOLD).spent_until == NOON + BUDGET.whole + BUDGET.interval
    assert replace(LANE, spent_until=at(1)).tokens(BUDGET, at(1)) == BUDGET.burst
