"""What the image promises, read from the Dockerfile."""

import json
import re

import pytest

from tests.deploy.dockerfile import ROOT, Instruction, instructions, shipped, values


@pytest.fixture
def final() -> list[Instruction]:
    return shipped()


def test_the_process_runs_as_a_numeric_user_that_is_not_root(final: list[Instruction]) -> None:
    [user] = values(final, "USER")

    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)


@pytest.mark.parametrize(("name", "words"), [("ENTRYPOINT", ["relay"]), ("CMD", ["serve"])])
def test_no_shell_stands_between_the_signal_and_the_process(
    final: list[Instruction], name: str, words: list[str]
) -> None:
    [command] = values(final, name)

    assert json.loads(command) == words


def test_health_is_asked_by_the_command_itself(final: list[Instruction]) -> None:
    [check] = values(final, "HEALTHCHECK")

    assert json.loads(check.partition("CMD ")[2]) == ["relay", "healthcheck"]


def test_a_health_check_has_time_for_both_of_its_ways(final: list[Instruction]) -> None:
    [check] = values(final, "HEALTHCHECK")

    # The quick question gives up after three seconds, and so does the thorough one after it.
    assert "--timeout=10s" in check.split()


def test_data_is_the_only_volume(final: list[Instruction]) -> None:
    assert values(final, "VOLUME") == ["/data"]
    assert values(final, "WORKDIR") == ["/data"]


def test_every_stage_stands_on_the_base_that_the_release_chooses() -> None:
    everything = instructions()

    assert everything[0] == ("ARG", "PYTHON_IMAGE=python:3.13-slim")
    assert {base.split()[0] for base in values(everything, "FROM")} == {"${PYTHON_IMAGE}"}


def test_every_installed_package_has_a_hash_and_no_build_of_its_own() -> None:
    [install] = [run for run in values(instructions(), "RUN") if "/pip " in run and " install " in run]

    assert {"--require-hashes", "--only-binary=:all:"} <= set(install.split())


def test_all_of_it_belongs_to_root(final: list[Instruction]) -> None:
    user = [name for name, _ in final].index("USER")

    assert [rest for name, rest in final[user:] if name in {"RUN", "COPY", "ADD"}] == []


def test_only_what_is_listed_enters_the_build() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [
        rest.split()[0] for name, rest in instructions() if name == "COPY" and not rest.startswith("--from")
    ]

    assert lines[0] == "*"
    assert [line[1:] for line in lines if line.startswith("!")] == copied


@pytest.mark.parametrize("unsupported", ["<<", "--link", "--network=", "# syntax=", "RUN --mount"])
def test_docker_and_buildah_both_build_it(unsupported: str) -> None:
    assert unsupported not in (ROOT / "Dockerfile").read_text()
