"""The API's JSON as it comes, typed; /openapi.json says what each field means."""

from typing import Any, Literal, NotRequired, Required, TypedDict

State = Literal["watching", "delivering", "available", "delivered", "dead", "cancelled"]


class Wish(TypedDict, total=False):
    """What `register` takes, for `register_many`."""

    task_id: Required[str]
    callback_url: str | None
    kind: str | None
    metadata: dict[str, Any]
    expires_in: int | None
    format: Literal["standard", "raw"]


class LastPoll(TypedDict):
    at: str
    result: str
    http_status: int | None
    hint: str | None


class Task(TypedDict):
    state: Literal["watching", "idle", "succeeded", "failed"]
    status: str | None
    run_id: int | None
    polls: int
    last_poll: LastPoll | None
    next_poll_at: str | None


class EventFacts(TypedDict):
    """`body` is there in the single registration only."""

    id: str
    type: str
    created_at: str
    body: NotRequired[Any]


class Delivery(TypedDict):
    attempts: int
    last_http_status: int | None
    last_error: str | None
    next_attempt_at: str | None
    delivered_at: str | None
    dead_reason: Literal["exhausted", "gone", "blocked"] | None


class Registration(TypedDict):
    """`callback_url` and `delivery` are None where the event is pulled only."""

    id: str
    task_id: str
    kind: str
    callback_url: str | None
    format: Literal["standard", "raw"]
    state: State
    metadata: dict[str, Any]
    created_at: str
    expires_at: str
    trace_id: str | None
    task: Task
    event: EventFacts | None
    delivery: Delivery | None


class Attempt(TypedDict):
    number: int
    at: str
    duration_ms: float
    outcome: str
    http_status: int | None
    error: str | None
    answer: str


class Trial(TypedDict):
    event_id: str
    attempt: Attempt


class Step(TypedDict):
    at: str | None
    what: str
    planned: bool
    detail: str
    because: int | None
    rule: str | None
    facts: dict[str, str | int | None]


class Origin(TypedDict):
    origin: str
    state: Literal["open", "slowed", "paused", "probing"]
    cause: str | None
    slots: int
    paused_until: str | None
    failing_since: str | None
    pauses: int
    waiting: int
    next_attempt_at: str | None


class ReplayFilter(TypedDict):
    state: Literal["dead", "delivered"]
    kind: str | None
    origin: str | None
    since: str | None
    until: str | None


class ReplayOrigin(TypedDict):
    origin: str
    done: bool
    matching: int
    replayed: int
    held: Literal["paused", "full"] | None
    held_until: str | None


class Replay(TypedDict):
    """`origins` and `more_origins` are None in lists."""

    id: str
    state: Literal["running", "paused", "done", "cancelled"]
    filter: ReplayFilter
    created_at: str
    closed_at: str | None
    matching: int | None
    replayed: int
    skipped: int
    origins: list[ReplayOrigin] | None
    more_origins: bool | None


class FieldProblem(TypedDict):
    field: str
    rule: str
