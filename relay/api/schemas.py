"""What goes over the wire, both ways; the OpenAPI document is made from these models."""

import re
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from relay.domain.instants import DAY, SECOND
from relay.domain.kinds import KINDS
from relay.domain.lanes import OriginState
from relay.domain.registrations import EventType, Format, RegistrationState
from relay.domain.urls import MAX_CALLBACK_URL

MAX_TASK_ID: Final = 256
MAX_METADATA_BYTES: Final = 4 * 1024
MAX_METADATA_DEPTH: Final = 5
SHORTEST_EXPIRY: Final = 5
LONGEST_EXPIRY: Final = 30 * DAY // SECOND
MAX_BATCH: Final = 1_000
DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def _without_control_characters(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("must hold no control characters")
    return text


def _small(metadata: dict[str, Any]) -> dict[str, Any]:
    if _deeper_than(metadata, MAX_METADATA_DEPTH):
        raise ValueError(f"must be nested at most {MAX_METADATA_DEPTH} deep")
    if len(orjson.dumps(metadata)) > MAX_METADATA_BYTES:
        raise ValueError(f"must be at most {MAX_METADATA_BYTES} bytes of JSON")
    return metadata


def _deeper_than(value: object, levels: int) -> bool:
    if isinstance(value, dict):
        return levels == 0 or any(_deeper_than(inner, levels - 1) for inner in value.values())
    if isinstance(value, list):
        return levels == 0 or any(_deeper_than(inner, levels - 1) for inner in value)
    return False


def _known_kind(name: str) -> str:
    if name not in KINDS:
        raise ValueError(f"must be one of {', '.join(KINDS)}")
    return name


KindName = Annotated[str, AfterValidator(_known_kind), Field(json_schema_extra={"enum": list(KINDS)})]
TaskId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_TASK_ID),
    AfterValidator(_without_control_characters),
    Field(
        description="CAMB's task id, opaque and used exactly as given. No control characters.",
        json_schema_extra={"pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"},
    ),
]
CallbackText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_CALLBACK_URL),
    Field(
        description="Where to POST the notification: plain ASCII as on the wire, https unless the operator allows http."
    ),
]
Metadata = Annotated[
    dict[str, Any],  # it was parsed from JSON: pydantic would only get lost in its depth
    AfterValidator(_small),
    Field(
        description=f"Handed back with the notification. At most {MAX_METADATA_BYTES} bytes of JSON, {MAX_METADATA_DEPTH} deep."
    ),
]
Cursor = Annotated[str, Field(json_schema_extra={"pattern": "^reg_[0-9a-f]{32}$"})]
OriginText = Annotated[
    str, StringConstraints(pattern=r"^https?://[!-~]{1,2040}$"), Field(json_schema_extra={"format": "uri"})
]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Body(BaseModel):
    """Something a caller sends: nothing is guessed, nothing unknown is taken."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RegistrationRequest(Body):
    """Tell this URL when that task ends."""

    task_id: TaskId
    callback_url: CallbackText
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


class AttemptQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    cursor: Annotated[str, StringConstraints(pattern="^[0-9]{1,18}$")] | None = Field(
        None, description="`next_cursor` of the page before."
    )
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="How many to answer with.")


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
    callback_url: str
    format: Format
    state: RegistrationState
    metadata: dict[str, Any]
    created_at: Moment
    expires_at: Moment
    task: TaskResource
    event: EventResource | None
    delivery: DeliveryResource | None


class RegistrationPage(Resource):
    data: list[RegistrationResource]
    next_cursor: str | None


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


class KeySetQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    key_set: Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")] | None = Field(
        None, description="Only those of one client, as its `jwks_path` has it."
    )


class JsonWebKey(Resource):
    """RFC 7517 and RFC 8037; `kid` is the key's RFC 7638 thumbprint."""

    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"
    use: Literal["sig"] = "sig"
    alg: Literal["EdDSA"] = "EdDSA"
    kid: str
    x: str


class JsonWebKeySet(Resource):
    keys: list[JsonWebKey]


class PublicKeyResource(Resource):
    kid: str
    public_key: str = Field(description="`whpk_` and the key in base64, as Standard Webhooks has it.")


class KeyPage(Resource):
    """Your ed25519 keys, in the order in which they sign."""

    data: list[PublicKeyResource]
    jwks_path: str = Field(description="Where whoever holds no token reads the same keys, and none besides.")


class OriginQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    cursor: OriginText | None = Field(None, description="`next_cursor` of the page before.")
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="How many to answer with.")


class OriginResource(Resource):
    """A callback origin as the relay fares with it, for your deliveries alone."""

    origin: str
    state: OriginState = Field(
        description="`slowed`: fewer slots than usual; `paused`: none; `probing`: one attempt finds out whether it is back."
    )
    cause: Literal["retry-after", "too-many-requests", "failing", "probing"] | None
    slots: int = Field(
        description="How many attempts each replica may have under way; 0 until a probe succeeds."
    )
    paused_until: Moment | None = Field(
        description="No attempt is made before; null where nothing holds the origin."
    )
    failing_since: Moment | None
    pauses: int = Field(
        description="In a row, of those nobody asked for: each is twice as long as the one before."
    )
    waiting: int = Field(description="Deliveries still open, counted up to 10,000.")
    next_attempt_at: Moment | None = Field(description="When the first of them is due.")


class OriginPage(Resource):
    data: list[OriginResource]
    next_cursor: str | None


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
    request_id: str | None = None


class BatchItem(Resource):
    """`registration` for 200 and 201, `problem` otherwise."""

    http_status: int
    registration: RegistrationResource | None = None
    problem: Problem | None = None


class BatchResource(Resource):
    data: list[BatchItem]
