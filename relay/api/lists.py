"""What a list of registrations can be narrowed by."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from relay.api.replay_schemas import GivenMoment
from relay.api.schemas import DEFAULT_LIMIT, MAX_LIMIT, Cursor, KindName, OriginText, TaskId
from relay.domain.deliveries import DeadReason
from relay.domain.errors import FieldError, InvalidInput
from relay.domain.ids import RegistrationId, parse_registration_id
from relay.domain.instants import Instant, parse_rfc3339
from relay.domain.registrations import RegistrationState
from relay.domain.urls import UnusableUrl, parse_callback_url
from relay.storage.lists import Filter


def _as_registered(origin: str) -> str:
    """In lower case and without the scheme's own port, where it can be one: nothing is of any other."""
    try:
        url = parse_callback_url(origin)
    except UnusableUrl:
        return origin
    return url.origin if url.target == "/" else origin


class ListQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    state: RegistrationState | None = Field(None, description="Only those in this state.")
    kind: KindName | None = Field(None, description="Only those of this kind of task.")
    task_id: TaskId | None = Field(None, description="Only those of this task.")
    origin: Annotated[OriginText, AfterValidator(_as_registered)] | None = Field(
        None, description="Only those of this callback origin, as `https://hooks.example`."
    )
    dead_reason: DeadReason | None = Field(None, description="Only those that are dead for this reason.")
    since: GivenMoment | None = Field(None, description="Only what was registered at this moment or later.")
    until: GivenMoment | None = Field(None, description="Only what was registered before this moment.")
    cursor: Cursor | None = Field(None, description="`next_cursor` of the page before.")
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="How many to answer with.")

    def filter(self, client: str) -> Filter:
        """One more than the page holds, which tells whether there is another. Raises InvalidInput."""
        return Filter(
            client=client,
            state=self.state,
            kind=self.kind,
            task_id=self.task_id,
            origin=self.origin,
            dead_reason=self.dead_reason,
            since=_moment(self.since),
            until=_moment(self.until),
            before=_before(self.cursor),
            limit=self.limit + 1,
        )


def _moment(written: str | None) -> Instant | None:
    return None if written is None else parse_rfc3339(written)


def _before(cursor: str | None) -> RegistrationId | None:
    if cursor is None:
        return None
    before = parse_registration_id(cursor)
    if before is None:
        raise InvalidInput(FieldError(field="cursor", rule="must be the next_cursor of an earlier answer"))
    return before
