"""What the dashboard asks Prometheus."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from tests.deploy.chart import CHART

DASHBOARD: Final = CHART / "dashboards" / "relay.json"
_BY_GRAFANA: Final = {"$__rate_interval": "5m", "$namespace": "relay", "$service": "relay-operations"}


def panels() -> Iterator[dict[str, Any]]:  # Any: Grafana owns the shape
    yield from json.loads(DASHBOARD.read_text())["panels"]


def asked() -> dict[str, list[str]]:
    """By the panel's title, with Grafana's variables filled in."""
    return {
        panel["title"]: [_filled(target["expr"]) for target in panel["targets"]]
        for panel in panels()
        if "targets" in panel
    }


def metrics(expression: str) -> set[str]:
    """The relay's own that it names."""
    return set(re.findall(r"\brelay_[a-z_]+", re.sub(r'"[^"]*"', "", expression)))


def _filled(expression: str) -> str:
    for variable, value in _BY_GRAFANA.items():
        expression = expression.replace(variable, value)
    return expression
