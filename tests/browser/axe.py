"""The rules of axe-core over a page as it stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from playwright.sync_api import Page

from tests.browser.relays import ROOT

SCRIPT: Final = ROOT / ".tools" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS: Final = frozenset({"serious", "critical"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    rule: str
    impact: str
    where: str
    what: str


def violations(page: Page) -> Sequence[Violation]:
    """Of every impact. The debugger brings the script in, which no policy of the page's forbids."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(SCRIPT.read_text())
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        Violation(
            rule=rule["id"],
            impact=rule["impact"],
            where=" ".join(map(str, node["target"])),
            what=node["failureSummary"].replace("\n", " "),
        )
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
