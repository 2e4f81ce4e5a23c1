"""Accept registrations, and take them back."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from relay.clock import Clock
from relay.domain.allowances import MOST_OF_A_TASK
from relay.domain.clients import Client
from relay.domain.errors import Conflict, FieldError, InvalidInput, RequestRefused, TooMany
from relay.domain.ids import RANDOM_BITS, Identity, RegistrationId, identity_of, registration_id
from relay.domain.instants import SECOND, Instant, Span
from relay.domain.registrations import EventType, Format, Registration
from relay.domain.tasks import TERMINAL_STATES, TaskState
from relay.domain.traces import TraceContext
from relay.domain.urls import CallbackUrl
from relay.domain.watching import Announced
from relay.services.allow import Allowing
from relay.services.announcing import Announcing
from relay.storage import registrations, views
from relay.storage.committer import Committer
from relay.storage.engine import Database
from relay.storage.registrations import Created, Crowded, Refused, Registered, Standing
from relay.storage.views import RegistrationView, created_view
from relay.telemetry import Metrics
from relay.webhook.guard import Guard, Refusal

_ENDED: Final = {
    TaskState.SUCCEEDED: EventType.TASK_SUCCEEDED,
    TaskState.FAILED: EventType.TASK_FAILED,
}


CROWDED_SECONDS: Final = 3_600
"""When to try again where a task has all the registrations there may be: they go with retention."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a caller asked for, every field within its bounds. `metadata` is JSON text with its keys in order.

    Without `callback_url` the event is to be pulled.
    """

    task_id: str
    kind: str
    callback_url: CallbackUrl | None
    metadata: bytes
    expires_in: int | None
    format: Format


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`created` is false where the same registration stood already."""

    view: RegistrationView
    created: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Wakes:
    """`due` is called when a new task is to be polled."""

    due: Callable[[], None]
    announcing: Announcing


class Registering:
    def __init__(
        self,
        database: Database,
        committer: Committer[Registration, Registered],
        guard: Guard,
        allowing: Allowing,
        *,
        expires_in: Span,
        wakes: Wakes,
        clock: Clock,
        metrics: Metrics,
        rng: random.Random,
    ) -> None:
        self._database = database
        self._committer = committer
        self._guard = guard
        self._allowing = allowing
        self._expires_in = expires_in
        self._wakes = wakes
        self._clock = clock
        self._metrics = metrics
        self._rng = rng

    async def register(self, client: Client, wish: Wish, trace: TraceContext | None = None) -> Answer:
        """Raises InvalidInput where the guard refuses the callback, Conflict where it stands with other options, TooMany."""
        (answer,) = await self.register_all(client, [wish], trace)
        if isinstance(answer, RequestRefused):
            raise answer
        return answer

    async def register_all(
        self, client: Client, wishes: Sequence[Wish], trace: TraceContext | None = None
    ) -> list[Answer | RequestRefused]:
        """One answer each, in order; equal wishes behave as if sent one after the other. `trace` is the request's.

        Raises TooMany where these are too many for the minute, InvalidInput where they always would be.
        """
        self._allowing.spend(client.name, len(wishes))
        identities = [_identity(client, wish) for wish in wishes]
        reservation = await self._allowing.reserve(client.name, identities)
        made = reservation.count
        try:
            allowed = [
                wish
                for wish, identity in zip(wishes, identities, strict=True)
                if identity not in reservation.refused
            ]
            outcomes = iter(await self._registered(client, allowed, trace))
            told = [
                self._allowing.too_many_watched(client.name)
                if identity in reservation.refused
                else next(outcomes)
                for identity in identities
            ]
            made = sum(_watches(outcome) for outcome in told)
        finally:
            self._allowing.settle(client.name, reservation, made)
        answers = await self._answers(told)
        for answer in answers:
            self._metrics.registrations.labels(_label(answer)).inc()
        return answers

    async def _registered(
        self, client: Client, wishes: Sequence[Wish], trace: TraceContext | None
    ) -> Sequence[Registered | InvalidInput]:
        urls = [url for wish in wishes if (url := wish.callback_url)]
        judged = iter(await self._guard.judge_all(client.name, urls))
        refusals = [None if wish.callback_url is None else next(judged) for wish in wishes]
        wanted = [
            self._registration(client, wish, trace) if refusal is None else _refused(refusal)
            for wish, refusal in zip(wishes, refusals, strict=True)
        ]
        accepted = [item for item in wanted if isinstance(item, Registration)]
        results = iter(await self._committer.submit(accepted) if accepted else ())
        return [next(results) if isinstance(item, Registration) else item for item in wanted]

    async def cancel(self, client: str, wanted: RegistrationId) -> RegistrationView:
        """Raises NotFound, or Conflict once it was delivered or is dead."""
        refused = await self._database.write(registrations.cancel, client, wanted, self._clock.now())
        if refused is not None:
            raise _not_now(refused, "cancelled")
        return await self._database.read(views.get, client, wanted)

    async def redeliver(self, client: str, wanted: RegistrationId) -> RegistrationView:
        """A new round of the full schedule, with the same event. Raises NotFound, or Conflict unless delivered or dead."""
        refused = await self._database.write(registrations.redeliver, client, wanted, self._clock.now())
        if refused is not None:
            raise _not_now(refused, "redelivered")
        self._wakes.announcing.wake()
        return await self._database.read(views.get, client, wanted)

    def _registration(self, client: Client, wish: Wish, trace: TraceContext | None) -> Registration:
        now = self._clock.now()
        lifetime = self._expires_in if wish.expires_in is None else wish.expires_in * SECOND
        return Registration(
            id=registration_id(now, self._rng.getrandbits(RANDOM_BITS)),
            client=client.name,
            kind=wish.kind,
            task_id=wish.task_id,
            callback_url=None if wish.callback_url is None else wish.callback_url.text,
            origin=None if wish.callback_url is None else wish.callback_url.origin,
            format=wish.format,
            metadata=wish.metadata,
            expires_in=wish.expires_in,
            created_at=now,
            expires_at=Instant(now + lifetime),
            trace=trace,
        )

    async def _answers(
        self, outcomes: Sequence[Registered | InvalidInput | TooMany]
    ) -> list[Answer | RequestRefused]:
        unknown = {id_ for outcome in outcomes if (id_ := _to_read(outcome)) is not None}
        found = await self._database.read(views.get_many, sorted(unknown)) if unknown else {}
        return [self._answer(outcome, found) for outcome in outcomes]

    def _tell(self, registration: Registration, state: TaskState) -> None:
        """Wake whoever goes on from here; on a task that had ended, the registration was announced with its commit."""
        type_ = _ENDED.get(state)
        if type_ is None:
            self._wakes.due()
        else:
            told = Announced(
                registration=registration.id,
                client=registration.client,
                type=type_,
                at=registration.created_at,
                trace=registration.trace,
            )
            self._wakes.announcing.tell([told])

    def _answer(
        self, outcome: Registered | InvalidInput | TooMany, found: Mapping[RegistrationId, RegistrationView]
    ) -> Answer | RequestRefused:
        match outcome:
            case InvalidInput() | TooMany():
                return outcome
            case Crowded():
                detail = f"{MOST_OF_A_TASK} registrations of this task are kept, the most there may be; nothing was stored"
                return TooMany(detail, retry_after=CROWDED_SECONDS)
            case Standing(id=id_, differing=()):
                return Answer(view=found[id_], created=False)
            case Standing(id=id_, differing=fields):
                detail = f"the same registration stands with other {' and '.join(fields)}"
                return Conflict(detail, existing=id_, fields=fields)
            case Created(registration=registration, task=task):
                self._tell(registration, task.state)
                view = found.get(registration.id) or created_view(registration, task)
                return Answer(view=view, created=True)
            case _:
                assert_never(outcome)


def _refused(refusal: Refusal) -> InvalidInput:
    return InvalidInput(FieldError(field="callback_url", rule=refusal.rule))


def _identity(client: Client, wish: Wish) -> Identity:
    url = None if wish.callback_url is None else wish.callback_url.text
    return identity_of(client.name, wish.kind, wish.task_id, url)


def _watches(outcome: Registered | InvalidInput | TooMany) -> bool:
    return isinstance(outcome, Created) and outcome.task.state not in TERMINAL_STATES


def _to_read(outcome: Registered | InvalidInput | TooMany) -> RegistrationId | None:
    """Whose view cannot be told from what the commit answered."""
    if isinstance(outcome, Created):
        return outcome.registration.id if outcome.task.polls else None
    if isinstance(outcome, Standing) and not outcome.differing:
        return outcome.id
    return None


def _label(answer: Answer | RequestRefused) -> str:
    if isinstance(answer, Answer):
        return "created" if answer.created else "existing"
    if isinstance(answer, TooMany):
        return "too_many"
    return "conflict" if isinstance(answer, Conflict) else "refused"


def _not_now(refused: Refused, change: str) -> Conflict:
    return Conflict(f"a registration that is {refused.state} cannot be {change}")
