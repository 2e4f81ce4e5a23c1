"""A task scripted by hand: the body of `POST /_simulator/tasks`."""

from typing import Annotated, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from relay.demo.behaviours import GRAMMAR, PENDING, Answer, Behaviour, Ending, Script, script_of
from relay.demo.wire import JSON
from relay.domain.kinds import DEFAULT_KIND, KINDS
from relay.domain.tasks import TaskChange, parse_report


class AnswerSpec(BaseModel):
    """One answer: a `json` value or a `body` of text, sent as it is."""

    model_config = ConfigDict(extra="forbid")

    http_status: Annotated[int, Field(ge=200, le=599)] = 200
    headers: dict[str, str] = {}
    json_value: Annotated[JsonValue, Field(alias="json")] = None
    body: str | None = None

    def answer(self) -> Answer:
        body = orjson.dumps(self.json_value) if self.body is None else self.body.encode()
        own = tuple(
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()
        )
        typed = any(name == b"content-type" for name, _ in own)
        return Answer(
            body=body,
            http_status=self.http_status,
            headers=own if typed else (JSON, *own),
            ending=_ending(body) if self.http_status < 300 else None,  # noqa: PLR2004 - where success ends
        )


class TaskSpec(BaseModel):
    """Either a `script` in the words of a task id, or `answers`, given in order and the last of them for ever."""

    model_config = ConfigDict(extra="forbid")

    task_id: Annotated[str, Field(min_length=1)]
    kind: str = DEFAULT_KIND
    script: str | None = None
    answers: list[AnswerSpec] | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}")
        if (self.script is None) == (not self.answers):
            raise ValueError("either script or answers, and one answer at least")
        if self.script is not None and script_of(self.script) is None:
            raise ValueError(f"script reads {GRAMMAR}")
        return self

    @property
    def route(self) -> str:
        return KINDS[self.kind].status

    def plan(self) -> Script:
        spelled = script_of(self.script or "")
        if spelled is not None:
            return spelled
        *opening, ending = (each.answer() for each in self.answers or ())
        return Script(
            behaviour=Behaviour(
                name="scripted",
                sentence="Scripted by hand.",
                opening=tuple(opening),
                meanwhile=PENDING,
                ending=ending,
            )
        )


class KeysSpec(BaseModel):
    """The body of `POST /_simulator/keys`; `accepted` null means any key."""

    model_config = ConfigDict(extra="forbid")

    accepted: frozenset[str] | None = None
    forbidden: frozenset[str] = frozenset()


def _ending(body: bytes) -> Ending | None:
    report = parse_report(body)
    match report and report.ending:
        case TaskChange.SUCCEEDED:
            return Ending.SUCCEEDED
        case TaskChange.FAILED:
            return Ending.FAILED
        case _:
            return None
