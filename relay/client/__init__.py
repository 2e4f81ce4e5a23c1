"""The relay's API from Python: `with RelayClient("https://relay.example", token) as relay: relay.register(…)`."""

from relay.client.calls import MAX_PAGE, RelayClient
from relay.client.errors import ClientError, NoAnswer, Problem
from relay.client.events import LATEST, Event, EventPage
from relay.client.resources import (
    Attempt,
    FieldProblem,
    Origin,
    Registration,
    Replay,
    Step,
    Trial,
    Wish,
)
from relay.client.results import Registered

__all__ = [
    "LATEST",
    "MAX_PAGE",
    "Attempt",
    "ClientError",
    "Event",
    "EventPage",
    "FieldProblem",
    "NoAnswer",
    "Origin",
    "Problem",
    "Registered",
    "Registration",
    "RelayClient",
    "Replay",
    "Step",
    "Trial",
    "Wish",
]
