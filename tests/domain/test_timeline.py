from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.chain import Rule, Step, What, counted, spoken
from relay.domain.deliveries import DeadReason
from relay.domain.errors import BrokenRule
from relay.domain.history import Event, History, Notification, Tried
from relay.domain.instants import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Instant, Span
from relay.domain.lanes import Cause, Lane
from relay.domain.registrations import EventType
from relay.domain.tasks import PollResult, TaskState
from relay.domain.timeline import timeline
from tests.domain.chains import hold
from tests.domain.histories import HISTORIES, REGISTRATION_LANE, TERMS, terms
from tests.domain.samples import NOON, REGISTRATION, TASK, at

NOW = at(3600)
WATCHED = History(
    registration=REGISTRATION,
    closed_at=None,
    verdict_at=REGISTRATION.expires_at,
    task=replace(TASK, leased_until=None),
)
FAILED = Tried(
    number=1,
    round=1,
    started_at=at(11),
    duration=Span(120 * MILLISECOND),
    outcome="rejected",
    http_status=503,
    error="the callback answered 503",
    pause=None,
)
EVENT = Notification(
    type=EventType.TASK_SUCCEEDED,
    created_at=at(10),
    position=1_234,
    round=1,
    round_at=None,
    attempts=1,
    failures=1,
    next_at=Instant(FAILED.ended_at + 5 * SECOND),
    leased_until=None,
    ended_at=None,
    delivered_at=None,
    dead_reason=None,
    tried=(FAILED,),
)
ENDED = replace(
    WATCHED,
    verdict_at=None,
    status="SUCCESS",
    run_id=123,
    task=replace(
        TASK,
        state=TaskState.SUCCEEDED,
        next_at=None,
        leased_until=None,
        polls=9,
        last_poll_at=at(10),
        last_poll_result=PollResult.TERMINAL,
        last_poll_http_status=200,
        last_pending_at=at(8),
        first_terminal_at=at(10),
    ),
)
LANE = Lane(name=REGISTRATION_LANE, slots=0, failures=1, paused_at=at(12), failing_since=at(11))


def told(
    history: History, now: Instant = NOW, *, configured: bool = True, halted: bool = False
) -> list[Step]:
    steps = timeline(history, terms(now, configured=configured, clock_halted=halted))
    hold(steps)
    return list(steps)


def last(history: History, now: Instant = NOW, *, configured: bool = True, halted: bool = False) -> Step:
    return told(history, now, configured=configured, halted=halted)[-1]


def with_event(**changes: object) -> History:
    return replace(ENDED, event=replace(EVENT, **changes))  # type: ignore[arg-type]  # each test names real fields


@settings(max_examples=300, deadline=None)
@given(drawn=HISTORIES, configured=st.booleans(), halted=st.booleans())
def test_every_timeline_is_a_chain_of_causes_from_its_registration_to_one_end_or_one_plan(
    drawn: tuple[History, Instant], *, configured: bool, halted: bool
) -> None:
    history, now = drawn

    steps = timeline(history, terms(now, configured=configured, clock_halted=halted))

    hold(steps)
    event = history.notification
    assert [step.at for step in steps if step.what is What.TRIED] == [
        attempt.started_at for attempt in (event.tried if event else ())
    ]


def test_without_a_callback_the_story_ends_with_an_event_that_waits_to_be_pulled() -> None:
    pulled = replace(
        ENDED,
        registration=replace(REGISTRATION, callback_url=None, origin=None),
        event=Event(type=EVENT.type, created_at=EVENT.created_at, position=1_007),
    )

    steps = told(pulled)

    assert [step.what for step in steps] == [What.REGISTERED, What.POLLED, What.SEEN, What.AVAILABLE]
    assert (
        steps[0].detail
        == "registered: an event is to be made, and to be pulled, when the text-to-sound task ends"
    )
    assert steps[-1].detail == (
        "the event was made, task.succeeded, number 1,007 of the client's; it waits to be pulled"
    )
    assert (steps[-1].rule, steps[-1].facts["position"]) == (Rule.PULLED, 1_007)


def test_a_whole_story_is_told_step_by_step() -> None:
    accepted = replace(FAILED, number=2, started_at=at(16), outcome="accepted", http_status=204, error=None)
    done = with_event(
        attempts=2,
        next_at=None,
        ended_at=accepted.ended_at,
        delivered_at=accepted.ended_at,
        tried=(FAILED, accepted),
    )

    steps = told(done)

    assert [(step.what, step.at, step.because, step.rule) for step in steps] == [
        (What.REGISTERED, NOON, None, Rule.REQUEST),
        (What.POLLED, at(10), 0, None),
        (What.SEEN, at(10), 1, Rule.TERMINAL),
        (What.QUEUED, at(10), 2, Rule.AT_ONCE),
        (What.TRIED, at(11), 3, None),
        (What.TRIED, at(16), 4, None),
        (What.DELIVERED, accepted.ended_at, 5, Rule.ACCEPTED),
    ]
    assert [step.detail for step in steps] == [
        "registered: https://shop.example is to be told when the text-to-sound task ends",
        "CAMB was asked about the task 9 times; the last time, it had ended",
        "CAMB reported SUCCESS: the task ended between 2026-11-23T12:00:08.000Z and 2026-11-23T12:00:10.000Z",
        "the notification was made, task.succeeded, number 1,234 of the client's",
        "attempt 1 was answered 503 after 120 ms",
        "attempt 2 was accepted with 204 after 120 ms",
        "delivered 6 s after the notification was made",
    ]


def test_no_step_spells_a_callback_url() -> None:
    assert not [step for step in told(with_event()) if "s3cret" in repr(step)]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (PollResult.PENDING, "it was still pending"),
        (PollResult.UNKNOWN_STATUS, "its status was PROCESSING, which is not known to end a task"),
        (PollResult.TERMINAL, "it had ended"),
        (
            PollResult.NOT_FOUND,
            "CAMB did not know it: not found under kind text-to-sound; was it another kind?",
        ),
        (PollResult.UNAUTHORIZED, "CAMB refused the client's key with 418"),
        (PollResult.RATE_LIMITED, "CAMB wanted fewer requests"),
        (PollResult.SERVER_ERROR, "CAMB failed with 418"),
        (PollResult.UNEXPECTED_STATUS, "CAMB answered 418, which says nothing about a task"),
        (PollResult.INVALID, "the answer could not be read"),
        (PollResult.TIMEOUT, "no answer came in time"),
        (PollResult.UNREACHABLE, "CAMB could not be reached"),
    ],
)
def test_what_the_last_poll_came_to_is_said_in_words(result: PollResult, words: str) -> None:
    task = replace(
        WATCHED.task, polls=1, last_poll_at=at(1), last_poll_result=result, last_poll_http_status=418
    )

    polled = told(replace(WATCHED, task=task, status="PROCESSING"))[1]

    assert polled.detail == f"CAMB was asked about the task 1 time; the last time, {words}"
    assert polled.facts["result"] == result


def test_polls_before_the_registration_and_after_its_verdict_are_not_told_as_its_own() -> None:
    polled = replace(WATCHED.task, polls=4, last_poll_at=at(-1), last_poll_result=PollResult.PENDING)
    expired = replace(EVENT, type=EventType.REGISTRATION_EXPIRED)
    later = replace(polled, last_poll_at=at(60))

    before = told(replace(WATCHED, task=polled))
    after = told(replace(WATCHED, task=later, event=expired))

    assert [step.what for step in before] == [What.REGISTERED, What.NEXT_POLL]
    assert (after[1].what, after[1].at) == (What.POLLED, None)
    assert after[1].detail == "CAMB was asked about the task; with what others asked since, 4 times"


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({}, "between 2026-11-23T12:00:08.000Z and 2026-11-23T12:00:10.000Z"),
        ({"last_pending_at": None}, "the task had not been seen pending before"),
        (
            {"first_terminal_at": at(-60)},
            "CAMB had reported SUCCESS at 2026-11-23T11:59:00.000Z, before the registration came",
        ),
    ],
)
def test_when_the_end_was_seen_is_told_as_well_as_it_is_known(
    changes: dict[str, Instant], detail: str
) -> None:
    history = with_event()

    steps = told(replace(history, task=replace(history.task, **changes)))  # type: ignore[arg-type]  # each case names real fields

    (seen,) = [step for step in steps if step.what is What.SEEN]
    assert detail in seen.detail
    assert seen.facts["run_id"] == 123


@pytest.mark.parametrize(
    ("type_", "what", "detail"),
    [
        (
            EventType.TASK_LOST,
            What.LOST,
            (
                "given up as lost: for 10 min and over at least 3 polls CAMB did not know the task;"
                " not found under kind text-to-sound; was it another kind?"
            ),
        ),
        (
            EventType.REGISTRATION_EXPIRED,
            What.EXPIRED,
            "expired: 24 h went by without CAMB reporting an end of the task",
        ),
    ],
)
def test_the_relays_own_verdicts_say_why(type_: EventType, what: What, detail: str) -> None:
    steps = told(replace(WATCHED, event=replace(EVENT, type=type_)))

    assert (steps[1].what, steps[1].detail) == (what, detail)


def test_a_test_has_no_timeline() -> None:
    with pytest.raises(BrokenRule):
        told(replace(WATCHED, event=replace(EVENT, type=EventType.RELAY_TEST)))


@pytest.mark.parametrize(
    ("task", "key_pause", "rule", "moment"),
    [
        ({"next_at": NOON}, None, Rule.AT_ONCE, NOON),
        ({"next_at": at(9)}, None, Rule.PACE, at(9)),
        ({"next_at": at(9)}, at(8), Rule.PACE, at(9)),
        ({"next_at": at(9)}, at(7_200), Rule.KEY, at(7_200)),
        ({"next_at": at(9), "leased_until": at(9)}, at(7_200), Rule.LEASE, at(9)),
        ({"next_at": None}, None, Rule.HEALING, None),
    ],
)
def test_the_next_poll_names_the_rule_that_set_it(
    task: dict[str, Instant], key_pause: Instant | None, rule: Rule, moment: Instant | None
) -> None:
    key = None if key_pause is None else replace(LANE, paused_until=key_pause)

    step = last(replace(WATCHED, task=replace(WATCHED.task, **task), key_lane=key))  # type: ignore[arg-type]  # each case names real fields

    assert (step.what, step.rule, step.at) == (What.NEXT_POLL, rule, moment)


def test_nothing_is_planned_for_a_client_that_is_not_configured() -> None:
    polled, sent = last(WATCHED, configured=False), last(with_event(), configured=False)

    assert (polled.rule, polled.at) == (sent.rule, sent.at) == (Rule.CLIENT, None)


@pytest.mark.parametrize(
    ("halted", "rule", "end"),
    [
        (False, Rule.EXPIRY, "; CAMB is asked once more, and then it expires"),
        (True, Rule.CLOCK, "; the clock has jumped, and until it is put right nothing expires"),
    ],
)
def test_a_registration_whose_time_is_over_says_what_it_waits_for(
    *, halted: bool, rule: Rule, end: str
) -> None:
    steps = told(WATCHED, at(25 * 3600), halted=halted)

    over = steps[-2]
    assert (over.what, over.at, over.rule) == (What.TIME_OVER, REGISTRATION.expires_at, rule)
    assert over.detail == f"24 h are over and CAMB has reported no end of the task{end}"
    assert steps[-1].because == len(steps) - 2


@pytest.mark.parametrize("history", [WATCHED, with_event(ended_at=at(20), next_at=None)])
def test_a_cancelled_registration_ends_with_its_cancellation(history: History) -> None:
    step = last(replace(history, closed_at=at(20)))

    assert (step.what, step.at, step.rule) == (What.CANCELLED, at(20), Rule.REQUEST)


NEXT = EVENT.next_at or NOON


@pytest.mark.parametrize(
    ("changes", "rule", "detail"),
    [
        (
            {},
            Rule.RETRY_SCHEDULE,
            "attempt 2 is made by step 1 of 3 of the retry schedule, 5 s ± 10% after the one before",
        ),
        (
            {"tried": ()},
            Rule.RETRY_SCHEDULE,
            "attempt 2 is made by step 1 of 3 of the retry schedule, 5 s ± 10% after the one before",
        ),
        (
            {"tried": (), "failures": 3, "attempts": 3},
            Rule.RETRY_SCHEDULE,
            "attempt 4 is made by step 3 of 3 of the retry schedule, 2 h ± 10% after the one before, and is the last",
        ),
        (
            {"tried": (replace(FAILED, pause=Span(HOUR)),), "next_at": Instant(FAILED.ended_at + HOUR)},
            Rule.RETRY_AFTER,
            "attempt 2 is made after the 60 min for which the origin is to be left alone",
        ),
        (
            {"tried": (replace(FAILED, pause=Span(SECOND)),)},
            Rule.RETRY_SCHEDULE,
            "attempt 2 is made by step 1 of 3 of the retry schedule, 5 s ± 10% after the one before",
        ),
        (
            {"next_at": at(12)},
            Rule.GIVEN_BACK,
            "attempt 2 is made out of turn: a process that stopped or started gave it back, or the schedule was changed since",
        ),
        (
            {"leased_until": NEXT},
            Rule.LEASE,
            "attempt 2 is under way; if nothing is heard of it, it is made again when its lease is over",
        ),
        (
            {"tried": (), "attempts": 0, "failures": 0, "next_at": at(10)},
            Rule.AT_ONCE,
            "attempt 1 is made as soon as there is a place for it",
        ),
        (
            {"tried": (), "attempts": 0, "failures": 0, "next_at": at(13)},
            Rule.GIVEN_BACK,
            "attempt 1 is made out of turn: a process that stopped or started gave it back, or the schedule was changed since",
        ),
        (
            {"round": 2, "failures": 0, "next_at": at(13)},
            Rule.AT_ONCE,
            "attempt 2 is made as soon as there is a place for it",
        ),
    ],
)
def test_the_next_try_names_the_rule_that_set_it(changes: dict[str, object], rule: Rule, detail: str) -> None:
    step = last(with_event(**changes))

    assert (step.what, step.rule, step.detail) == (What.NEXT_TRY, rule, detail)
    assert step.at == changes.get("next_at", NEXT)


def test_a_schedule_that_was_emptied_since_is_no_hindrance() -> None:
    emptied = replace(TERMS, now=NOW, retry=replace(TERMS.retry, schedule=(), jitter=0.0))

    steps = timeline(with_event(tried=()), emptied)

    assert (
        steps[-1].detail
        == "attempt 2 is made by step 1 of 0 of the retry schedule, 0 ms after the one before, and is the last"
    )


@pytest.mark.parametrize(
    ("lane", "detail"),
    [
        (
            {"cause": Cause.RETRY_AFTER, "failing_since": None},
            "the origin asked with Retry-After to be left alone until 2026-11-23T14:00:00.000Z",
        ),
        (
            {"cause": Cause.TOO_MANY_REQUESTS},
            "the origin answered 429, and is left alone until 2026-11-23T14:00:00.000Z",
        ),
        (
            {"cause": Cause.FAILING},
            (
                "the origin keeps failing, and is left alone until 2026-11-23T14:00:00.000Z"
                " (in trouble since 2026-11-23T12:00:11.000Z)"
            ),
        ),
        (
            {"cause": Cause.PROBING},
            "one attempt is finding out whether the origin is back (in trouble since 2026-11-23T12:00:11.000Z)",
        ),
        ({"cause": None}, "the origin is paused until 2026-11-23T14:00:00.000Z"),
        (
            {"paused_until": at(20), "slots": 3, "failing_since": None},
            "3 attempts at a time of 8",
        ),
        (
            {"paused_until": at(20), "slots": 0},
            "1 attempt at a time of 8 (in trouble since 2026-11-23T12:00:11.000Z)",
        ),
    ],
)
def test_a_delivery_that_is_due_says_what_holds_it_back(lane: dict[str, object], detail: str) -> None:
    held_by = replace(LANE, **({"paused_until": at(7_200)} | lane))  # type: ignore[arg-type]  # each case names real fields

    steps = told(with_event(lane=held_by))
    held, planned = steps[-2:]

    assert (held.what, held.at, held.rule) == (What.HELD, NEXT, Rule.LANE)
    assert held.detail == f"due, and held back: {detail}"
    assert planned.detail == f"attempt 2 is made once its origin has a place for it: {detail}"
    assert (planned.rule, planned.because) == (Rule.LANE, len(steps) - 2)
    assert planned.at == max(NEXT, held_by.paused_until)


@pytest.mark.parametrize(
    ("paused_until", "rule", "moment"),
    [(at(14), Rule.RETRY_SCHEDULE, NEXT), (at(60), Rule.LANE, at(60))],
)
def test_what_is_not_yet_due_is_not_held_but_may_be_by_then(
    paused_until: Instant, rule: Rule, moment: Instant
) -> None:
    steps = told(with_event(lane=replace(LANE, paused_until=paused_until)), at(13))

    assert What.HELD not in {step.what for step in steps}
    assert (steps[-1].rule, steps[-1].at) == (rule, moment)


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        (
            {"http_status": None, "outcome": "dns", "error": "dns: no such name"},
            "attempt 1 got no answer (dns: no such name) after 120 ms",
        ),
        (
            {"http_status": None, "outcome": "blocked", "error": "blocked: loopback"},
            "attempt 1 was not sent (blocked: loopback) after 120 ms",
        ),
        (
            {"pause": Span(30 * SECOND)},
            "attempt 1 was answered 503 after 120 ms; the origin is to be left alone for 30 s",
        ),
    ],
)
def test_an_attempt_says_what_it_came_to(changes: dict[str, object], detail: str) -> None:
    attempt = replace(FAILED, **changes)  # type: ignore[arg-type]  # each case names real fields

    step = told(with_event(tried=(attempt,)))[-2]

    assert step.detail == detail
    assert step.facts["error"] == attempt.error


DEAD = {"next_at": None, "ended_at": at(270_011), "attempts": 4, "failures": 4}


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        (
            {"dead_reason": DeadReason.EXHAUSTED},
            "given up after 4 attempts over 75 h: the last was answered 503",
        ),
        ({"dead_reason": DeadReason.EXHAUSTED, "tried": ()}, "given up after 4 attempts over 75 h"),
        (
            {"dead_reason": DeadReason.EXHAUSTED, "round": 2, "tried": (replace(FAILED, number=4, round=2),)},
            "given up after 4 attempts: the last was answered 503",
        ),
        (
            {"dead_reason": DeadReason.EXHAUSTED, "failures": 1},
            (
                "given up after 1 attempt over 75 h: its origin failed without a break for longer than the whole schedule"
                " and a Retry-After take, 26 h"
            ),
        ),
        ({"dead_reason": DeadReason.GONE}, "given up: the callback answered 410, it is gone for good"),
        (
            {"dead_reason": DeadReason.BLOCKED, "tried": (replace(FAILED, error="blocked: loopback"),)},
            "given up: the relay may not call that URL, whatever happens (blocked: loopback)",
        ),
        (
            {"dead_reason": DeadReason.BLOCKED, "tried": ()},
            "given up: the relay may not call that URL, whatever happens",
        ),
    ],
)
def test_a_dead_delivery_says_why(changes: dict[str, object], detail: str) -> None:
    step = last(with_event(**DEAD | changes), at(300_000))

    assert (step.what, step.at, step.detail) == (What.DEAD, at(270_011), detail)
    assert step.rule == step.facts["reason"]


def test_a_delivery_whose_attempts_were_not_logged_is_told_all_the_same() -> None:
    steps = told(with_event(tried=(), next_at=None, ended_at=at(11), delivered_at=at(11)))

    assert [step.what for step in steps[-2:]] == [What.QUEUED, What.DELIVERED]


@pytest.mark.parametrize(
    "known", [True, False], ids=["rounds on record", "rows from before rounds were kept"]
)
def test_a_redelivery_stands_between_the_attempts_of_its_rounds(*, known: bool) -> None:
    first, second, third = (
        replace(FAILED, number=number, round=round_ if known else None, started_at=at(10 * number))
        for number, round_ in ((1, 1), (2, 2), (3, 2))
    )
    event = with_event(
        round=2,
        round_at=at(15),
        attempts=3,
        failures=2,
        tried=(first, second, third),
        next_at=Instant(third.ended_at + 5 * MINUTE),
    )

    steps = told(event)

    assert [(step.what, step.facts.get("round")) for step in steps[4:]] == [
        (What.TRIED, 1),
        (What.REDELIVERED, 2),
        (What.TRIED, 2),
        (What.TRIED, 2),
        (What.NEXT_TRY, 2),
    ]
    assert steps[5].at == at(15)
    assert (
        steps[5].detail == "sent again on request: round 2 of the same notification, over the whole schedule"
    )


def test_the_beginning_of_an_older_round_is_not_known() -> None:
    second = replace(FAILED, number=2, round=2)

    steps = told(with_event(round=3, round_at=at(60), attempts=2, failures=0, tried=(FAILED, second)))

    assert [step.at for step in steps if step.what is What.REDELIVERED] == [None, at(60)]


def test_attempts_that_are_left_out_are_counted() -> None:
    newest = replace(FAILED, number=60, round=6)

    steps = told(with_event(round=6, round_at=at(5), attempts=60, failures=1, tried=(newest,), left_out=59))

    assert [step.what for step in steps[3:]] == [What.QUEUED, What.LEFT_OUT, What.TRIED, What.NEXT_TRY]
    assert (steps[4].at, steps[4].detail) == (None, "59 older attempts left out, or not on record any more")


def test_an_attempt_that_another_clock_puts_before_its_event_is_shown_with_it() -> None:
    early = replace(FAILED, started_at=Instant(EVENT.created_at - 3 * MILLISECOND))

    steps = told(with_event(tried=(early,)))

    assert steps[-2].at == EVENT.created_at


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (0, "0 ms"),
        (999 * MILLISECOND, "999 ms"),
        (SECOND, "1 s"),
        (90 * SECOND, "90 s"),
        (5 * MINUTE, "5 min"),
        (90 * MINUTE, "90 min"),
        (75 * HOUR, "75 h"),
        (30 * DAY, "30 d"),
    ],
)
def test_lengths_of_time_are_said_in_a_unit_of_their_own_size(span: int, words: str) -> None:
    assert spoken(span) == words


def test_one_is_not_many() -> None:
    assert (counted(1, "time"), counted(0, "time"), counted(1_200, "time")) == (
        "1 time",
        "0 times",
        "1,200 times",
    )
