"""RECEIVERS.md links tests: each row has one at least, and each is there."""

import ast
import re
from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parent
DOCUMENT: Final = (TESTS / "RECEIVERS.md").read_text()
ROW: Final = re.compile(r"^\|.*\|$", re.MULTILINE)
LINK: Final = re.compile(r"\[(test_\w+)\]\(([\w/]+\.py)\)")
ROWS: Final = [row for row in ROW.findall(DOCUMENT) if not row.startswith("| --- ")]
HEADS: Final = [row for row in ROWS if row.endswith("| test |")]


def defined(file: Path) -> set[str]:
    """The tests that pytest finds in a module."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.parse(file.read_text()).body if isinstance(node, functions)}


def test_there_are_tables_to_be_held_to_the_tests() -> None:
    assert [head.split("|")[1].strip() for head in HEADS] == ["weakness", "wish", "receiver", "moment"]


@pytest.mark.parametrize("row", [row for row in ROWS if row not in HEADS])
def test_every_row_links_a_test_that_there_is(row: str) -> None:
    what, done, tests = row.strip("|").split("|")

    links = LINK.findall(tests)

    assert what.strip()
    assert done.strip()
    assert ", ".join(f"[{name}]({path})" for name, path in links) == tests.strip()
    assert [name for name, path in links if name not in defined(TESTS / path)] == []
    assert links


def test_no_case_is_told_twice() -> None:
    told = [row.split("|")[1].strip() for row in ROWS]

    assert sorted(set(told)) == sorted(told)
