"""checkov over what each shape renders to, but for what is left out with a reason."""

import json
import subprocess
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.deploy.checks.renders import Rendered
from tests.deploy.checks.steps import Looking
from tests.deploy.checks.tools import CHECKOV


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    check: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    check: str
    kind: str
    says: str
    where: str


def _of(check: str, kinds: Sequence[str], reason: str) -> Iterator[Skip]:
    return (Skip(check=check, kind=kind, reason=reason) for kind in kinds)


SERVING: Final = ("Deployment", "Job", "Pod")
SKIPS: Final = (
    *_of(
        "CKV_K8S_11",
        SERVING,
        "a limit of the CPU throttles a pod while it drains; requests share the CPU fairly",
    ),
    *_of("CKV_K8S_15", SERVING, "tags are versions and never move; an upgrade must not need the registry"),
    *_of("CKV_K8S_43", SERVING, "the release's digest is its operator's to set: image.digest"),
    *_of(
        "CKV_K8S_35",
        ("Deployment", "Job"),
        "a pod must not start without its database's URL, and a missing file stops none; the rest are files",
    ),
    *_of("CKV_K8S_8", ("Pod",), "the test asks once and ends"),
    *_of("CKV_K8S_9", ("Pod",), "the test asks once and ends; nothing is led to it"),
)


def hold(renders: Sequence[Rendered]) -> Looking:
    with TemporaryDirectory() as folder:
        for rendered in renders:
            (Path(folder) / f"{rendered.shape}-{rendered.kubernetes}.yaml").write_text(rendered.text)
        done = subprocess.run(
            [
                str(CHECKOV / "bin" / "python"),
                *("-m", "checkov.main", "--directory", folder, "--framework", "kubernetes"),
                *("--compact", "--quiet", "--skip-download", "--output", "json"),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    if not done.stdout.startswith("{"):
        yield f"checkov gave no report: {done.stdout}{done.stderr}"
    report = json.loads(done.stdout)
    if report["summary"]["parsing_errors"]:
        yield f"checkov cannot read {report['results']['parsing_errors']}"
    failed = [
        Failed(
            check=each["check_id"],
            kind=each["resource"].split(".")[0],
            says=each["check_name"],
            where=f"{each['file_path'].strip('/').removesuffix('.yaml')}, {each['resource']}",
        )
        for each in report["results"]["failed_checks"]
    ]
    yield from against(failed, SKIPS)
    return (
        f"{report['summary']['passed']} passed in {len(renders)} renders, {len(SKIPS)} left out with a reason"
    )


def against(failed: Sequence[Failed], skips: Collection[Skip]) -> Iterator[str]:
    excused = {(skip.check, skip.kind) for skip in skips}
    for each in failed:
        if (each.check, each.kind) not in excused:
            yield f"{each.where}: {each.check}: {each.says}"
    for check, kind in sorted(excused - {(each.check, each.kind) for each in failed}):
        yield f"{check} is left out for each {kind}, and none fails it: take it off the list"
