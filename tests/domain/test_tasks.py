import itertools
import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.errors import BrokenRule
from relay.domain.tasks import (
    TASK_TRANSITIONS,
    TERMINAL_STATES,
    PollResult,
    TaskChange,
    TaskReport,
    TaskState,
    after_change,
    parse_report,
)
from tests.domain.samples import report

S, C = TaskState, TaskChange
GOING_ON, SUCCEEDED, FAILED = None, C.SUCCEEDED, C.FAILED


@pytest.mark.parametrize(
    ("state", "change", "after"),
    [
        (S.WATCHING, C.SUCCEEDED, S.SUCCEEDED),
        (S.WATCHING, C.FAILED, S.FAILED),
        (S.WATCHING, C.LEFT, S.IDLE),
        (S.WATCHING, C.WATCHED, S.WATCHING),
        (S.IDLE, C.WATCHED, S.WATCHING),
        (S.SUCCEEDED, C.WATCHED, S.SUCCEEDED),
        (S.FAILED, C.WATCHED, S.FAILED),
    ],
)
def test_a_task_changes_as_its_table_says(state: TaskState, change: TaskChange, after: TaskState) -> None:
    assert after_change(state, change) is after


@pytest.mark.parametrize(
    ("state", "change"), sorted(set(itertools.product(TaskState, TaskChange)) - TASK_TRANSITIONS.keys())
)
def test_a_task_changes_in_no_other_way(state: TaskState, change: TaskChange) -> None:
    with pytest.raises(BrokenRule, match=f"a task that is {state} cannot be {change}"):
        after_change(state, change)


def test_nothing_leaves_a_terminal_state_and_every_open_one_can_be_left() -> None:
    left = {state for (state, _), after in TASK_TRANSITIONS.items() if after is not state}

    assert left == set(TaskState) - TERMINAL_STATES


@pytest.mark.parametrize(
    ("word", "ending", "result"),
    [
        ("PENDING", GOING_ON, PollResult.PENDING),
        ("pending", GOING_ON, PollResult.PENDING),
        ("SUCCESS", SUCCEEDED, PollResult.TERMINAL),
        ("success", SUCCEEDED, PollResult.TERMINAL),
        ("SuCcEsS", SUCCEEDED, PollResult.TERMINAL),
        ("ERROR", FAILED, PollResult.TERMINAL),
        ("Error", FAILED, PollResult.TERMINAL),
        ("TIMEOUT", FAILED, PollResult.TERMINAL),
        ("PAYMENT_REQUIRED", FAILED, PollResult.TERMINAL),
        ("payment_required", FAILED, PollResult.TERMINAL),
        ("FAILED", FAILED, PollResult.TERMINAL),
        ("PROCESSING", GOING_ON, PollResult.UNKNOWN_STATUS),
        ("SUCCEEDED", GOING_ON, PollResult.UNKNOWN_STATUS),
        ("SUCCESS!", GOING_ON, PollResult.UNKNOWN_STATUS),
        (" SUCCESS", GOING_ON, PollResult.UNKNOWN_STATUS),
        ("SUCCESS\0", GOING_ON, PollResult.UNKNOWN_STATUS),
        ("PAYMENT REQUIRED", GOING_ON, PollResult.UNKNOWN_STATUS),
        ("", GOING_ON, PollResult.UNKNOWN_STATUS),
    ],
)
@pytest.mark.parametrize("shape", ['{"status":%s}', "%s", '[{"status":%s}]', "[%s]"])
def test_the_status_word_alone_says_whether_a_task_ended_in_every_shape_of_answer(
    shape: str, word: str, ending: TaskChange | None, result: PollResult
) -> None:
    body = (shape % json.dumps(word)).encode()

    read = report(body)

    assert (read.status, read.ending, read.result) == (word, ending, result)
    assert read.payload == body


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"status":"SUCCESS","run_id":123}', ("SUCCESS", 123, None, b"null", SUCCEEDED)),
        (b'{"status":"SUCCESS"}', ("SUCCESS", None, None, b"null", SUCCEEDED)),
        (b'{"status":"SUCCESS","run_id":null}', ("SUCCESS", None, None, b"null", SUCCEEDED)),
        (b'{"status":"PENDING","run_id":123}', ("PENDING", 123, None, b"null", GOING_ON)),
        (b'{"run_id":123}', (None, 123, None, b"null", GOING_ON)),
        (b"{}", (None, None, None, b"null", GOING_ON)),
        (b'{"status":null}', (None, None, None, b"null", GOING_ON)),
        (b'{"status":200}', (None, None, None, b"null", GOING_ON)),
        (b'{"status":["SUCCESS"]}', (None, None, None, b"null", GOING_ON)),
        (b'{"Status":"SUCCESS"}', (None, None, None, b"null", GOING_ON)),
        (
            b'{"status":"SUCCESS","exception_reason":"NONE","message":null}',
            ("SUCCESS", None, "NONE", b"null", SUCCEEDED),
        ),
        (b'{"status":"PENDING","exception_reason":"NONE"}', ("PENDING", None, "NONE", b"null", GOING_ON)),
        (
            b'{"status":"PENDING","exception_reason":"INTERNAL_ERROR"}',
            ("PENDING", None, "INTERNAL_ERROR", b"null", GOING_ON),
        ),
        (
            b'{"status":"ERROR","exception_reason":"SOURCE_TOO_LONG","message":"too long"}',
            ("ERROR", None, "SOURCE_TOO_LONG", b'"too long"', FAILED),
        ),
        (b'{"status":"ERROR","exception_reason":{"a":1}}', ("ERROR", None, None, b"null", FAILED)),
        (
            b'{"status":"ERROR","message":{"detail":[{"loc":[ ]}], "n":1.50}}',
            ("ERROR", None, None, b'{"detail":[{"loc":[]}],"n":1.5}', FAILED),
        ),
        (b'{"status":"ERROR","message":["a",null]}', ("ERROR", None, None, b'["a",null]', FAILED)),
        (b'[{"status":"SUCCESS","run_id":5}]', ("SUCCESS", 5, None, b"null", SUCCEEDED)),
        (b'{"status":"PENDING","status":"SUCCESS"}', ("SUCCESS", None, None, b"null", SUCCEEDED)),
        (b' {"status" : "SUCCESS" , "extra":[1,2]}\r\n', ("SUCCESS", None, None, b"null", SUCCEEDED)),
        (b'{"status":"ERROR","message":"\\u0000"}', ("ERROR", None, None, b'"\\u0000"', FAILED)),
    ],
)
def test_the_facts_are_read_from_an_answer_and_null_where_absent(
    body: bytes, expected: tuple[str | None, int | None, str | None, bytes, TaskChange | None]
) -> None:
    read = report(body)

    assert (read.status, read.run_id, read.exception_reason, read.message, read.ending) == expected
    assert read.payload == body


@pytest.mark.parametrize(
    ("written", "run_id"),
    [
        ("0", 0),
        ("123", 123),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", None),
        ("18446744073709551616", None),
        ("1" + "0" * 300, None),
        ("-1", None),
        ("-9223372036854775809", None),
        ("true", None),
        ("false", None),
        ("123.0", None),
        ("1e3", None),
        ('"123"', None),
        ("[123]", None),
        ('{"id":123}', None),
    ],
)
def test_a_run_id_is_an_integer_that_a_database_holds_or_none(written: str, run_id: int | None) -> None:
    read = report(b'{"status":"SUCCESS","run_id":%s}' % written.encode())

    assert (read.run_id, read.ending) == (run_id, SUCCEEDED)
    assert type(read.run_id) is type(run_id)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>SUCCESS</html>", id="html"),
        pytest.param(b"SUCCESS", id="bare word"),
        pytest.param(b"'SUCCESS'", id="single quotes"),
        pytest.param(b"null", id="null"),
        pytest.param(b"true", id="boolean"),
        pytest.param(b"200", id="number"),
        pytest.param(b"[]", id="empty list"),
        pytest.param(b'["SUCCESS","SUCCESS"]', id="list of two"),
        pytest.param(b'[["SUCCESS"]]', id="list in a list"),
        pytest.param(b"[null]", id="list of null"),
        pytest.param(b'{"status":"SUCCESS"', id="cut off"),
        pytest.param(b'{"status":"SUCCESS"}{}', id="two values"),
        pytest.param(b'{"status":"SUCCESS",}', id="trailing comma"),
        pytest.param(b'{"status":"SUCCESS","n":NaN}', id="NaN"),
        pytest.param(b'{"status":"SUCCESS","n":Infinity}', id="Infinity"),
        pytest.param(b'{"status":"SUCCESS","n":-Infinity}', id="-Infinity"),
        pytest.param(b'{"status":"SUCCESS","n":1e400}', id="number past a double"),
        pytest.param(b'{"status":"SUCCESS","n":01}', id="leading zero"),
        pytest.param(b'{"status":"SUCCESS","m":"\xff"}', id="invalid UTF-8"),
        pytest.param(b'{"status":"SUCCESS","m":"\xed\xa0\x80"}', id="surrogate in UTF-8"),
        pytest.param(b'{"status":"SUCCESS","m":"\\ud800"}', id="lone surrogate"),
        pytest.param('{"status":"SUCCESS"}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'\xef\xbb\xbf{"status":"SUCCESS"}', id="byte order mark"),
        pytest.param(b'{"status":"SUCCESS","m":"\0"}', id="NUL in a string"),
        pytest.param(b'{"status":"SUCCESS"}\0', id="NUL at the end"),
        pytest.param(b"\0" * 100, id="NULs"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="endlessly nested"),
        pytest.param(b'{"a":' * 5_000 + b"1" + b"}" * 5_000, id="nested too deeply"),
    ],
)
def test_what_is_no_status_body_is_read_as_none(body: bytes) -> None:
    assert parse_report(body) is None


def test_depth_outside_the_message_is_carried_along() -> None:
    body = b'{"status":"SUCCESS","extra":' + b"[" * 500 + b"]" * 500 + b"}"

    assert report(body).payload == body


def test_a_payload_as_large_as_an_answer_may_be_is_read_whole() -> None:
    body = b'{"status":"SUCCESS","extra":"' + b"x" * 256 * 1024 + b'"}'

    assert report(body).payload == body


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
BODIES = st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode())
STATUS_BODIES = st.fixed_dictionaries(
    {},
    optional={"status": JSON, "run_id": JSON, "exception_reason": JSON, "message": JSON},
).map(lambda value: json.dumps(value).encode())


@given(BODIES | STATUS_BODIES)
def test_whatever_passes_is_json_that_may_be_spliced_and_comes_out_as_it_came(body: bytes) -> None:
    read = parse_report(body)

    if read is not None:
        assert read.payload == body
        assert orjson.loads(read.payload) == orjson.loads(orjson.dumps({"p": orjson.Fragment(body)}))["p"]
        orjson.loads(read.message)
        assert read.run_id is None or 0 <= read.run_id < 2**63


@given(status=st.text(), run_id=st.integers() | st.none(), reason=st.text())
def test_nothing_but_the_status_moves_the_verdict_on_a_task(
    status: str, run_id: int | None, reason: str
) -> None:
    plain = TaskReport(status=status, run_id=None, exception_reason=None, message=b"null", payload=b"{}")
    full = TaskReport(
        status=status,
        run_id=run_id,
        exception_reason=reason,
        message=b'{"status":"SUCCESS"}',
        payload=b'"SUCCESS"',
    )

    assert (full.ending, full.result) == (plain.ending, plain.result)


def test_a_message_nested_too_deeply_to_be_repeated_costs_the_message_and_not_the_ending() -> None:
    body = b'{"status":"ERROR","message":' + b"[" * 500 + b"]" * 500 + b"}"

    report = parse_report(body)

    assert report is not None
    assert (report.ending, report.message, report.payload) == (TaskChange.FAILED, b"null", body)
