"""The first half of a timeline: from the registration to CAMB's word, or to the relay's own verdict."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, assert_never

from relay.domain.chain import Chain, Rule, What, counted, spoken
from relay.domain.errors import BrokenRule
from relay.domain.history import Event, History, Terms
from relay.domain.instants import text, text_or_none
from relay.domain.registrations import EventType
from relay.domain.tasks import PollResult
from relay.domain.watching import not_found_hint

_LONGEST_WORD: Final = 100
_ANSWERS: Final[Mapping[PollResult, str]] = MappingProxyType(
    {
        PollResult.PENDING: "it was still pending",
        PollResult.UNKNOWN_STATUS: "its status was {word}, which is not known to end a task",
        PollResult.TERMINAL: "it had ended",
        PollResult.NOT_FOUND: "CAMB did not know it: {hint}",
        PollResult.UNAUTHORIZED: "CAMB refused the client's key with {http_status}",
        PollResult.RATE_LIMITED: "CAMB wanted fewer requests",
        PollResult.SERVER_ERROR: "CAMB failed with {http_status}",
        PollResult.UNEXPECTED_STATUS: "CAMB answered {http_status}, which says nothing about a task",
        PollResult.INVALID: "the answer could not be read",
        PollResult.TIMEOUT: "no answer came in time",
        PollResult.UNREACHABLE: "CAMB could not be reached",
    }
)


def add_registered(chain: Chain, history: History) -> int:
    registration = history.registration
    if registration.origin is None:
        wish = f"an event is to be made, and to be pulled, when the {registration.kind} task ends"
    else:
        wish = f"{registration.origin} is to be told when the {registration.kind} task ends"
    return chain.add(
        What.REGISTERED,
        registration.created_at,
        f"registered: {wish}",
        rule=Rule.REQUEST,
        kind=registration.kind,
        task_id=registration.task_id,
        expires_at=text(registration.expires_at),
    )


def add_polled(chain: Chain, history: History, because: int) -> int:
    """What is known of the polls that may have been for this registration; the place of the last step so far."""
    task, registration = history.task, history.registration
    if (
        task.last_poll_at is None
        or task.last_poll_result is None
        or task.last_poll_at < registration.created_at
    ):
        return because
    times = counted(task.polls, "time")
    watched_until = history.closed_at if history.event is None else history.event.created_at
    if watched_until is not None and task.last_poll_at > watched_until:
        return chain.add(
            What.POLLED,
            None,
            f"CAMB was asked about the task; with what others asked since, {times}",
            because=because,
            polls=task.polls,
        )
    return chain.add(
        What.POLLED,
        task.last_poll_at,
        f"CAMB was asked about the task {times}; the last time, {_answered(history, task.last_poll_result)}",
        because=because,
        polls=task.polls,
        result=task.last_poll_result,
        http_status=task.last_poll_http_status,
        not_found=task.not_found,
        last_pending_at=text_or_none(task.last_pending_at),
    )


def add_verdict(chain: Chain, history: History, event: Event, terms: Terms, because: int) -> int:
    """Why there was something to announce. Raises BrokenRule for a test, which is stored nowhere."""
    match event.type:
        case EventType.TASK_SUCCEEDED | EventType.TASK_FAILED:
            return _add_seen(chain, history, because)
        case EventType.TASK_LOST:
            return chain.add(
                What.LOST,
                event.created_at,
                f"given up as lost: for {spoken(terms.lost.grace)} and over at least"
                f" {counted(terms.lost.answers, 'poll')} CAMB did not know the task;"
                f" {not_found_hint(history.registration.kind)}",
                because=because,
                rule=Rule.LOST,
                not_found=history.task.not_found,
            )
        case EventType.REGISTRATION_EXPIRED:
            return chain.add(
                What.EXPIRED,
                event.created_at,
                f"expired: {_lifetime(history)} went by without CAMB reporting an end of the task",
                because=because,
                rule=Rule.EXPIRY,
                expires_at=text(history.registration.expires_at),
            )
        case EventType.RELAY_TEST:
            raise BrokenRule("a test notification is stored nowhere")
        case _:
            assert_never(event.type)


def add_next_poll(chain: Chain, history: History, terms: Terms, because: int) -> None:
    task, key = history.task, history.key_lane
    if history.registration.expires_at <= terms.now:
        because = _add_time_over(chain, history, terms, because)
    if task.next_at is None:
        at, rule, why = (
            None,
            Rule.HEALING,
            "the task has ended, and within a minute this is noticed and put right",
        )
    elif not terms.configured:
        at, rule, why = None, Rule.CLIENT, "CAMB is asked again once the client is configured again"
    elif task.leased_until is not None:
        at, rule = task.leased_until, Rule.LEASE
        why = "CAMB is being asked; if nothing comes of it, it is asked again when the lease is over"
    elif key is not None and key.paused_until > max(task.next_at, terms.now):
        at, rule = key.paused_until, Rule.KEY
        why = "CAMB is asked again once the pause of the client's CAMB key is over"
    elif task.next_at == task.paced_from:
        at, rule, why = task.next_at, Rule.AT_ONCE, "CAMB is asked for the first time"
    else:
        at, rule, why = (
            task.next_at,
            Rule.PACE,
            "CAMB is asked again: often while a task is young, seldom once it is old",
        )
    chain.add(What.NEXT_POLL, at, why, because=because, rule=rule, poll=task.polls + 1)


def _add_seen(chain: Chain, history: History, because: int) -> int:
    task, registration = history.task, history.registration
    seen, pending = task.first_terminal_at, task.last_pending_at
    said = f"CAMB reported {_word(history)}"
    if seen is not None and seen < registration.created_at:
        detail = f"CAMB had reported {_word(history)} at {text(seen)}, before the registration came"
    elif seen is not None and pending is not None:
        detail = f"{said}: the task ended between {text(pending)} and {text(seen)}"
    else:
        detail = f"{said}: the task had not been seen pending before"
    return chain.add(
        What.SEEN,
        seen,
        detail,
        because=because,
        rule=Rule.TERMINAL,
        status=history.status,
        run_id=history.run_id,
        last_seen_pending_at=text_or_none(pending),
        first_seen_terminal_at=text_or_none(seen),
    )


def _add_time_over(chain: Chain, history: History, terms: Terms, because: int) -> int:
    over = f"{_lifetime(history)} are over and CAMB has reported no end of the task"
    if terms.clock_halted:
        rule, detail = Rule.CLOCK, f"{over}; the clock has jumped, and until it is put right nothing expires"
    else:
        rule, detail = Rule.EXPIRY, f"{over}; CAMB is asked once more, and then it expires"
    return chain.add(
        What.TIME_OVER,
        history.registration.expires_at,
        detail,
        because=because,
        rule=rule,
        expires_by=text_or_none(history.verdict_at),
    )


def _answered(history: History, result: PollResult) -> str:
    return _ANSWERS[result].format(
        word=_word(history),
        http_status=history.task.last_poll_http_status,
        hint=not_found_hint(history.task.kind),
    )


def _word(history: History) -> str:
    """CAMB's status, which may be anything."""
    return (history.status or "no status")[:_LONGEST_WORD]


def _lifetime(history: History) -> str:
    return spoken(history.registration.expires_at - history.registration.created_at)
