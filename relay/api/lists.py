"""What a list of registrations can be narrowed by."""

from typing import Annotated

from pydantic import Field

from relay.api.fields import GivenMoment, KindName, Origin, TaskId
from relay.api.requests import parse_cursor
from relay.api.schemas import PageQuery
from relay.domain.deliveries import DeadReason
from relay.domain.ids import parse_registration_id
from relay.domain.instants import parse_rfc3339_or_none
from relay.domain.registrations import RegistrationState
from relay.storage.lists import Filter

Cursor = Annotated[str, Field(json_schema_extra={"pattern": "^reg_[0-9a-f]{32}$"})]


class ListQuery(PageQuery):
    state: RegistrationState | None = Field(None, description="Only those in this state.")
    kind: KindName | None = Field(None, description="Only those of this kind of task.")
    task_id: TaskId | None = Field(None, description="Only those of this task.")
    origin: Origin | None = Field(
        None, description="Only those of this callback origin, as `https://hooks.example`."
    )
    dead_reason: DeadReason | None = Field(None, description="Only those that are dead for this reason.")
    since: GivenMoment | None = Field(None, description="Only what was registered at this moment or later.")
    until: GivenMoment | None = Field(None, description="Only what was registered before this moment.")
    cursor: Cursor | None = Field(None, description="`next_cursor` of the page before.")

    def filter(self, client: str) -> Filter:
        """Raises InvalidInput."""
        return Filter(
            client=client,
            state=self.state,
            kind=self.kind,
            task_id=self.task_id,
            origin=self.origin,
            dead_reason=self.dead_reason,
            since=parse_rfc3339_or_none(self.since),
            until=parse_rfc3339_or_none(self.until),
            before=parse_cursor(parse_registration_id, self.cursor),
            limit=self.limit,
        )
