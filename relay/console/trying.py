"""The page `/ui/try`: register a task, send a test, and see a signature verified."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from relay.api.registrations import wish_of
from relay.api.requests import parse
from relay.api.schemas import RegistrationRequest, TestRequest
from relay.api.trials import Trials
from relay.clock import Clock
from relay.console.doors import see_other
from relay.console.forms import read_form
from relay.console.pages import Pages, Place
from relay.console.sessions import Viewer
from relay.console.situations import advice_on
from relay.console.verification import Notification, Verification, verification
from relay.domain.errors import Conflict, FieldError, InvalidInput
from relay.domain.kinds import KINDS
from relay.domain.registrations import Format
from relay.services.deliver import Tested
from relay.services.register import Registering
from relay.webhook.signing import Signer

_REGISTRATION: Final = ("task_id", "callback_url", "kind", "metadata", "expires_in", "format")
_NOTIFICATION: Final = ("webhook_id", "webhook_timestamp", "webhook_signature", "body")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A test that was sent, as the page tells of it."""

    tested: Tested
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the page's forms hold, and what came of the one `at` which it was sent."""

    at: str = ""
    registration: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(_REGISTRATION, ""))
    test_url: str = ""
    notification: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(_NOTIFICATION, ""))
    trial: Trial | None = None
    verified: Verification | None = None
    errors: tuple[FieldError, ...] = ()
    existing: str | None = None


class TryPages:
    def __init__(self, pages: Pages, registering: Registering, trials: Trials, clock: Clock) -> None:
        self._pages = pages
        self._registering = registering
        self._trials = trials
        self._clock = clock

    async def ask(self, _request: Request, viewer: Viewer) -> Response:
        return self._page(viewer, Shown())

    async def register(self, request: Request, viewer: Viewer) -> Response:
        form = await read_form(request)
        given = {name: form.get(name, "").strip() for name in _REGISTRATION}
        try:
            wish = wish_of(parse(RegistrationRequest, _asked(given)), viewer.client)
            answer = await self._registering.register(viewer.client, wish)
        except InvalidInput as refusal:
            shown = Shown(at="register", registration=given, errors=refusal.errors)
            return self._page(viewer, shown, status=422)
        except Conflict as refusal:
            errors = (FieldError(field="", rule=str(refusal)),)
            shown = Shown(at="register", registration=given, errors=errors, existing=refusal.existing)
            return self._page(viewer, shown, status=409)
        done = "registered" if answer.created else "stands"
        return see_other(Place(viewer=viewer)(f"/registrations/{answer.view.registration.id}", done=done))

    async def test(self, request: Request, viewer: Viewer) -> Response:
        url = (await read_form(request)).get("callback_url", "").strip()
        try:
            tested = await self._trials.send(viewer.client, parse(TestRequest, {"callback_url": url}))
        except InvalidInput as refusal:
            return self._page(viewer, Shown(at="test", test_url=url, errors=refusal.errors), status=422)
        signature = (
            Signer(viewer.client.signing_keys).sign(tested.event, tested.timestamp, tested.body).decode()
        )
        attempt = tested.attempt
        notification = {
            "webhook_id": tested.event,
            "webhook_timestamp": f"{tested.timestamp}",
            "webhook_signature": signature,
            "body": tested.body.decode(),
        }
        return self._page(
            viewer,
            Shown(
                at="test",
                test_url=url,
                trial=Trial(tested=tested, advice=advice_on(attempt.label, attempt.http_status)),
                notification=notification,
                verified=self._verified(viewer, notification),
            ),
        )

    async def verify(self, request: Request, viewer: Viewer) -> Response:
        form = await read_form(request)
        given = {name: form.get(name, "") for name in _NOTIFICATION}
        given |= {name: value.strip() for name, value in given.items() if name != "body"}
        return self._page(
            viewer, Shown(at="verify", notification=given, verified=self._verified(viewer, given))
        )

    def _verified(self, viewer: Viewer, given: Mapping[str, str]) -> Verification:
        notification = Notification(
            id=given["webhook_id"],
            timestamp=given["webhook_timestamp"],
            signature=given["webhook_signature"],
            body=given["body"].encode(),
        )
        return verification(notification, viewer.client.signing_keys, self._clock.wall())

    def _page(self, viewer: Viewer, shown: Shown, *, status: int = 200) -> Response:
        content = {"shown": shown, "kinds": list(KINDS), "formats": [each.value for each in Format]}
        return self._pages.page("try.html", viewer, content, status=status)


def _asked(given: Mapping[str, str]) -> dict[str, object]:
    """What the API would have been sent. Raises InvalidInput."""
    asked: dict[str, object] = {name: value for name, value in given.items() if value}
    if given["expires_in"].isascii() and given["expires_in"].isdecimal():
        asked["expires_in"] = int(given["expires_in"])
    if given["metadata"]:
        try:
            asked["metadata"] = orjson.loads(given["metadata"])
        except orjson.JSONDecodeError as error:
            raise InvalidInput(FieldError(field="metadata", rule=f"must be a JSON object: {error}")) from None
    return asked
