from dataclasses import fields

import pytest
from pydantic import BaseModel

from relay.api import event_schemas, replay_schemas, schemas, timelines
from relay.api import origins as origin_schemas
from relay.client import Event, resources


@pytest.mark.parametrize(
    ("typed", "model"),
    [
        (resources.Wish, schemas.RegistrationRequest),
        (resources.Registration, schemas.RegistrationResource),
        (resources.Task, schemas.TaskResource),
        (resources.LastPoll, schemas.LastPoll),
        (resources.EventFacts, schemas.EventResource),
        (resources.Delivery, schemas.DeliveryResource),
        (resources.Attempt, schemas.AttemptResource),
        (resources.Trial, schemas.TestResource),
        (resources.FieldProblem, schemas.FieldProblem),
        (resources.Step, timelines.StepResource),
        (resources.Origin, origin_schemas.OriginResource),
        (resources.Replay, replay_schemas.ReplayResource),
        (resources.ReplayFilter, replay_schemas.ReplayFilterResource),
        (resources.ReplayOrigin, replay_schemas.ReplayOriginResource),
    ],
)
def test_the_client_knows_every_field_of_the_api_and_no_other(typed: type, model: type[BaseModel]) -> None:
    assert set(typed.__annotations__) == set(model.model_fields)


def test_an_event_has_every_field_of_the_api() -> None:
    ours = {field.name for field in fields(Event)} - {"document"}

    assert ours == set(event_schemas.EventItem.model_fields)
