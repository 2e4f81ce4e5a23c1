import pytest

from relay.demo.behaviours import BEHAVIOURS, Behaviour, script_of
from relay.domain.instants import SECOND


@pytest.mark.parametrize("name", BEHAVIOURS)
@pytest.mark.parametrize("rest", ["", "-1", "-after", "-x-after-3", "-ü/é\n"])
def test_an_id_that_begins_with_a_behaviour_is_scripted_by_it(name: str, rest: str) -> None:
    script = script_of(name + rest)

    assert script is not None
    assert (script.behaviour.name, script.after, script.times) == (name, 0, 1)


@pytest.mark.parametrize(
    ("task_id", "name", "seconds", "times"),
    [
        ("success-after-3", "success", 3, 1),
        ("success-after-3-xyz", "success", 3, 1),
        ("success-after-0.25-xyz", "success", 0.25, 1),
        ("success-no-run-id-after-2-xyz", "success-no-run-id", 2, 1),
        ("late-404-after-5", "late-404", 5, 1),
        ("html-times-4-xyz", "html", 0, 4),
        ("rate-limited-after-1-times-2-x", "rate-limited", 1, 2),
        ("success-3", "success", 0, 1),
        ("success-after-3x", "success", 0, 1),
        ("success-after--1", "success", 0, 1),
    ],
)
def test_seconds_and_times_are_read_from_the_id(task_id: str, name: str, seconds: float, times: int) -> None:
    script = script_of(task_id)

    assert script is not None
    assert (script.behaviour.name, script.after, script.times) == (name, seconds * SECOND, times)


@pytest.mark.parametrize(
    "task_id", ["", "successful", "Success-1", "x-success", "-success", "5f0c", "errors-1"]
)
def test_an_id_that_names_no_behaviour_has_no_script(task_id: str) -> None:
    assert script_of(task_id) is None


def test_the_longer_of_two_names_that_fit_is_meant() -> None:
    script = script_of("success-no-run-id-1")

    assert script is not None
    assert script.behaviour.name == "success-no-run-id"


@pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=BEHAVIOURS)
def test_each_behaviour_has_one_sentence(behaviour: Behaviour) -> None:
    assert behaviour.sentence.endswith(".")
    assert ". " not in behaviour.sentence
