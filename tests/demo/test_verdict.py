import random
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from relay.api.schemas import RegistrationResource
from relay.demo.observed import SeenArrivals, SeenTasks
from relay.demo.scenario import PlannedTask, plan
from relay.demo.verdict import Crash, Summary, judge
from relay.domain.deliveries import DeadReason
from relay.domain.instants import SECOND, Instant

ENDED_AT = 1_795_000_000 * SECOND
SEEN_AT = "2026-11-18T11:06:42.500Z"
(TASK, *_) = plan(1, random.Random(1))
GONE = replace(TASK, dead_reason=DeadReason.GONE)
CRASH = Crash(
    killed_at=Instant(ENDED_AT + SECOND),
    back_at=Instant(ENDED_AT + 2 * SECOND),
    registrations_unanswered=1,
    polls_under_way=1,
    deliveries_under_way=1,
)


def registration(**other: object) -> RegistrationResource:
    given = {
        "id": "reg_1",
        "task_id": TASK.task_id,
        "kind": TASK.kind,
        "callback_url": "http://127.0.0.1/hooks/ok",
        "format": "standard",
        "state": "delivered",
        "metadata": {},
        "created_at": SEEN_AT,
        "expires_at": SEEN_AT,
        "trace_id": None,
        "task": {
            "state": "succeeded",
            "status": "SUCCESS",
            "run_id": 1,
            "polls": 1,
            "last_poll": None,
            "next_poll_at": None,
        },
        "event": {"id": "evt_1", "type": "task.succeeded", "created_at": SEEN_AT},
        "delivery": {
            "attempts": 1,
            "last_http_status": 200,
            "last_error": None,
            "next_attempt_at": None,
            "delivered_at": SEEN_AT,
            "dead_reason": None,
        },
    }
    return RegistrationResource.model_validate(given | other)


def delivery(dead_reason: str) -> dict[str, object]:
    return {
        "attempts": 1,
        "last_http_status": 410,
        "last_error": "the callback answered 410",
        "next_attempt_at": None,
        "delivered_at": None,
        "dead_reason": dead_reason,
    }


def arrival(**other: object) -> dict[str, Any]:
    return {
        "webhook_id": "evt_1",
        "path": "/hooks/ok",
        "body": {"data": {"status": "SUCCESS", "first_seen_terminal_at": SEEN_AT}},
        "last_at": ENDED_AT,
        "headers": {"relay-registration-id": "reg_1", "relay-event-type": "task.succeeded"},
        "accepted": 1,
    } | other


def judged(
    *arrivals: dict[str, Any],
    task: PlannedTask = TASK,
    listed: RegistrationResource | None = None,
    crash: Crash | None = None,
    planned: int = 1,
    totals: Mapping[str, int] = MappingProxyType({}),
) -> Summary:
    counted = {
        "received": 1,
        "verified": 1,
        "bad_signatures": 0,
        "duplicates": 0,
        "bodies_changed": 0,
        **totals,
    }
    seen = {
        "task_id": TASK.task_id,
        "behaviour": "success",
        "ends_at": ENDED_AT,
        "polls": 1,
        "last_poll_at": ENDED_AT,
        "ending": "succeeded",
    }
    return judge(
        planned,
        {"reg_1": task},
        {} if listed is None else {"reg_1": listed},
        SeenArrivals.model_validate({"totals": counted, "data": arrivals}),
        SeenTasks.model_validate({"now": ENDED_AT, "tasks": [seen]}),
        crash,
    )


def test_a_play_in_which_all_went_well_is_held() -> None:
    summary = judged(arrival(), listed=registration(), crash=CRASH)

    assert (summary.held, summary.notified, summary.given_up, summary.missed) == (True, 1, 0, 0)
    assert summary.slowest_detection is not None
    assert (summary.slowest_detection.took, summary.slowest_detection.dead) == (2.5, 1)


def test_a_registration_that_died_as_it_should_is_not_missed() -> None:
    dead = registration(state="dead", delivery=delivery("gone"))

    summary = judged(arrival(accepted=0), task=GONE, listed=dead)

    assert (summary.held, summary.notified, summary.given_up, summary.missed) == (True, 0, 1, 0)


ANOTHER_TYPE = {"relay-registration-id": "reg_1", "relay-event-type": "task.failed"}
ANOTHER_STATUS = {"data": {"status": "ERROR", "first_seen_terminal_at": SEEN_AT}}


@pytest.mark.parametrize(
    ("arrivals", "listed", "complaint"),
    [
        ([arrival()], None, "forgotten"),
        ([], registration(state="watching", event=None, delivery=None), "never notified, and watching"),
        ([arrival(), arrival(webhook_id="evt_2")], registration(), "2 different events"),
        ([arrival(webhook_id="evt_2")], registration(), "evt_2"),
        ([arrival(headers=ANOTHER_TYPE)], registration(), "notified of task.failed"),
        ([arrival(body=ANOTHER_STATUS)], registration(), "told that CAMB said ERROR"),
        ([arrival()], registration(state="dead", delivery=delivery("gone")), "dead (gone)"),
        ([arrival(accepted=0)], registration(), "delivered, and accepted 0 times"),
    ],
)
def test_a_registration_that_was_not_told_what_it_should_is_missed(
    arrivals: list[dict[str, Any]], listed: RegistrationResource | None, complaint: str
) -> None:
    summary = judged(*arrivals, listed=listed)

    (sentence,) = summary.broken
    assert complaint in sentence
    assert (summary.held, summary.notified, summary.missed) == (False, 0, 1)


@pytest.mark.parametrize(
    ("planned", "totals", "complaint"),
    [
        (2, {}, "1 registrations were never answered"),
        (1, {"bad_signatures": 1}, "no valid signature"),
        (1, {"bodies_changed": 1}, "changed their body"),
        (1, {"duplicates": 1}, "came again"),
    ],
)
def test_a_promise_to_all_is_broken_by_one(planned: int, totals: dict[str, int], complaint: str) -> None:
    summary = judged(arrival(), listed=registration(), planned=planned, totals=totals)

    (sentence,) = summary.broken
    assert complaint in sentence
    assert not summary.held


def test_a_crash_excuses_what_came_twice() -> None:
    assert judged(arrival(), listed=registration(), crash=CRASH, totals={"duplicates": 1}).held
