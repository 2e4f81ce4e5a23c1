"""A timeline as it goes over the wire."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from relay.api.fields import Moment
from relay.api.schemas import Resource
from relay.domain.chain import Fact, Rule, Step, What
from relay.domain.instants import text_or_none


class StepResource(Resource):
    """What happened, or what is planned, and because of what."""

    at: Moment | None = Field(description="Null where nobody knows.")
    what: What
    planned: bool = Field(description="Whether it is still to come; only the last step can be.")
    detail: str = Field(description="One sentence for a person.")
    because: int | None = Field(description="The place, from 0, of the step that it follows from.")
    rule: Rule | None = Field(description="The rule by which it follows.")
    facts: dict[str, Fact] = Field(description="The same for a machine, by what kind of step it is.")


class TimelineResource(Resource):
    """The causal chain of one registration, from its beginning to its end or to the one step that is planned next."""

    data: list[StepResource]


def timeline_resource(steps: Sequence[Step]) -> dict[str, Any]:
    return TimelineResource(
        data=[
            StepResource(
                at=text_or_none(step.at),
                what=step.what,
                planned=step.planned,
                detail=step.detail,
                because=step.because,
                rule=step.rule,
                facts=dict(step.facts),
            )
            for step in steps
        ]
    ).model_dump()
