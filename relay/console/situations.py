"""One registration at a glance: how it stands and since when, what happens next, and what somebody can do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from relay.console.words import REGISTRATION_LABELS, Tone
from relay.domain.chain import Fact, Rule, Step, What
from relay.domain.deliveries import GONE, SERVER_ERRORS, TOO_MANY_REQUESTS
from relay.domain.instants import Instant
from relay.domain.registrations import RegistrationState
from relay.domain.tasks import PollResult
from relay.storage.views import RegistrationView

_AGAIN: Final = "send it again."
_REDIRECTS: Final = range(300, 400)
_REFUSALS: Final = frozenset({401, 403})
_NOT_THERE: Final = frozenset({404, 405})
_TOO_LARGE: Final = 413

_BY_OUTCOME: Final = {
    "dns": "Check the host's name in the callback URL, and that the relay's resolver knows it.",
    "connect": "Check that the receiver runs and listens on that port, and that a firewall lets the relay through.",
    "tls": "Check the receiver's certificate: its name, its date, and that its chain is whole.",
    "timeout": "Have the receiver answer first and work later: an attempt has only so many seconds.",
    "protocol": "Check what listens on that port: what it answers is no HTTP.",
    "blocked": "The relay may not call there: see callbacks.allow_networks, allow_hosts and deny_hosts in its configuration.",
}
_POLLING: Final = {
    PollResult.UNAUTHORIZED: (
        Tone.BAD,
        "CAMB refuses the key",
        "Put the right CAMB key into the client's configuration. Nothing is lost meanwhile: CAMB is asked once a minute.",
    ),
    PollResult.NOT_FOUND: (
        Tone.WARNING,
        "CAMB does not know the task",
        "Compare the task's id and its kind with what CAMB answered when it was made.",
    ),
    PollResult.UNREACHABLE: (Tone.WARNING, "CAMB cannot be reached", "Nothing: it is asked again by itself."),
    PollResult.TIMEOUT: (Tone.WARNING, "CAMB does not answer", "Nothing: it is asked again by itself."),
    PollResult.SERVER_ERROR: (Tone.WARNING, "CAMB is failing", "Nothing: it is asked again by itself."),
    PollResult.RATE_LIMITED: (
        Tone.WARNING,
        "CAMB wants fewer requests",
        "Nothing: the key is left alone for as long as CAMB asks.",
    ),
}
_TOLD: Final = frozenset({What.POLLED, What.SEEN, What.LOST, What.EXPIRED, What.TRIED, What.HELD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """`next_at` is None where nobody knows, or nothing comes; `advice` is empty where there is nothing to be done."""

    tone: Tone
    title: str
    since: Instant | None
    detail: str
    next: str
    next_at: Instant | None = None
    advice: str = ""


def situation(view: RegistrationView, steps: Sequence[Step]) -> Situation:
    """`steps` are the registration's timeline."""
    match view.state:
        case RegistrationState.WATCHING:
            return _watching(view, steps)
        case RegistrationState.DELIVERING:
            return _delivering(steps)
        case _:
            return _over(view, steps)


def advice_on(outcome: str, http_status: int | None) -> str:  # noqa: PLR0911 - a table with ranges
    """What to do about an attempt that was not accepted."""
    if http_status is None:
        return _BY_OUTCOME.get(outcome, "")
    if http_status in _REDIRECTS:
        return "A redirect is never followed: register the URL that it leads to."
    if http_status in _REFUSALS:
        return "The receiver turns the notification away: check its signing secret, its clock, and what stands before it."
    if http_status in _NOT_THERE:
        return "Check the path of the callback URL: the receiver has nothing there that takes a POST."
    if http_status == GONE:
        return f"The receiver said that it is gone for good. If it is not, {_AGAIN}"
    if http_status == _TOO_LARGE:
        return "Have the receiver take larger bodies."
    if http_status == TOO_MANY_REQUESTS:
        return "Nothing: the receiver is left alone for as long as it asks."
    if http_status >= SERVER_ERRORS:
        return "The fault is the receiver's own: look into its log at the time of the attempt."
    return "The receiver does not accept it: the beginning of its answer, below, may say why."


def _watching(view: RegistrationView, steps: Sequence[Step]) -> Situation:
    last = steps[-1]
    task = view.task
    tone, title, advice = Tone.BUSY, "Waiting for CAMB", ""
    if task.last_poll_result in _POLLING:
        tone, title, advice = _POLLING[task.last_poll_result]
    return Situation(
        tone=tone,
        title=title,
        since=view.registration.created_at,
        detail=_told(steps) or "CAMB has not been asked yet",
        next=last.detail,
        next_at=last.at,
        advice=advice,
    )


def _delivering(steps: Sequence[Step]) -> Situation:
    last = steps[-1]
    round_ = _this_round(steps)
    failed = [step for step in round_ if step.what is What.TRIED and step.facts["outcome"] != "accepted"]
    held = next((step for step in round_ if step.what is What.HELD), None)
    if held is not None or last.rule is Rule.LANE:
        tone, title, since = Tone.WARNING, "Held back: its origin is in trouble", (held or last).at
    elif failed:
        tone, title, since = Tone.WARNING, "Not accepted yet", failed[0].at
    else:
        tone, title, since = Tone.BUSY, "Being delivered", round_[0].at
    return Situation(
        tone=tone,
        title=title,
        since=since,
        detail=_told(round_) or "the notification was made, and is about to be sent",
        next=last.detail,
        next_at=last.at,
        advice=_advice(failed[-1]) if failed else "",
    )


def _over(view: RegistrationView, steps: Sequence[Step]) -> Situation:
    label = REGISTRATION_LABELS[view.state]
    last = steps[-1]
    if view.state is RegistrationState.AVAILABLE:
        following = "nothing by itself: whoever reads the client's events, by GET /v1/events or its stream, comes to it"
        return Situation(tone=label.tone, title=label.word, since=last.at, detail=last.detail, next=following)
    if view.state is not RegistrationState.DEAD:
        nothing = "nothing more: this is its end"
        return Situation(tone=label.tone, title=label.word, since=last.at, detail=last.detail, next=nothing)
    advice = next((_advice(step) for step in reversed(steps) if step.what is What.TRIED), "")
    return Situation(
        tone=label.tone,
        title="Dead: the relay has given up",
        since=last.at,
        detail=last.detail,
        next="nothing by itself: it is kept until somebody sends it again",
        advice=advice if advice.endswith(_AGAIN) else f"{advice} Then send it again.".lstrip(),
    )


def _this_round(steps: Sequence[Step]) -> Sequence[Step]:
    begun = [place for place, step in enumerate(steps) if step.what in {What.QUEUED, What.REDELIVERED}]
    return steps[begun[-1] :] if begun else steps


def _told(steps: Sequence[Step]) -> str:
    return next((step.detail for step in reversed(steps) if step.what in _TOLD), "")


def _advice(tried: Step) -> str:
    return advice_on(str(tried.facts["outcome"]), _number(tried.facts["http_status"]))


def _number(fact: Fact) -> int | None:
    return fact if isinstance(fact, int) else None
