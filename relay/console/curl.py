"""The page `/ui/registrations/{id}/curl`: what the relay does and is asked, to be done by hand."""

import shlex
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from relay.api.registrations import wanted_registration
from relay.clock import Clock
from relay.console.pages import Pages
from relay.console.sessions import Viewer, is_secure
from relay.domain.clients import Client
from relay.domain.instants import SECOND
from relay.services.read import Reading
from relay.storage.views import EventView, RegistrationView
from relay.webhook.signing import Signer

LONGEST_BODY: Final = 32 * 1024
"""What a shell takes as one word, and a person as a page."""


class CurlPages:
    def __init__(self, pages: Pages, reading: Reading, clock: Clock) -> None:
        self._pages = pages
        self._reading = reading
        self._clock = clock

    async def one(self, request: Request, viewer: Viewer) -> Response:
        view = await self._reading.registration(viewer.client.name, wanted_registration(request))
        event = view.event
        long = event is not None and event.body is not None and len(event.body) > LONGEST_BODY
        notification = None
        if event is not None and event.body is not None and not long and not viewer.operator:
            notification = self._notification(viewer.client, view, event, event.body)
        scheme = "https" if is_secure(request) else "http"
        base = f"{scheme}://{request.headers.get('host', 'localhost:8080')}"
        return self._pages.page(
            "curl.html",
            viewer,
            {
                "view": view,
                "notification": notification,
                "long": long,
                "calls": _calls(base, view.registration.id),
            },
        )

    def _notification(self, client: Client, view: RegistrationView, event: EventView, body: bytes) -> str:
        """As the next attempt would be: signed now, and good for as long as a receiver takes it."""
        registration = view.registration
        timestamp = self._clock.wall() // SECOND
        headers = {
            "content-type": "application/json",
            "webhook-id": event.id,
            "webhook-timestamp": f"{timestamp}",
            "webhook-signature": Signer(client.signing_keys).sign(event.id, timestamp, body).decode(),
            "relay-event-type": event.type,
            "relay-registration-id": registration.id,
            "relay-kind": registration.kind,
        }
        words = [f"  -H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()]
        data = f"  --data-binary {shlex.quote(body.decode(errors='replace'))}"
        return " \\\n".join(['curl -i "${CALLBACK_URL:-http://localhost:3000/hook}"', *words, data])


def _calls(base: str, id_: str) -> list[tuple[str, str, str]]:
    one = f"{base}/v1/registrations/{id_}"
    shown = '-H "authorization: Bearer $RELAY_TOKEN"'
    return [
        ("read", "Read it", f"curl {shlex.quote(one)} \\\n  {shown}"),
        ("timeline-call", "Its timeline", f"curl {shlex.quote(one + '/timeline')} \\\n  {shown}"),
        ("redeliver-call", "Send it again", f"curl -X POST {shlex.quote(one + '/redeliver')} \\\n  {shown}"),
        ("cancel-call", "Cancel it", f"curl -X POST {shlex.quote(one + '/cancel')} \\\n  {shown}"),
    ]
