import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.requirements import Requirement

import relay

HOME: Final = Path(__file__).parents[1]
PYPROJECT: Final[dict[str, Any]] = tomllib.loads((HOME / "pyproject.toml").read_text())
RUNTIME: Final[list[str]] = PYPROJECT["project"]["dependencies"]
EXTRAS: Final[dict[str, list[str]]] = PYPROJECT["project"]["optional-dependencies"]
DEVELOPMENT: Final[list[str]] = PYPROJECT["dependency-groups"]["dev"]

REGISTRY: Final = re.compile(r"\b(pypi|pythonhosted|npmjs|yarnpkg|debian|crates|golang)[.](org|com|io)\b")
MACHINE_PATH: Final = re.compile(r"((?<![\w/.~})>-])|(?<=://))/(work|home|root|Users)/[\w.]")
SUPPRESSION: Final = re.compile(r"#\s*(noqa|type:\s*ignore|pragma:\s*no|fmt:\s*(off|skip))\b")
REASONED: Final = re.compile(
    r"#\s*(noqa: [A-Z]+\d+(, ?[A-Z]+\d+)*|type: ignore\[[\w, -]+\]|pragma: no (cover|branch))"
    r"\W+(?!(as|see|from|the \w+) (above|below|before|same)\b|the same\b)\w+ \w+"
)

IMPORT_EVERYTHING: Final = """
import importlib, pkgutil, relay
for module in pkgutil.walk_packages(relay.__path__, "relay."):
    if not module.name.startswith(("relay.__main__", "relay.storage.migrations.")):
        importlib.import_module(module.name)
"""


def committed() -> list[Path]:
    git = shutil.which("git")
    assert git is not None
    listed = subprocess.run([git, "ls-files", "-z"], cwd=HOME, check=True, capture_output=True, text=True)
    return [HOME / name for name in listed.stdout.split("\0") if name and (HOME / name).is_file()]


def found(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    return [
        f"{file.relative_to(HOME)}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), start=1)
        if pattern.search(line)
    ]


def locked(lock: str) -> dict[str, str]:
    pins = re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==([^\s;]+)", (HOME / lock).read_text(), re.MULTILINE)
    return dict(pins)


def test_no_committed_file_names_a_package_registry() -> None:
    assert found(REGISTRY, committed()) == []


def test_no_committed_file_names_a_path_of_somebodys_machine() -> None:
    assert found(MACHINE_PATH, committed()) == []


def test_every_rule_that_is_ignored_everywhere_or_in_some_files_has_its_reason_beside_it() -> None:
    lint = PYPROJECT["tool"]["ruff"]["lint"]
    section = (HOME / "pyproject.toml").read_text().split("[tool.ruff.lint]")[1].split("[tool.mypy]")[0]
    reasons = re.findall(r'^(?:"[^"]+" = \[)?\s*((?:"[A-Z]+\d*",? ?)+)\]? *# \w+ \w+', section, re.MULTILINE)

    explained = [rule for rules in reasons for rule in re.findall(r'"(\w+)"', rules)]

    ignored = [*lint["ignore"], *(rule for rules in lint["per-file-ignores"].values() for rule in rules)]
    assert explained == ignored


def test_every_suppression_in_the_code_has_its_reason_beside_it() -> None:
    sources = [file for file in committed() if file.suffix == ".py" and file != Path(__file__)]

    suppressed = found(SUPPRESSION, sources)

    assert [line for line in suppressed if not REASONED.search(line)] == []


def test_the_package_and_the_project_say_the_same_version() -> None:
    assert relay.__version__ == PYPROJECT["project"]["version"]


def test_every_module_can_be_imported_in_a_bare_environment_and_leaves_nothing_behind(tmp_path: Path) -> None:
    imported = subprocess.run(
        [sys.executable, "-I", "-W", "error::ResourceWarning", "-c", IMPORT_EVERYTHING],
        cwd=tmp_path,
        env={},
        check=False,
        capture_output=True,
        text=True,
    )

    assert (imported.returncode, imported.stdout, imported.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        pytest.param("requirements.txt", [*RUNTIME, *EXTRAS["postgres"], *EXTRAS["ed25519"]], id="runtime"),
        pytest.param(
            "requirements-dev.txt",
            [*RUNTIME, *(need for extra in EXTRAS.values() for need in extra), *DEVELOPMENT],
            id="development",
        ),
    ],
)
def test_the_lock_holds_what_the_project_asks_for(lock: str, wanted: list[str]) -> None:
    pins = locked(lock)

    asked = [Requirement(line) for line in wanted]

    assert [str(need) for need in asked if not need.specifier.contains(pins.get(need.name, "0"))] == []


def test_both_locks_agree() -> None:
    runtime, development = locked("requirements.txt"), locked("requirements-dev.txt")

    assert runtime.items() <= development.items()


def test_make_alone_lists_the_targets() -> None:
    make = shutil.which("make")
    assert make is not None

    listing = subprocess.run(
        [make, "-C", HOME, "--no-print-directory"],
        env={"PATH": os.defpath},
        check=True,
        capture_output=True,
        text=True,
    )

    targets = {line.split()[1] for line in listing.stdout.splitlines()}
    assert targets >= {"setup", "demo", "run", "test", "lint", "bench", "lock", "clean"}
