"""What calls answer beside the API's own documents."""

from dataclasses import dataclass

from relay.client.resources import Registration


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """`created` is False where the same registration stood already."""

    created: bool
    registration: Registration
