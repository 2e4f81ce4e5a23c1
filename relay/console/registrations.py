"""The pages under `/ui/registrations`: the list, one registration, and what can be done with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from relay.api.lists import ListQuery
from relay.api.registrations import wanted_registration
from relay.api.requests import parse
from relay.clock import Clock
from relay.console.doors import see_other
from relay.console.pages import Pages, Place
from relay.console.sent import sent_headers
from relay.console.sessions import Viewer
from relay.console.situations import advice_on, situation
from relay.domain.clients import Client
from relay.domain.deliveries import DeadReason
from relay.domain.errors import FieldError, InvalidInput
from relay.domain.ids import parse_registration_id
from relay.domain.instants import DAY, HOUR, Instant, text
from relay.domain.kinds import KINDS
from relay.domain.registrations import RegistrationChange, RegistrationState, allows
from relay.domain.urls import UnusableUrl, parse_callback_url
from relay.services.read import Reading
from relay.services.register import Registering
from relay.storage.lists import Filter
from relay.storage.redelivery import MOST_ATTEMPTS_KEPT
from relay.storage.views import AttemptView, RegistrationView

PAGE: Final = 50
LONGEST_SEARCH: Final = 2_048
MOST_ATTEMPTS: Final = MOST_ATTEMPTS_KEPT + 101
"""All that there can be: those kept of earlier rounds, and a whole round of the longest schedule."""
WITHIN: Final[Mapping[str, tuple[str, int]]] = {
    "1h": ("the last hour", HOUR),
    "1d": ("the last day", DAY),
    "7d": ("the last week", 7 * DAY),
}
DONE: Final[Mapping[str, str]] = {
    "registered": "Registered. CAMB is asked about the task until it has ended.",
    "stands": "This registration stood already: nothing was changed.",
    "redelivered": "It is sent again, over a new round of the whole schedule.",
    "cancelled": "Cancelled. An attempt under way may still arrive.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What the list is narrowed by, as the form has it. `q` is a task's id, or a callback whose origin is meant."""

    q: str = ""
    state: str = ""
    kind: str = ""
    dead_reason: str = ""
    within: str = ""
    cursor: str = ""

    @property
    def narrowed(self) -> bool:
        return any((self.q, self.kind, self.dead_reason, self.within))

    def filter(self, client: Client, now: Instant) -> Filter:
        """Raises InvalidInput."""
        values = {
            "state": self.state,
            "kind": self.kind,
            "dead_reason": self.dead_reason,
            "cursor": self.cursor,
        }
        if "://" in self.q:
            values["origin"] = _origin(self.q)
        else:
            values["task_id"] = self.q
        if self.within in WITHIN:
            values["since"] = text(Instant(now - WITHIN[self.within][1]))
        given: dict[str, object] = {name: value for name, value in values.items() if value}
        return parse(ListQuery, given | {"limit": PAGE}).filter(client.name)


class RegistrationPages:
    def __init__(self, pages: Pages, reading: Reading, registering: Registering, clock: Clock) -> None:
        self._pages = pages
        self._reading = reading
        self._registering = registering
        self._clock = clock

    async def list(self, request: Request, viewer: Viewer) -> Response:
        search = _search(request)
        known = parse_registration_id(search.q.replace("evt_", "reg_", 1))
        if known is not None:
            return see_other(Place(viewer=viewer)(f"/registrations/{known}"))
        try:
            page = await self._reading.registrations(search.filter(viewer.client, self._clock.now()))
        except InvalidInput as refusal:
            content = _choices(search) | {"live": None, "errors": refusal.errors}
            return self._pages.page("registrations.html", viewer, content, status=422)
        content = _choices(search) | {
            "found": page.found,
            "older": page.older,
            "errors": (),
        }
        return self._pages.live_page(
            "registrations.html", "registrations_found.html", request, viewer, content
        )

    async def one(self, request: Request, viewer: Viewer) -> Response:
        wanted = wanted_registration(request)
        client = viewer.client
        view = await self._reading.registration(client.name, wanted)
        steps = await self._reading.timeline(client, wanted)
        attempts = await self._reading.attempts(client.name, wanted, after=0, limit=MOST_ATTEMPTS)
        return self._pages.live_page(
            "registration.html",
            "registration_now.html",
            request,
            viewer,
            {
                "view": view,
                "steps": steps,
                "situation": situation(view, steps),
                "attempts": _told(client, view, attempts),
                "may_cancel": view.state is not RegistrationState.CANCELLED
                and allows(view.state, RegistrationChange.CANCELLED),
                "may_redeliver": allows(view.state, RegistrationChange.REDELIVERED),
                "done": DONE.get(request.query_params.get("done", "")),
            },
        )

    async def cancel(self, request: Request, viewer: Viewer) -> Response:
        view = await self._registering.cancel(viewer.client.name, wanted_registration(request))
        return see_other(Place(viewer=viewer)(f"/registrations/{view.registration.id}", done="cancelled"))

    async def redeliver(self, request: Request, viewer: Viewer) -> Response:
        view = await self._registering.redeliver(viewer.client.name, wanted_registration(request))
        return see_other(Place(viewer=viewer)(f"/registrations/{view.registration.id}", done="redelivered"))


def _told(
    client: Client, view: RegistrationView, attempts: Sequence[AttemptView]
) -> list[tuple[AttemptView, list[tuple[str, str]], str]]:
    """Newest first, each with what was sent and what to do about it; none without an event."""
    event = view.event
    if event is None:
        return []
    return [
        (
            attempt,
            sent_headers(client, view.registration, event, attempt),
            advice_on(attempt.outcome, attempt.http_status),
        )
        for attempt in reversed(attempts)
    ]


def _search(request: Request) -> Search:
    query = request.query_params
    return Search(
        q=query.get("q", "").strip()[:LONGEST_SEARCH],
        state=query.get("state", ""),
        kind=query.get("kind", ""),
        dead_reason=query.get("dead_reason", ""),
        within=query.get("within", ""),
        cursor=query.get("cursor", ""),
    )


def _origin(url: str) -> str:
    """Raises InvalidInput."""
    try:
        return parse_callback_url(url).origin
    except UnusableUrl as error:
        raise InvalidInput(FieldError(field="search", rule=f"a callback URL {error}")) from None


def _choices(search: Search) -> dict[str, object]:
    return {
        "search": search,
        "states": [state.value for state in RegistrationState],
        "kinds": list(KINDS),
        "reasons": [reason.value for reason in DeadReason],
        "spans": WITHIN,
    }
