"""What goes over the wire about replays."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from relay.api.fields import GivenMoment, KindName, Moment, Origin
from relay.api.schemas import Body, PageQuery, Resource
from relay.domain.instants import parse_rfc3339

ReplayCursor = Annotated[str, Field(json_schema_extra={"pattern": "^rpl_[0-9a-f]{32}$"})]


class ReplayFilterRequest(Body):
    """What to send again; every field that is left out narrows nothing."""

    state: Literal["dead", "delivered"] = Field("dead", description="What became of it before.")
    kind: KindName | None = Field(None, description="Only tasks of this kind.")
    origin: Origin | None = Field(
        None, description="Only callbacks of this origin, as `https://hooks.example`."
    )
    since: GivenMoment | None = Field(None, description="Only events made at this moment or later.")
    until: GivenMoment | None = Field(None, description="Only events made before this moment.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        both = self.since is not None and self.until is not None
        if both and parse_rfc3339(self.since or "") >= parse_rfc3339(self.until or ""):
            raise ValueError("until must be later than since")
        return self


class ReplayRequest(Body):
    """Send again what a filter finds, over a new round of the full schedule."""

    filter: ReplayFilterRequest
    dry_run: bool = Field(default=False, description="Only count: nothing is changed.")


class ReplayListQuery(PageQuery):
    cursor: ReplayCursor | None = Field(None, description="`next_cursor` of the page before.")


class ReplayCount(Resource):
    """How many a replay would find now."""

    matching: int


class ReplayFilterResource(Resource):
    state: Literal["dead", "delivered"]
    kind: str | None
    origin: str | None
    since: Moment | None
    until: Moment | None


class ReplayOriginResource(Resource):
    """What the replay has come to with one callback origin."""

    origin: str
    done: bool
    matching: int
    replayed: int
    held: Literal["paused", "full"] | None = Field(
        description="`paused`: the origin is left alone for now; `full`: enough is due to it already."
    )
    held_until: Moment | None = Field(description="The end of the origin's pause, where it is known.")


class ReplayResource(Resource):
    """A replay. What was finished after `created_at` is not part of it."""

    id: str
    state: Literal["running", "paused", "done", "cancelled"]
    filter: ReplayFilterResource
    created_at: Moment
    closed_at: Moment | None
    matching: int | None = Field(description="How many it found; null until they are counted.")
    replayed: int = Field(description="How many have been given a new round.")
    skipped: int = Field(description="How many were changed by others, or gone, before their turn came.")
    origins: list[ReplayOriginResource] | None = Field(
        description="Up to 100 callback origins, those that are not done first; only in the single resource."
    )
    more_origins: bool | None = Field(description="Whether there are others; only in the single resource.")


class ReplayPage(Resource):
    data: list[ReplayResource]
    next_cursor: str | None
