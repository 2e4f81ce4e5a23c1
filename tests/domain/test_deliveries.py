from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.deliveries import (
    Accepted,
    Attempt,
    Blocked,
    Dead,
    DeadReason,
    Delivered,
    Failure,
    Outcome,
    Rejected,
    Retry,
    RetryPolicy,
    Unreachable,
)
from relay.domain.instants import DAY, HOUR, MINUTE, SECOND, Instant, Span
from relay.domain.lanes import Cause, Signal, Word
from tests.domain.samples import at

SCHEDULE = tuple(
    Span(wait)
    for wait in (
        5 * SECOND,
        5 * MINUTE,
        30 * MINUTE,
        2 * HOUR,
        5 * HOUR,
        10 * HOUR,
        14 * HOUR,
        20 * HOUR,
        24 * HOUR,
    )
)
POLICY = RetryPolicy(
    schedule=SCHEDULE,
    jitter=0.1,
    retry_after_ceiling=DAY,
    pause_without_retry_after=Span(5 * SECOND),
)
MIDDLE = 0.5
"""The throw of the dice that moves nothing."""

REFUSED_BY_DNS = Unreachable(failure=Failure.DNS, detail="the name is not known")
BLOCKED_NAME = Blocked(rule="private", final=False)
BLOCKED_URL = Blocked(rule="loopback", final=True)
CHANCES = st.floats(0, 1, exclude_max=True)


def attempt(outcome: Outcome) -> Attempt:
    """Begun at NOON, over two seconds later."""
    return Attempt(started_at=at(0), duration=Span(2 * SECOND), outcome=outcome)


@pytest.mark.parametrize(
    ("outcome", "http_status", "label", "error"),
    [
        (Accepted(http_status=204), 204, "accepted", None),
        (Rejected(http_status=302), 302, "rejected", "the callback answered 302"),
        (
            Rejected(http_status=503, retry_after=Span(SECOND)),
            503,
            "rejected",
            "the callback answered 503",
        ),
        (REFUSED_BY_DNS, None, "dns", "dns: the name is not known"),
        (Unreachable(failure=Failure.CONNECT, detail="refused"), None, "connect", "connect: refused"),
        (Unreachable(failure=Failure.TLS, detail="expired"), None, "tls", "tls: expired"),
        (Unreachable(failure=Failure.TIMEOUT, detail="15 s"), None, "timeout", "timeout: 15 s"),
        (Unreachable(failure=Failure.PROTOCOL, detail="bad"), None, "protocol", "protocol: bad"),
        (BLOCKED_NAME, None, "blocked", "blocked: private"),
        (BLOCKED_URL, None, "blocked", "blocked: loopback"),
    ],
)
def test_an_attempt_says_what_became_of_it(
    outcome: Outcome, http_status: int | None, label: str, error: str | None
) -> None:
    tried = attempt(outcome)

    assert (tried.http_status, tried.label, tried.error) == (http_status, label, error)


def test_an_attempt_ends_its_duration_after_it_began() -> None:
    assert attempt(Accepted(http_status=200)).ended_at == at(2)


@pytest.mark.parametrize("tries", [1, 9, 10, 11, 100])
def test_a_2xx_delivers_however_late_it_comes(tries: int) -> None:
    assert POLICY.decide(attempt(Accepted(http_status=200)), tries=tries, chance=MIDDLE) == Delivered()


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Rejected(http_status=410), DeadReason.GONE),
        (Rejected(http_status=410, retry_after=Span(HOUR)), DeadReason.GONE),
        (BLOCKED_URL, DeadReason.BLOCKED),
    ],
)
def test_gone_and_a_url_that_is_itself_blocked_end_a_delivery_at_once_and_hold_nobody_else_up(
    outcome: Outcome, reason: DeadReason
) -> None:
    assert POLICY.decide(attempt(outcome), tries=1, chance=MIDDLE) == Dead(reason=reason)


RETRIED = [
    *(Rejected(http_status=status) for status in (100, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405)),
    *(
        Rejected(http_status=status)
        for status in (408, 409, 411, 413, 418, 422, 500, 502, 503, 504, 600, 999)
    ),
    *(Unreachable(failure=failure, detail="no") for failure in Failure),
    BLOCKED_NAME,
]


@pytest.mark.parametrize("outcome", RETRIED, ids=str)
def test_everything_else_is_tried_again_on_the_schedule_and_holds_nobody_else_up(outcome: Outcome) -> None:
    assert POLICY.decide(attempt(outcome), tries=1, chance=MIDDLE) == Retry(at=at(2 + 5))


@pytest.mark.parametrize("outcome", [*RETRIED, Rejected(http_status=429)], ids=str)
def test_past_the_end_of_the_schedule_a_delivery_is_dead(outcome: Outcome) -> None:
    decision = POLICY.decide(attempt(outcome), tries=10, chance=MIDDLE)

    assert isinstance(decision, Dead)
    assert decision.reason is DeadReason.EXHAUSTED


def test_the_schedule_is_walked_step_by_step_from_the_end_of_each_try() -> None:
    decisions = [
        POLICY.decide(attempt(REFUSED_BY_DNS), tries=tries, chance=MIDDLE)
        for tries in range(1, len(SCHEDULE) + 2)
    ]

    assert decisions == [
        *(Retry(at=Instant(at(2) + wait)) for wait in SCHEDULE),
        Dead(reason=DeadReason.EXHAUSTED),
    ]


@given(tries=st.integers(1, len(SCHEDULE)), chance=CHANCES)
def test_a_retry_is_off_its_schedule_by_no_more_than_the_jitter(tries: int, chance: float) -> None:
    decision = POLICY.decide(attempt(REFUSED_BY_DNS), tries=tries, chance=chance)

    assert isinstance(decision, Retry)
    wait = SCHEDULE[tries - 1]
    assert 0.9 * wait <= decision.at - at(2) <= 1.1 * wait


def test_without_a_schedule_the_first_failure_is_the_last() -> None:
    policy = RetryPolicy(
        schedule=(), jitter=0.1, retry_after_ceiling=DAY, pause_without_retry_after=Span(SECOND)
    )

    assert policy.decide(attempt(REFUSED_BY_DNS), tries=1, chance=MIDDLE) == Dead(reason=DeadReason.EXHAUSTED)


@pytest.mark.parametrize("status", [302, 404, 429, 500, 503])
@pytest.mark.parametrize("tries", [1, 2, 9])
@given(asked=st.integers(1, 10 * DAY), chance=CHANCES)
def test_retry_after_holds_the_whole_origin_exactly_as_long_as_asked_up_to_the_ceiling(
    status: int, tries: int, asked: int, chance: float
) -> None:
    outcome = Rejected(http_status=status, retry_after=Span(asked))

    decision = POLICY.decide(attempt(outcome), tries=tries, chance=chance)

    assert isinstance(decision, Retry)
    word = POLICY.word(attempt(outcome))
    assert word is not None
    assert (word.signal, word.pause, word.cause) == (Signal.ASKED, min(asked, DAY), Cause.RETRY_AFTER)
    scheduled = POLICY.decide(attempt(Rejected(http_status=500)), tries=tries, chance=chance)
    assert isinstance(scheduled, Retry)
    assert decision.at == max(scheduled.at, at(2) + min(asked, DAY))


def test_429_without_retry_after_holds_the_origin_for_the_configured_pause() -> None:
    policy = RetryPolicy(
        schedule=(Span(2 * SECOND),),
        jitter=0,
        retry_after_ceiling=DAY,
        pause_without_retry_after=Span(5 * SECOND),
    )

    busy = attempt(Rejected(http_status=429))

    decision = policy.decide(busy, tries=1, chance=MIDDLE)
    word = policy.word(busy)

    assert decision == Retry(at=at(7))
    assert word == Word(
        signal=Signal.ASKED, begun=at(0), ended=at(2), pause=Span(5 * SECOND), cause=Cause.TOO_MANY_REQUESTS
    )


def test_every_outcome_there_is_appears_in_these_tables() -> None:
    tried = {type(outcome) for outcome in (Accepted(http_status=200), *RETRIED, BLOCKED_URL)}

    assert tried == set(get_args(Outcome))
