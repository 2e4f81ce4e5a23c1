import random
from pathlib import Path

from relay.demo.behaviours import BEHAVIOURS
from relay.demo.hooks import hook_of
from relay.demo.scenario import SCENES, SHORTENED, SHORTEST_EXPIRY, plan
from relay.domain.kinds import KINDS
from relay.domain.registrations import EventType
from relay.settings import Settings, load_settings


def settings_of(environ: dict[str, str], folder: Path) -> Settings:
    return load_settings(config=None, secrets_dir=None, environ=environ, cwd=folder)


def test_the_play_ends_in_every_way_and_meets_every_kind() -> None:
    assert {scene.behaviour for scene in SCENES} == set(BEHAVIOURS)
    assert {scene.kind for scene in SCENES} == set(KINDS)
    assert {scene.expects for scene in SCENES} == set(EventType) - {EventType.RELAY_TEST}


def test_every_task_of_a_play_spells_its_behaviour_and_has_an_id_of_its_own() -> None:
    tasks = plan(100, random.Random(1))

    assert len({task.task_id for task in tasks}) == 100
    assert [task.behaviour.name for task in tasks[:40]] == [scene.behaviour for scene in SCENES]
    assert all(hook_of(task.hook) is not None for task in tasks)


def test_a_play_repeats_with_its_seed() -> None:
    assert plan(50, random.Random(7)) == plan(50, random.Random(7)) != plan(50, random.Random(8))


def test_what_the_demo_says_of_the_defaults_is_true(tmp_path: Path) -> None:
    defaults = {each.variable: each.default for each in SHORTENED}

    assert settings_of(defaults, tmp_path) == settings_of({}, tmp_path)


def test_the_demo_calls_no_setting_shortened_that_it_leaves_alone(tmp_path: Path) -> None:
    shortened = settings_of({each.variable: each.value for each in SHORTENED}, tmp_path)

    changed = dict(shortened.describe()).items() - dict(settings_of({}, tmp_path).describe()).items()

    assert {name for name, _ in changed} == {each.name for each in SHORTENED}


def test_the_expiry_of_the_demo_is_the_shortest_there_is(tmp_path: Path) -> None:
    shortest = {"RELAY_REGISTRATIONS__EXPIRES_IN": f"PT{SHORTEST_EXPIRY}S"}

    assert settings_of(shortest, tmp_path).registrations.expires_in.total_seconds() == SHORTEST_EXPIRY
