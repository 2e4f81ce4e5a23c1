"""`make alerts`: promtool reads the rules that Helm renders, and each alert fires when it should and not just below."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from relay.clock import system_clock
from relay.domain.instants import Span, seconds
from tests.deploy.alerts import expressions, promtool
from tests.deploy.alerts.cases import ALL_UP, CASES, STEP
from tests.deploy.chart import CHART, Manifest, objects, only
from tests.deploy.checks.steps import Looking, passed, say
from tests.deploy.checks.tools import HELM_4, npm_packages

VALUES: Final = CHART / "ci" / "monitoring-values.yaml"
LATER: Final = 600
"""Seconds after which it still fires alone."""
FIRING: Final = 'count by (alertname) (ALERTS{alertstate="firing"})'


def rules() -> Manifest:
    done = HELM_4.run("template", "relay", str(CHART), "--namespace", "relay", "--values", str(VALUES))
    assert done.returncode == 0, done.stderr
    found: Manifest = only("PrometheusRule", objects({"templates.yaml": done.stdout}))["spec"]
    return found


def unit_test(series: dict[str, str], firing: Mapping[int, str | None]) -> dict[str, Any]:
    """Of promtool: which alert alone fires, if any, at each instant in seconds."""
    return {
        "interval": f"{STEP}s",
        "input_series": [{"series": name, "values": values} for name, values in (ALL_UP | series).items()],
        "promql_expr_test": [
            {
                "expr": FIRING,
                "eval_time": f"{at}s",
                "exp_samples": [] if alert is None else [{"labels": f'{{alertname="{alert}"}}', "value": 1}],
            }
            for at, alert in firing.items()
        ],
    }


def unit_tests() -> Iterator[dict[str, Any]]:
    for case in CASES:
        yield unit_test(case.fires, {case.at - STEP: None, case.at: case.alert, case.at + LATER: case.alert})
        yield unit_test(case.quiet, dict.fromkeys(range(0, 3_600, 60)))


def alerts() -> Looking:
    spec = rules()
    names = {rule["alert"] for group in spec["groups"] for rule in group["rules"]}
    untested = names ^ {case.alert for case in CASES}
    if untested:
        yield f"tests/deploy/alerts/cases.py and the rules differ in {', '.join(sorted(untested))}"
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rules.yaml").write_text(json.dumps(spec))
        tests = {
            "rule_files": ["rules.yaml"],
            "evaluation_interval": f"{STEP}s",
            "tests": list(unit_tests()),
        }
        (folder / "tests.yaml").write_text(json.dumps(tests))
        for arguments in (("check", "rules", "rules.yaml"), ("test", "rules", "tests.yaml")):
            wrong = promtool.wrong_with(folder, *arguments)
            if wrong:
                yield wrong
    return f"{len(names)}, each fires alone when it should, and neither a step earlier nor just below"


def dashboard() -> Looking:
    asked = [each for panel in expressions.asked().values() for each in panel]
    recorded = [{"record": f"panel:{number}", "expr": each} for number, each in enumerate(asked)]
    with TemporaryDirectory() as name:
        folder = Path(name)
        groups = {"groups": [{"name": "dashboard", "rules": recorded}]}
        (folder / "dashboard.yaml").write_text(json.dumps(groups))
        wrong = promtool.wrong_with(folder, "check", "rules", "dashboard.yaml")
        if wrong:
            yield wrong
    return f"{len(asked)} expressions"


def main() -> int:
    clock = system_clock()
    began = clock.now()
    stages = [
        {"npm packages": npm_packages, "promtool": promtool.at_hand},
        {"alerts": alerts, "dashboard": dashboard},
    ]
    is_well = all(passed(steps, clock, say) for steps in stages)
    say(f"make alerts: {'well' if is_well else 'ended'} after {seconds(Span(clock.now() - began)):.0f} s")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
