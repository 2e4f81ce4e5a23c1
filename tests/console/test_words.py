import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.console import words
from relay.console.indented import LONGEST, indented
from relay.console.situations import advice_on
from relay.domain.deliveries import DeadReason, Failure
from relay.domain.instants import DAY, HOUR, MINUTE, SECOND, Instant
from relay.domain.lanes import OriginState
from relay.domain.registrations import RegistrationState
from relay.domain.replays import ReplayState

NOW = Instant(20_000 * DAY + 12 * HOUR)


@pytest.mark.parametrize(
    ("span", "told"),
    [
        (0, "now"),
        (SECOND - 1, "now"),
        (-SECOND, "1 s ago"),
        (90 * SECOND, "in 90 s"),
        (2 * MINUTE, "in 2 min"),
        (-5 * HOUR, "5 h ago"),
        (6 * DAY, "in 6 d"),
    ],
)
def test_a_moment_is_told_by_how_far_it_is(span: int, told: str) -> None:
    assert words.relative(Instant(NOW + span), NOW) == told


def test_a_moment_of_today_is_told_without_its_day() -> None:
    assert words.moment(Instant(NOW + 61 * SECOND), NOW) == "12:01:01"
    assert words.moment(Instant(NOW + DAY), NOW) == "2024-10-05 12:00:00"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hooks.test/in", "https://hooks.test/in"),
        ("https://hooks.test/in?token=x?y", "https://hooks.test/in?…"),
        ("https://hooks.test/?", "https://hooks.test/?…"),
        (None, ""),
    ],
)
def test_a_url_is_shown_without_its_query(url: str | None, shown: str) -> None:
    assert words.shown_url(url) == shown


def test_whatever_there_is_has_a_word_and_a_tone() -> None:
    assert words.REGISTRATION_LABELS.keys() >= {state.value for state in RegistrationState}
    assert words.ORIGIN_LABELS.keys() == {state.value for state in OriginState}
    assert words.REPLAY_LABELS.keys() == {state.value for state in ReplayState}
    assert words.DEAD_LABELS.keys() == {reason.value for reason in DeadReason}
    assert words.OUTCOME_LABELS.keys() == {"accepted", "rejected", "blocked"} | {
        each.value for each in Failure
    }


@pytest.mark.parametrize("failure", list(Failure))
def test_every_failure_without_an_answer_has_its_advice(failure: Failure) -> None:
    assert advice_on(failure.value, None)


@pytest.mark.parametrize(
    ("status", "words_"),
    [
        (301, "redirect is never followed"),
        (401, "signing secret"),
        (403, "signing secret"),
        (404, "path of the callback URL"),
        (405, "path of the callback URL"),
        (410, "gone for good"),
        (413, "larger bodies"),
        (422, "the beginning of its answer"),
        (429, "left alone"),
        (500, "receiver's own"),
        (503, "receiver's own"),
    ],
)
def test_every_answer_that_does_not_accept_has_its_advice(status: int, words_: str) -> None:
    assert words_ in advice_on("rejected", status)


def test_what_nobody_knows_has_no_advice() -> None:
    assert advice_on("something new", None) == ""


AT_LEISURE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""On a machine that is busy with something else."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@AT_LEISURE
@given(JSON, st.sampled_from([None, 0, 2]))
def test_indented_json_is_the_same_json(value: object, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False)

    assert json.loads(indented(text)) == value


def test_json_is_set_out_line_by_line_and_its_words_stay_as_they_are() -> None:
    text = '{"a":[1.0,{"b":"x, {y}"}],"e":{},"f":[],"a":1e400}'

    assert indented(text).splitlines() == [
        "{",
        '  "a": [',
        "    1.0,",
        "    {",
        '      "b": "x, {y}"',
        "    }",
        "  ],",
        '  "e": {},',
        '  "f": [],',
        '  "a": 1e400',
        "}",
    ]


@AT_LEISURE
@given(st.text(alphabet='{}[]",: \\ab\n', max_size=60))
def test_whatever_is_no_json_loses_nothing_but_space(text: str) -> None:
    assert set(indented(text)) <= set(text) | set(" \n")


@pytest.mark.parametrize("text", ["", "plain", '"word"', "[" + "1," * LONGEST + "1]"])
def test_what_is_no_object_or_is_long_is_shown_as_it_came(text: str) -> None:
    assert indented(text) == text
