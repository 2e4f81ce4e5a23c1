"""The second half of a timeline: from the notification to its end, or to its next try and the rule that set it."""

from typing import assert_never

from relay.domain.chain import Chain, Rule, What, counted, spoken
from relay.domain.deliveries import DeadReason
from relay.domain.history import Event, Notification, Terms, Tried
from relay.domain.ids import RegistrationId, event_id_of
from relay.domain.instants import MILLISECOND, SECOND, Instant, Span, text, text_or_none
from relay.domain.lanes import Cause, Lane

_ACCEPTED = "accepted"
_BLOCKED = "blocked"
_ENDS = {
    DeadReason.EXHAUSTED: Rule.EXHAUSTED,
    DeadReason.GONE: Rule.GONE,
    DeadReason.BLOCKED: Rule.BLOCKED,
}


def add_available(chain: Chain, registration: RegistrationId, event: Event, because: int) -> None:
    chain.add(
        What.AVAILABLE,
        event.created_at,
        f"the event was made, {event.type}, number {event.position:,} of the client's; it waits to be pulled",
        because=because,
        rule=Rule.PULLED,
        event_id=event_id_of(registration),
        type=event.type,
        position=event.position,
    )


def add_queued(chain: Chain, registration: RegistrationId, event: Notification, because: int) -> int:
    return chain.add(
        What.QUEUED,
        event.created_at,
        f"the notification was made, {event.type}, number {event.position:,} of the client's",
        because=because,
        rule=Rule.AT_ONCE,
        event_id=event_id_of(registration),
        type=event.type,
        position=event.position,
    )


def add_attempts(chain: Chain, event: Notification, because: int) -> int:
    """Every attempt that is told of, with the beginnings of the rounds; the place of the last step so far."""
    current = 1
    if event.left_out:
        because = chain.add(
            What.LEFT_OUT,
            None,
            f"{counted(event.left_out, 'older attempt')} left out, or not on record any more",
            because=because,
            rule=Rule.BOUND,
            attempts=event.left_out,
        )
        current = event.round_of(event.tried[0])
    for attempt in event.tried:
        round_ = event.round_of(attempt)
        if round_ > current:
            because = _add_round(chain, event, round_, because)
            current = round_
        because = _add_tried(chain, attempt, round_, because)
    return because if event.round <= current else _add_round(chain, event, event.round, because)


def add_delivered(chain: Chain, event: Notification, at: Instant, because: int) -> None:
    accepted = [
        place
        for place, step in enumerate(chain.steps)
        if step.what is What.TRIED and step.facts["outcome"] == _ACCEPTED
    ]
    chain.add(
        What.DELIVERED,
        at,
        f"delivered {spoken(max(0, at - event.created_at))} after the notification was made",
        because=accepted[-1] if accepted else because,
        rule=Rule.ACCEPTED,
        attempts=event.attempts,
    )


def add_dead(chain: Chain, event: Notification, reason: DeadReason, terms: Terms, because: int) -> None:
    last = event.last
    chain.add(
        What.DEAD,
        event.ended_at,
        _dead(event, reason, terms),
        because=because,
        rule=_ENDS[reason],
        reason=reason,
        attempts=event.failures,
        last_http_status=None if last is None else last.http_status,
        last_error=None if last is None else last.error,
    )


def add_next_try(chain: Chain, event: Notification, terms: Terms, because: int) -> None:
    number, lane, due = event.attempts + 1, event.lane, event.next_at
    if not terms.configured:
        at, rule, why = None, Rule.CLIENT, "sent once the client is configured again"
    elif event.leased_until is not None:
        at, rule = event.leased_until, Rule.LEASE
        why = f"attempt {number} is under way; if nothing is heard of it, it is made again when its lease is over"
    elif due is not None and lane is not None and _holds(lane, due, terms):
        at, rule = max(due, lane.paused_until), Rule.LANE
        if due <= terms.now:
            because = _add_held(chain, lane, due, terms, because)
        why = f"attempt {number} is made once its origin has a place for it: {_cause(lane, terms)}"
    else:
        at = due
        rule, why = _why_then(event, terms, number)
    chain.add(What.NEXT_TRY, at, why, because=because, rule=rule, attempt=number, round=event.round)


def _add_round(chain: Chain, event: Notification, round_: int, because: int) -> int:
    return chain.add(
        What.REDELIVERED,
        event.round_at if round_ == event.round else None,
        f"sent again on request: round {round_} of the same notification, over the whole schedule",
        because=because,
        rule=Rule.REQUEST,
        round=round_,
    )


def _add_tried(chain: Chain, attempt: Tried, round_: int, because: int) -> int:
    asked = "" if not attempt.pause else f"; the origin is to be left alone for {spoken(attempt.pause)}"
    return chain.add(
        What.TRIED,
        attempt.started_at,
        f"attempt {attempt.number} {_came_to(attempt)} after {spoken(attempt.duration)}{asked}",
        because=because,
        attempt=attempt.number,
        round=round_,
        outcome=attempt.outcome,
        http_status=attempt.http_status,
        error=attempt.error,
        duration_ms=attempt.duration // MILLISECOND,
        pause_seconds=None if not attempt.pause else attempt.pause // SECOND,
    )


def _came_to(attempt: Tried) -> str:
    if attempt.http_status is not None:
        verb = "was accepted with" if attempt.outcome == _ACCEPTED else "was answered"
        return f"{verb} {attempt.http_status}"
    if attempt.outcome == _BLOCKED:
        return f"was not sent ({attempt.error})"
    return f"got no answer ({attempt.error})"


def _holds(lane: Lane, due: Instant, terms: Terms) -> bool:
    """Whether the lane, and not the schedule, says when."""
    return lane.paused_until > max(due, terms.now) or (lane.slots is not None and due <= terms.now)


def _add_held(chain: Chain, lane: Lane, due: Instant, terms: Terms, because: int) -> int:
    paused = lane.paused_until > terms.now
    return chain.add(
        What.HELD,
        max(due, lane.paused_at),
        f"due, and held back: {_cause(lane, terms)}",
        because=because,
        rule=Rule.LANE,
        cause=lane.cause,
        until=text(lane.paused_until) if paused else None,
        slots=lane.room(terms.slots, terms.now),
        failing_since=text_or_none(lane.failing_since),
    )


def _cause(lane: Lane, terms: Terms) -> str:
    since = "" if lane.failing_since is None else f" (in trouble since {text(lane.failing_since)})"
    if lane.paused_until <= terms.now:
        return f"{counted(lane.room(terms.slots, terms.now), 'attempt')} at a time of {terms.slots}{since}"
    match lane.cause:
        case Cause.RETRY_AFTER:
            return f"the origin asked with Retry-After to be left alone until {text(lane.paused_until)}"
        case Cause.TOO_MANY_REQUESTS:
            return f"the origin answered 429, and is left alone until {text(lane.paused_until)}"
        case Cause.FAILING:
            return f"the origin keeps failing, and is left alone until {text(lane.paused_until)}{since}"
        case Cause.PROBING:
            return f"one attempt is finding out whether the origin is back{since}"
        case Cause.RECOVERING | None:
            return f"the origin is paused until {text(lane.paused_until)}"
        case _:
            assert_never(lane.cause)


def _why_then(event: Notification, terms: Terms, number: int) -> tuple[Rule, str]:
    made = f"attempt {number} is made"
    given_back = (
        Rule.GIVEN_BACK,
        f"{made} out of turn: a process that stopped or started gave it back, or the schedule was changed since",
    )
    if event.failures == 0:
        at_once = event.begun_at is None or event.next_at == event.begun_at
        return (Rule.AT_ONCE, f"{made} as soon as there is a place for it") if at_once else given_back
    schedule, jitter = terms.retry.schedule, terms.retry.jitter
    wait = (Span(0), *schedule)[min(event.failures, len(schedule))]
    last = event.last
    waited = wait if last is None or event.next_at is None else event.next_at - last.ended_at
    if last is not None and last.pause and waited == last.pause:
        asked = spoken(last.pause)
        return Rule.RETRY_AFTER, f"{made} after the {asked} for which the origin is to be left alone"
    if abs(waited - wait) > wait * jitter + 1:
        return given_back
    spread = f" ± {jitter:.0%}" if jitter else ""
    end = ", and is the last" if event.failures >= len(schedule) else ""
    return (
        Rule.RETRY_SCHEDULE,
        (
            f"{made} by step {event.failures} of {len(schedule)} of the retry schedule,"
            f" {spoken(wait)}{spread} after the one before{end}"
        ),
    )


def _dead(event: Notification, reason: DeadReason, terms: Terms) -> str:
    last = event.last
    match reason:
        case DeadReason.EXHAUSTED if event.failures <= len(terms.retry.schedule):
            return (
                f"given up after {counted(event.failures, 'attempt')}{_over(event)}: its origin failed without a break"
                f" for longer than the whole schedule and a Retry-After take, {spoken(terms.retry.patience)}"
            )
        case DeadReason.EXHAUSTED:
            came_to = "" if last is None else f": the last {_came_to(last)}"
            return f"given up after {counted(event.failures, 'attempt')}{_over(event)}{came_to}"
        case DeadReason.GONE:
            return "given up: the callback answered 410, it is gone for good"
        case DeadReason.BLOCKED:
            rule = "" if last is None else f" ({last.error})"
            return f"given up: the relay may not call that URL, whatever happens{rule}"
        case _:
            assert_never(reason)


def _over(event: Notification) -> str:
    if event.begun_at is None or event.ended_at is None:
        return ""
    return f" over {spoken(max(0, event.ended_at - event.begun_at))}"
