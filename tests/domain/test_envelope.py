import json
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain import envelope
from relay.domain.envelope import Window, terminal_body, type_of, verdict_body
from relay.domain.kinds import KINDS
from relay.domain.registrations import EventType, Format, Registration
from relay.domain.tasks import parse_report
from tests.domain.samples import FAILED, REGISTRATION, SUCCESS, at, report

BASE = "https://client.camb.ai/apis"
WINDOW = Window(last_seen_pending_at=at(60.4), first_seen_terminal_at=at(67.412))
RAW = replace(REGISTRATION, format=Format.RAW)
FIELDS = [
    "task_id",
    "kind",
    "status",
    "run_id",
    "exception_reason",
    "message",
    "result_url",
    "registration_id",
    "metadata",
    "last_seen_pending_at",
    "first_seen_terminal_at",
    "payload",
]
VERDICTS = [EventType.TASK_LOST, EventType.REGISTRATION_EXPIRED]


def told(registration: Registration, payload: bytes) -> dict[str, Any]:  # Any: JSON as a receiver reads it
    body = terminal_body(registration, report(payload), WINDOW, at=at(67.412), base_url=BASE)
    read: dict[str, Any] = json.loads(body)
    return read


def decided(type_: EventType, registration: Registration, last_payload: bytes | None = None) -> bytes:
    return verdict_body(
        type_,
        registration,
        Window(last_seen_pending_at=None, first_seen_terminal_at=None),
        at=at(600),
        message="why",
        last_payload=last_payload,
    )


def test_a_notification_is_standard_webhooks_type_timestamp_and_data() -> None:
    body = terminal_body(REGISTRATION, SUCCESS, WINDOW, at=at(67.412), base_url=BASE)

    assert body.decode() == (
        '{"type":"task.succeeded","timestamp":"2026-11-23T12:01:07.412Z","data":{'
        '"task_id":"t-1","kind":"text-to-sound","status":"SUCCESS","run_id":123,'
        '"exception_reason":null,"message":null,'
        '"result_url":"https://client.camb.ai/apis/text-to-sound-result/123",'
        f'"registration_id":"{REGISTRATION.id}","metadata":{{"order":7}},'
        '"last_seen_pending_at":"2026-11-23T12:01:00.400Z",'
        '"first_seen_terminal_at":"2026-11-23T12:01:07.412Z",'
        '"payload":{"status":"SUCCESS","run_id":123}}}'
    )


def test_a_failed_task_is_told_with_cambs_word_and_reason() -> None:
    payload = b'{"status":"Payment_Required","exception_reason":"PAYMENT_REQUIRED","message":{"detail":["\\u0000"]}}'

    read = told(REGISTRATION, payload)

    assert read["type"] == "task.failed"
    assert read["data"] | {"payload": None} == {
        "task_id": "t-1",
        "kind": "text-to-sound",
        "status": "Payment_Required",
        "run_id": None,
        "exception_reason": "PAYMENT_REQUIRED",
        "message": {"detail": ["\0"]},
        "result_url": None,
        "registration_id": REGISTRATION.id,
        "metadata": {"order": 7},
        "last_seen_pending_at": "2026-11-23T12:01:00.400Z",
        "first_seen_terminal_at": "2026-11-23T12:01:07.412Z",
        "payload": None,
    }


@pytest.mark.parametrize(
    "payload",
    [
        b'"SUCCESS"',
        b'["SUCCESS"]',
        b'{"status":"SUCCESS"}',
        b'[{"status":"SUCCESS"}]',
        b'{"status":"SUCCESS","exception_reason":5,"run_id":"7"}',
    ],
)
def test_every_field_is_there_and_null_where_camb_said_nothing(payload: bytes) -> None:
    data = told(replace(REGISTRATION, metadata=b"null"), payload)["data"]

    assert list(data) == FIELDS
    assert [data[field] for field in ("run_id", "exception_reason", "message", "result_url", "metadata")] == [
        None
    ] * 5
    assert data["status"] == "SUCCESS"


def test_a_task_never_seen_pending_has_no_beginning_of_its_window() -> None:
    window = Window(last_seen_pending_at=None, first_seen_terminal_at=at(1))

    body = terminal_body(REGISTRATION, SUCCESS, window, at=at(1), base_url=BASE)

    assert orjson.loads(body)["data"]["last_seen_pending_at"] is None


@pytest.mark.parametrize(
    "payload",
    [
        b'{"status":"PENDING","status":"SUCCESS"}',
        b'  {"status" :\t"SUCCESS"\r\n, "a":[ 1,2 ] }\n',
        b'{"status":"SUCCESS","n":123456789012345678901234567890}',
        b'{"status":"SUCCESS","n":1.000000000000000000000000001}',
        b'{"status":"SUCCESS","n":1E+2,"m":-0.0}',
        b'{"status":"SUCCESS","s":"\\u0041\\/\\u00fc\xc3\xbc\\u0000"}',
        b'{"status":"SUCCESS","z":1,"a":2}',
        b'"SUCCESS"',
        b'[ "success" ]',
        b'{"status":"SUCCESS","deep":' + b"[" * 500 + b"]" * 500 + b"}",
    ],
)
def test_cambs_payload_is_spliced_in_unchanged(payload: bytes) -> None:
    body = terminal_body(REGISTRATION, report(payload), WINDOW, at=at(1), base_url=BASE)

    assert body.endswith(b',"payload":' + payload + b"}}")
    assert orjson.loads(body)["data"]["payload"] == orjson.loads(payload)


@given(st.binary(max_size=60) | st.text().map(lambda word: json.dumps({"status": word}).encode()))
def test_whatever_can_be_read_makes_a_notification_that_can_be_read(payload: bytes) -> None:
    read = parse_report(payload)

    if read is not None:
        body = terminal_body(REGISTRATION, read, WINDOW, at=at(1), base_url=BASE)
        assert orjson.loads(body)["data"]["status"] == read.status


def test_metadata_comes_back_as_it_was_kept() -> None:
    metadata = b'{"n":12345678901234567890123,"a":[1.50]}'

    body = terminal_body(replace(REGISTRATION, metadata=metadata), SUCCESS, WINDOW, at=at(1), base_url=BASE)

    assert b'"metadata":' + metadata + b"," in body


@pytest.mark.parametrize(
    "payload",
    [b'"SUCCESS"', b' {"status":"ERROR", "run_id" : 1}\n', b'[{"status":"FAILED"}]'],
)
def test_under_raw_cambs_bytes_are_all_there_is(payload: bytes) -> None:
    assert terminal_body(RAW, report(payload), WINDOW, at=at(1), base_url=BASE) == payload


@pytest.mark.parametrize("name", KINDS)
def test_the_result_url_is_the_kinds_first_result_route_under_its_base_url(name: str) -> None:
    path = KINDS[name].result_path(123)

    data = told(replace(REGISTRATION, kind=name), b'{"status":"SUCCESS","run_id":123}')["data"]

    assert data["kind"] == name
    assert data["result_url"] == (None if path is None else BASE + path)


@pytest.mark.parametrize("name", KINDS)
def test_success_without_a_run_id_has_no_result_url(name: str) -> None:
    data = told(replace(REGISTRATION, kind=name), b'"SUCCESS"')["data"]

    assert (data["run_id"], data["result_url"]) == (None, None)


@pytest.mark.parametrize(
    ("payload", "type_"),
    [
        (b'"SUCCESS"', EventType.TASK_SUCCEEDED),
        (b'"success"', EventType.TASK_SUCCEEDED),
        (b'"ERROR"', EventType.TASK_FAILED),
        (b'"FAILED"', EventType.TASK_FAILED),
        (b'"TIMEOUT"', EventType.TASK_FAILED),
        (b'"PAYMENT_REQUIRED"', EventType.TASK_FAILED),
    ],
)
def test_only_success_is_a_success(payload: bytes, type_: EventType) -> None:
    assert type_of(report(payload)) is type_


@pytest.mark.parametrize("type_", VERDICTS)
@pytest.mark.parametrize("registration", [REGISTRATION, RAW], ids=["standard", "raw"])
def test_what_the_relay_decides_looks_nothing_like_cambs_word_in_either_format(
    registration: Registration, type_: EventType
) -> None:
    read = orjson.loads(decided(type_, registration))

    assert list(read) == ["type", "timestamp", "data"]
    assert list(read["data"]) == FIELDS
    assert read["type"] == type_
    assert read["type"] not in {EventType.TASK_FAILED, EventType.TASK_SUCCEEDED}
    assert read["timestamp"] == "2026-11-23T12:10:00.000Z"
    assert read["data"] == dict.fromkeys(FIELDS) | {
        "task_id": "t-1",
        "kind": "text-to-sound",
        "message": "why",
        "registration_id": registration.id,
        "metadata": {"order": 7},
    }


@pytest.mark.parametrize("type_", VERDICTS)
@pytest.mark.parametrize("registration", [REGISTRATION, RAW], ids=["standard", "raw"])
def test_a_verdict_carries_cambs_last_word_unchanged_and_as_payload_alone(
    registration: Registration, type_: EventType
) -> None:
    last = b' {"status":"PENDING", "run_id":5, "exception_reason":"NONE"} '

    body = decided(type_, registration, last)

    assert body.endswith(b',"payload":' + last + b"}}")
    data = orjson.loads(body)["data"]
    assert [data[field] for field in ("status", "run_id", "exception_reason", "result_url")] == [None] * 4


def test_the_event_types_are_five_and_dotted() -> None:
    assert {type_.value for type_ in EventType} == {
        "task.succeeded",
        "task.failed",
        "task.lost",
        "registration.expired",
        "relay.test",
    }


def test_a_test_notification_has_the_fields_of_every_other_and_nothing_in_them() -> None:
    read = orjson.loads(envelope.test_body(at(0)))

    message = read["data"]["message"]
    assert read == {
        "type": "relay.test",
        "timestamp": "2026-11-23T12:00:00.000Z",
        "data": dict.fromkeys(FIELDS) | {"message": message},
    }
    assert list(read["data"]) == FIELDS
    assert "test" in message


def test_the_same_end_makes_the_same_bytes() -> None:
    one, other = (terminal_body(REGISTRATION, FAILED, WINDOW, at=at(67.412), base_url=BASE) for _ in range(2))

    assert one == other
