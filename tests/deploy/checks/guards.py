"""Each refusal in the templates is reached by some values and says its words."""

import json
import re
from collections.abc import Iterator
from typing import Final

from tests.deploy.chart import CHART
from tests.deploy.checks.steps import Looking
from tests.deploy.checks.tools import HELMS
from tests.deploy.refusals import refusals

FAIL: Final = re.compile(r'\{\{-?\s*fail\s+\(?(?:printf\s+)?("(?:[^"\\]|\\.)*")')


def guards(template: str) -> Iterator[str]:
    """What each `fail` says, as a pattern."""
    for found in FAIL.finditer(template):
        words = re.split(r"%[a-z]", json.loads(found[1]))
        yield ".+".join(re.escape(each) for each in words)


def unread(template: str) -> int:
    """How many refusals are written in a way that `guards` does not read."""
    actions = " ".join(re.findall(r"\{\{(?!-? /\*)(.*?)\}\}", template, re.DOTALL))
    unquoted = re.sub(r'"(?:[^"\\]|\\.)*"', "", actions)
    return len(re.findall(r"(?<![.$\w])(?:fail|required)\b", unquoted)) - len(list(guards(template)))


def reach() -> Looking:
    known: dict[str, str] = {}
    for file in sorted((CHART / "templates").rglob("*.*")):
        text = file.read_text()
        if unread(text):
            yield f"{file.name} refuses in another way than by a fail with its words"
        known |= dict.fromkeys(guards(text), file.name)
    for helm in HELMS:
        reached: set[str] = set()
        for values, words in refusals():
            done = helm.run("template", "relay", str(CHART), "--values", "-", stdin=json.dumps(values))
            said = done.stderr.strip()
            if not done.returncode or not re.search(words.removeprefix("^"), said):
                yield f"Helm {helm.version} does not refuse {json.dumps(values)} with “{words}”: {said or 'it renders'}"
            reached |= {guard for guard in known if re.search(guard, said)}
        for guard in sorted(known.keys() - reached):
            words = re.sub(r"\\(.)", r"\1", guard).replace(".+", "…")
            yield f"{known[guard]}: no values in tests/deploy/refusals.py reach “{words}”"
    return f"{len(known)} reached by {len(list(refusals()))} values with each Helm"
