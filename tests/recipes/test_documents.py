"""What the READMEs show and name is what the tests run."""

import re
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
HOME: Final = HERE.parents[1]
SECTION: Final = re.compile(r"^## Receive and verify$(.*?)^## ", re.MULTILINE | re.DOTALL)
BLOCK: Final = re.compile(r"^```(?:python|javascript)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"\]\(([\w./]+)\)")
OURS: Final = {"__init__.py", "conftest.py", "inboxes.py", "receivers.py", "relaying.py"}


def shown() -> list[str]:
    section = SECTION.search((HOME / "README.md").read_text())
    assert section is not None
    return BLOCK.findall(section[1])


def recipes() -> set[str]:
    files = {
        *HERE.glob("*.py"),
        *HERE.glob("*/*.py"),
        *HERE.glob("*.mjs"),
        *HERE.glob("*.sh"),
        *HERE.glob("*.sql"),
    }
    names = {str(file.relative_to(HERE)) for file in files if file.name not in OURS}
    return {name for name in names if not name.startswith("test_")}


@pytest.mark.parametrize("block", shown(), ids=lambda block: block.split("\n")[0])
def test_what_the_readme_shows_is_part_of_a_recipe(block: str) -> None:
    assert any(block in (HERE / name).read_text() for name in recipes())


def test_the_readme_shows_both_languages_and_both_schemes() -> None:
    assert len(shown()) == 4


def test_every_recipe_is_named() -> None:
    linked = {link.removeprefix("receive_django/") for link in LINK.findall((HERE / "README.md").read_text())}

    assert {name.removeprefix("receive_django/") for name in recipes()} <= linked
