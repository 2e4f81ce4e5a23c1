import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.instants import DAY, HOUR, MINUTE, SECOND, Span
from relay.domain.pacing import Pace, spread

SHORT = Pace(minimum=Span(2 * SECOND), maximum=Span(30 * SECOND), growth=0.1, jitter=0.1)
LONG = Pace(minimum=Span(2 * SECOND), maximum=Span(60 * SECOND), growth=0.1, jitter=0.1)

MIDDLE = 0.5
"""The throw of the dice that moves nothing."""
CHANCES = st.floats(0, 1, exclude_max=True)
AGES = st.integers(-HOUR, 30 * DAY)


@pytest.mark.parametrize(
    ("pace", "age", "delay"),
    [
        (SHORT, 0, 2 * SECOND),
        (SHORT, 20 * SECOND, 2 * SECOND),
        (SHORT, 21 * SECOND, 2_100_000),
        (SHORT, 100 * SECOND, 10 * SECOND),
        (SHORT, 5 * MINUTE, 30 * SECOND),
        (SHORT, 30 * DAY, 30 * SECOND),
        (SHORT, -HOUR, 2 * SECOND),
        (LONG, 5 * MINUTE, 30 * SECOND),
        (LONG, 10 * MINUTE, 60 * SECOND),
        (LONG, 20 * MINUTE, 60 * SECOND),
    ],
)
def test_a_task_is_looked_at_soon_while_it_is_young_and_seldom_once_it_is_old(
    pace: Pace, age: int, delay: int
) -> None:
    assert pace.delay(age, MIDDLE) == delay


@given(age=AGES, chance=CHANCES)
def test_a_delay_stays_within_its_bounds_and_their_jitter(age: int, chance: float) -> None:
    assert 1.8 * SECOND <= SHORT.delay(age, chance) <= 33 * SECOND


@given(age=AGES, more=st.integers(0, DAY), chance=CHANCES)
def test_an_older_task_is_never_looked_at_sooner(age: int, more: int, chance: float) -> None:
    assert SHORT.delay(age, chance) <= SHORT.delay(age + more, chance)


@given(span=st.integers(0, DAY), jitter=st.floats(0, 1), chance=CHANCES)
def test_a_spread_span_is_off_by_no_more_than_the_jitter(span: int, jitter: float, chance: float) -> None:
    assert abs(spread(span, jitter, chance) - span) <= span * jitter + 1


@pytest.mark.parametrize(("chance", "spread_to"), [(0.0, 900), (0.25, 950), (0.5, 1_000), (0.75, 1_050)])
def test_the_dice_spread_a_span_evenly_around_itself(chance: float, spread_to: int) -> None:
    assert spread(1_000, 0.1, chance) == spread_to


@given(span=st.integers(0, DAY), chance=CHANCES)
def test_without_jitter_a_span_is_not_moved(span: int, chance: float) -> None:
    assert spread(span, 0, chance) == span
