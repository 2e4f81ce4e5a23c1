"""What goes over the wire, both ways; the OpenAPI document is made from these models."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from relay.api.fields import CallbackText, KindName, Metadata, Moment, TaskId
from relay.domain.instants import DAY, SECOND
from relay.domain.registrations import EventType, Format, RegistrationState

SHORTEST_EXPIRY: Final = 5
LONGEST_EXPIRY: Final = 30 * DAY // SECOND
MAX_BATCH: Final = 1_000
DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
LONGEST_WAIT: Final = 30
"""Seconds."""


class Body(BaseModel):
    """Something a caller sends: nothing is guessed, nothing unknown is taken."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RegistrationRequest(Body):
    """Tell this URL when that task ends, or only make an event of it that can be pulled."""

    task_id: TaskId
    callback_url: CallbackText | None = Field(
        None, description="Where to POST the notification; without it the event waits at /v1/events."
    )
    kind: KindName | None = Field(
        None, description="The kind of task; the client's default kind if left out."
    )
    metadata: Metadata = Field(default_factory=dict)
    expires_in: int | None = Field(
        None,
        ge=SHORTEST_EXPIRY,
        le=LONGEST_EXPIRY,
        description="Seconds after which to give up waiting for CAMB; the server's default if left out.",
    )
    format: Annotated[Format, Field(strict=False)] = Field(
        Format.STANDARD, description="`standard` is the Standard Webhooks envelope, `raw` CAMB's bytes alone."
    )


class BatchRequest(Body):
    """Each item is judged by itself, as a RegistrationRequest."""

    registrations: list[Any] = Field(
        min_length=1,
        max_length=MAX_BATCH,
        json_schema_extra={"items": {"$ref": "#/components/schemas/RegistrationRequest"}},
    )


class TestRequest(Body):
    """Send a signed test notification."""

    callback_url: CallbackText


class Query(BaseModel):
    """What a caller narrows an answer by."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Wait = Annotated[int, Field(ge=0, le=LONGEST_WAIT)]


class PageQuery(Query):
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="How many to answer with.")


class ReadQuery(Query):
    wait: Wait = Field(0, description="How many seconds to wait for it to be no longer `watching`.")


class AttemptQuery(PageQuery):
    cursor: Annotated[str, StringConstraints(pattern="^[0-9]{1,18}$")] | None = Field(
        None, description="`next_cursor` of the page before."
    )


class Resource(BaseModel):
    """Something we answer with."""

    model_config = ConfigDict(frozen=True)


class LastPoll(Resource):
    at: Moment
    result: str = Field(
        description="What the last status request came to, as `pending`, `not_found` or `unauthorized`."
    )
    http_status: int | None
    hint: str | None = Field(description="What to check, where CAMB does not know the task.")


class TaskResource(Resource):
    """CAMB's job as the relay last saw it; `status` is CAMB's own word."""

    state: Literal["watching", "idle", "succeeded", "failed"]
    status: str | None
    run_id: int | None
    polls: int
    last_poll: LastPoll | None
    next_poll_at: Moment | None


class EventResource(Resource):
    """The fact announced; `body` only in the single resource."""

    id: str
    type: EventType
    created_at: Moment
    body: Any = None


class DeliveryResource(Resource):
    attempts: int
    last_http_status: int | None
    last_error: str | None = Field(description="Why the newest attempt was not accepted; null where it was.")
    next_attempt_at: Moment | None
    delivered_at: Moment | None
    dead_reason: Literal["exhausted", "gone", "blocked"] | None


class RegistrationResource(Resource):
    id: str
    task_id: str
    kind: str
    callback_url: str | None = Field(description="Null where the event is pulled only.")
    format: Format
    state: RegistrationState
    metadata: dict[str, Any]
    created_at: Moment
    expires_at: Moment
    trace_id: str | None = Field(
        description="The trace it is part of: of its `traceparent`, or one of the relay's own."
    )
    task: TaskResource
    event: EventResource | None
    delivery: DeliveryResource | None = Field(
        description="Null as long as there is no event, and where there is no callback."
    )


class RegistrationPage(Resource):
    data: list[RegistrationResource]
    next_cursor: str | None = Field(
        description="Null after the last page. Before it a page that is narrowed by `kind` may be short, and even empty."
    )


class AttemptResource(Resource):
    number: int
    at: Moment
    duration_ms: float
    outcome: str
    http_status: int | None
    error: str | None
    answer: str = Field(description="The beginning of what the callback answered.")


class AttemptPage(Resource):
    data: list[AttemptResource]
    next_cursor: str | None


class TestResource(Resource):
    event_id: str
    attempt: AttemptResource


class FieldProblem(Resource):
    field: str
    rule: str


class Problem(Resource):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] | None = Field(
        None, description="The fields at fault, each with the rule it broke."
    )
    retry_after: int | None = Field(None, description="With 429: seconds after which to try again.")
    oldest: str | None = Field(None, description="With 410: a cursor beyond which every event is there.")
    request_id: str | None = None


class BatchItem(Resource):
    """`registration` for 200 and 201, `problem` otherwise."""

    http_status: int
    registration: RegistrationResource | None = None
    problem: Problem | None = None


class BatchResource(Resource):
    data: list[BatchItem]
