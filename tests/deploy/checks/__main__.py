"""`make chart`: everything that must hold of the chart without a cluster, with what each step took."""

import sys

from relay.clock import system_clock
from relay.domain.instants import Span, seconds
from tests.deploy.chart import KUBERNETES
from tests.deploy.checks import customs, guards, policy, renders, schemas, table, tools, typos
from tests.deploy.checks.renders import Rendered
from tests.deploy.checks.steps import passed, say


def main() -> int:
    clock = system_clock()
    began = clock.now()
    rendered: list[Rendered] = []
    stages = [
        {"npm packages": tools.npm_packages, "checkov's environment": tools.checkov},
        {"lint": renders.lint, "renders": lambda: renders.render(rendered.append)},
        {
            "policy": lambda: policy.hold([each for each in rendered if each.kubernetes == KUBERNETES[-1]]),
            "templates": lambda: renders.covered(rendered),
            "schemas": lambda: schemas.hold(rendered),
            "custom resources": lambda: customs.hold(rendered),
            "guards": guards.reach,
            "typos": typos.refuse,
            "an older Kubernetes": renders.older,
            "README": table.in_step,
        },
    ]
    is_well = all(passed(steps, clock, say) for steps in stages)
    say(f"make chart: {'well' if is_well else 'ended'} after {seconds(Span(clock.now() - began)):.0f} s")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
