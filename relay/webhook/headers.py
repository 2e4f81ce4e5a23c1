"""What every notification bears, whether it is sent to a callback or pulled."""

from typing import Final, Protocol
from urllib.parse import quote

from relay.domain.ids import EventId, RegistrationId
from relay.domain.registrations import EventType
from relay.transport import USER_AGENT

_EVERY: Final = ((b"content-type", b"application/json"), (b"user-agent", USER_AGENT.encode()))


class Notification(Protocol):
    """`relay.test` has no registration, task or kind."""

    @property
    def event_id(self) -> EventId: ...

    @property
    def event_type(self) -> EventType: ...

    @property
    def registration_id(self) -> RegistrationId | None: ...

    @property
    def task_id(self) -> str | None: ...

    @property
    def kind(self) -> str | None: ...


def notification_headers(
    notification: Notification, timestamp: int, signature: bytes
) -> list[tuple[bytes, bytes]]:
    """`timestamp`, in Unix seconds, is what was signed with id and body."""
    headers = [
        *_EVERY,
        (b"webhook-id", notification.event_id.encode()),
        (b"webhook-timestamp", b"%d" % timestamp),
        (b"webhook-signature", signature),
        (b"relay-event-type", notification.event_type.encode()),
    ]
    if notification.registration_id is not None:
        headers.append((b"relay-registration-id", notification.registration_id.encode()))
    if notification.task_id is not None:
        headers.append((b"relay-task-id", quote(notification.task_id, safe="").encode()))
    if notification.kind is not None:
        headers.append((b"relay-kind", notification.kind.encode()))
    return headers
