"""Custom resources key by key, by the types and the bounds of their definitions, as npm packages have them.

TypeScript knows which keys a type has, at any depth, and the models' own validators know patterns and bounds.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from tests.deploy.chart import CUSTOM, Manifest
from tests.deploy.checks.renders import Rendered
from tests.deploy.checks.steps import Looking
from tests.deploy.checks.tools import HERE, KEPT, MODULES

MODELS: Final = "@kubernetes-models"
FREE: Final = frozenset({"annotations", "labels", "matchLabels"})
"""Maps whose keys are anybody's; those of a ScaledObject's trigger are the scaler's."""
STRICT: Final = (
    *("--noEmit", "--strict", "--skipLibCheck", "--pretty", "false"),
    *("--module", "nodenext", "--target", "es2022"),
)

Keys = tuple[str | int, ...]


def hold(renders: Sequence[Rendered]) -> Looking:
    objects = {
        json.dumps(manifest): f"{rendered.shape}, {manifest['kind']} {manifest['metadata']['name']}"
        for rendered in renders
        for manifest in rendered.manifests()
        if manifest["kind"] in CUSTOM
    }
    manifests = [json.loads(text) for text in objects]
    for manifest, what in zip(manifests, objects.values(), strict=True):
        if module(manifest) is None:
            yield f"{what}: no model of {manifest['apiVersion']} is at hand"
    for what, wrong in zip(objects.values(), judged(manifests), strict=True):
        if wrong:
            yield f"{what}: {wrong}"

    wrongly = [(manifest, keys) for manifest in manifests for keys in known(manifest)]
    refused = judged([misspelt(manifest, keys) for manifest, keys in wrongly])
    for (manifest, keys), refusal in zip(wrongly, refused, strict=True):
        if not refusal:
            yield f"a misspelt key beside {'.'.join(map(str, keys))} of a {manifest['kind']} would pass"
    kinds = ", ".join(sorted({manifest["kind"] for manifest in manifests}))
    return f"{len(manifests)} objects ({kinds}), and each of {len(wrongly)} misspelt keys refused"


def judged(manifests: Sequence[Manifest]) -> list[str]:
    """What is wrong with each, or nothing."""
    by_type, by_bounds = _typed(manifests), _bounded(manifests)
    return [typed or bounded for typed, bounded in zip(by_type, by_bounds, strict=True)]


def module(manifest: Manifest) -> str | None:
    """Where its model is, to be imported."""
    found = next(MODULES.glob(f"{MODELS}/*/{manifest['apiVersion']}/{manifest['kind']}.d.ts"), None)
    return None if found is None else str(found.relative_to(MODULES)).removesuffix(".d.ts")


def known(manifest: Manifest) -> Iterator[Keys]:
    """The keys that the definition of its kind must know."""
    for keys in _paths(manifest):
        parents = keys[:-1]
        if not FREE & set(parents) and not ("triggers" in parents and "metadata" in parents):
            yield keys


def _paths(value: Any, keys: Keys = ()) -> Iterator[Keys]:  # noqa: ANN401 - a manifest is JSON of any shape
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        if isinstance(key, str):
            yield (*keys, key)
        yield from _paths(each, (*keys, key))


def misspelt(manifest: Manifest, keys: Keys) -> Manifest:
    """The same with another key beside that one."""
    changed = holder = deepcopy(manifest)
    for key in keys[:-1]:
        holder = holder[key]  # type: ignore[index]  # a list takes the numbers among the keys
    holder[f"{keys[-1]}x"] = deepcopy(holder[keys[-1]])  # type: ignore[index]  # the last is a dict's key
    return changed


def _typed(manifests: Sequence[Manifest]) -> list[str]:
    source = KEPT / "customs.ts"
    source.write_text("".join(f"{_line(number, each)}\n" for number, each in enumerate(manifests)))
    compiler = MODULES / "typescript" / "bin" / "tsc"
    said = _node(str(compiler), *STRICT, str(source))
    wrong: dict[int, str] = {}
    for line, words in re.findall(r"^\S*customs\.ts\((\d+),\d+\): error \w+: (.*)$", said, re.MULTILINE):
        wrong.setdefault(int(line) - 1, words)
    assert wrong or not said.strip(), said
    return [wrong.get(number, "") for number in range(len(manifests))]


def _line(number: int, manifest: Manifest) -> str:
    kind = manifest["kind"]
    imported = f'import type {{ I{kind} as T{number} }} from "{module(manifest)}"'
    return f"{imported}; export const o{number}: T{number} = {json.dumps(manifest)};"


def _bounded(manifests: Sequence[Manifest]) -> list[str]:
    program = Path(shutil.copy(HERE / "customs.mjs", KEPT))  # where its imports are found
    objects = [(module(each), each["kind"], each) for each in manifests]
    told: list[str] = json.loads(_node(str(program), stdin=json.dumps(objects)))
    return told


def _node(*arguments: str, stdin: str = "") -> str:
    node = shutil.which("node")
    assert node is not None
    done = subprocess.run(
        [node, *arguments],
        cwd=KEPT,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert not done.stderr, done.stderr
    return done.stdout
