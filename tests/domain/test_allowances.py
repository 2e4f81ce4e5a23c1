from hypothesis import given
from hypothesis import strategies as st

from relay.domain.allowances import Spending
from relay.domain.instants import MINUTE, SECOND, Instant, Span

NOW = Instant(1_795_000_000 * SECOND)


def test_a_whole_minute_may_be_spent_at_once_and_not_one_more() -> None:
    spent = Spending().spend(60, 60, NOW)

    assert Spending().wait(60, 60, NOW) == 0
    assert spent.wait(1, 60, NOW) == 1 * SECOND
    assert spent.wait(60, 60, NOW) == MINUTE


def test_what_was_spent_is_earned_back_evenly() -> None:
    spent = Spending().spend(60, 60, NOW)

    waits = [spent.wait(10, 60, Instant(NOW + after * SECOND)) for after in (0, 4, 9, 10, 1_000)]

    assert waits == [10 * SECOND, 6 * SECOND, 1 * SECOND, 0, 0]


def test_nothing_is_saved_up_beyond_the_minute() -> None:
    rested = Spending().spend(60, 60, NOW).spend(60, 60, Instant(NOW + 60 * MINUTE))

    assert rested.wait(1, 60, Instant(NOW + 60 * MINUTE)) == 1 * SECOND


@given(
    per_minute=st.integers(1, 10_000_000),
    asked=st.lists(st.tuples(st.integers(1, 1_000), st.integers(0, MINUTE)), max_size=50),
)
def test_no_minute_lets_through_more_than_twice_its_allowance(
    per_minute: int, asked: list[tuple[int, int]]
) -> None:
    spending, now, passed = Spending(), NOW, []
    for count, after in asked:
        now = Instant(now + after)
        if count <= per_minute and not spending.wait(count, per_minute, now):
            spending = spending.spend(count, per_minute, now)
            passed.append((now, count))

    for begun, _ in passed:
        assert sum(count for at, count in passed if begun <= at < begun + MINUTE) <= 2 * per_minute


@given(
    per_minute=st.integers(1, 10_000_000),
    spent=st.lists(st.tuples(st.integers(1, 1_000), st.integers(0, MINUTE)), max_size=20),
    wanted=st.integers(1, 1_000),
)
def test_a_wait_is_as_long_as_it_must_be_and_no_longer(
    per_minute: int, spent: list[tuple[int, int]], wanted: int
) -> None:
    spending, now, wanted = Spending(), NOW, min(wanted, per_minute)
    for count, after in spent:
        now = Instant(now + after)
        if count <= per_minute and not spending.wait(count, per_minute, now):
            spending = spending.spend(count, per_minute, now)

    wait = spending.wait(wanted, per_minute, now)

    assert spending.wait(wanted, per_minute, Instant(now + wait)) == 0
    assert wait == 0 or spending.wait(wanted, per_minute, Instant(now + Span(wait - 1))) > 0
