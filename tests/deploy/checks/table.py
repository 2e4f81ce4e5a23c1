"""The README's table of parameters, made from values.yaml: `python -m tests.deploy.checks.table`."""

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.deploy.chart import CHART
from tests.deploy.checks.steps import Looking, say
from tests.deploy.checks.tools import MODULES, npm_packages

README = CHART / "README.md"


def in_step() -> Looking:
    with TemporaryDirectory() as folder:
        copy = Path(shutil.copy(README, folder))
        wrong = _generated(copy)
        if wrong:
            yield wrong
        if copy.read_text() != README.read_text():
            yield "helm/README.md does not say what helm/values.yaml does: run `make chart-readme`"
    return "in step with values.yaml"


def _generated(readme: Path) -> str | None:
    """What values.yaml lacks, if anything."""
    node = shutil.which("node")
    assert node is not None
    generator = MODULES / "@bitnami" / "readme-generator-for-helm" / "bin" / "index.js"
    done = subprocess.run(
        [node, generator, "--values", CHART / "values.yaml", "--readme", readme],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode == 0:
        return None
    lines = (done.stdout + done.stderr).splitlines()
    return "\n".join(line for line in lines if line.startswith("ERROR")) or done.stderr


def main() -> int:
    wrong = next(npm_packages(), None) or _generated(README)
    if wrong:
        say(wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
