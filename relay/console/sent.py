"""The headers of an attempt, as far as they can be told afterwards: never a secret, nor what was made with one."""

from typing import Final
from urllib.parse import quote

from relay.domain.clients import Client
from relay.domain.instants import SECOND
from relay.domain.keys import KeyPair
from relay.domain.registrations import Registration
from relay.storage.views import AttemptView, EventView
from relay.transport import USER_AGENT

_HIDDEN: Final = "•••"


def sent_headers(
    client: Client, registration: Registration, event: EventView, attempt: AttemptView
) -> list[tuple[str, str]]:
    """Signatures are made for each attempt and not kept."""
    headers = [
        ("content-type", "application/json"),
        ("user-agent", USER_AGENT),
        ("webhook-id", event.id),
        ("webhook-timestamp", f"{attempt.started_at // SECOND}"),
        ("webhook-signature", signature_shape(client)),
        ("relay-event-type", event.type),
        ("relay-attempt", f"{attempt.number}"),
        ("relay-registration-id", registration.id),
        ("relay-task-id", quote(registration.task_id, safe="")),
        ("relay-kind", registration.kind),
    ]
    if registration.trace is not None:
        headers.append(("traceparent", f"00-{registration.trace.trace_id}-{_HIDDEN}"))
    headers += [
        (header.name, _HIDDEN) for header in client.callback_headers if header.origin == registration.origin
    ]
    return headers


def signature_shape(client: Client) -> str:
    """One entry for each key, without what is in it."""
    return " ".join("v1a,…" if isinstance(key, KeyPair) else "v1,…" for key in client.signing_keys)
