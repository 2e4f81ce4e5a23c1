"""Each alert with series that make it fire, and with the nearest ones that do not."""

from dataclasses import dataclass
from typing import Final

OF: Final = 'namespace="relay",service="relay-camb-relay-operations"'
STEP: Final = 30
"""Seconds between two samples and between two evaluations, as the chart's interval."""
ONCE_A_MINUTE: Final = " ".join(str((sample + 1) // 2) for sample in range(121))
ALL_UP: Final = {f'up{{{OF},pod="relay-{number}"}}': "1x120" for number in range(3)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Series in promtool's notation; `at` is when it fires, in seconds. A step earlier it does not."""

    alert: str
    fires: dict[str, str]
    quiet: dict[str, str]
    at: int


def series(metric: str, values: str, **labels: str) -> dict[str, str]:
    own = "".join(f',{name}="{value}"' for name, value in labels.items())
    return {f'{metric}{{{OF},pod="relay-0"{own}}}': values}


def _commits(quick: int, all_of_them: int) -> dict[str, str]:
    """So many a step within a quarter of a second, and so many in all."""
    bounds = {"0.1": quick, "0.25": quick, "0.5": all_of_them, "+Inf": all_of_them}
    found: dict[str, str] = {}
    for bound, count in bounds.items():
        found |= series("relay_commit_seconds_bucket", f"0+{count}x120", writes="polls", le=bound)
    return found


CASES: Final = (
    Case(
        alert="RelayDown",
        fires=dict.fromkeys(ALL_UP, "0x120"),
        quiet=dict.fromkeys(ALL_UP, "0x5 1x114"),
        at=180,
    ),
    Case(
        alert="RelayReplicasMissing",
        fires=ALL_UP | series("up", "0x120"),
        quiet=ALL_UP | series("up", "0x19 1x100"),
        at=600,
    ),
    Case(
        alert="RelayNotReady",
        fires=series("relay_not_ready", "1x120", reason="tasks"),
        quiet=series("relay_not_ready", "1x9 0x110", reason="deliveries")
        | series("relay_not_ready", "1x120", reason="tasks")
        | series("relay_not_ready", "1x120", reason="draining"),
        at=300,
    ),
    Case(
        alert="RelayDatabaseLost",
        fires=series("relay_not_ready", "1x120", reason="database")
        | series("relay_not_ready", "1x120", reason="tasks"),
        quiet=series("relay_not_ready", "1x1 0x118", reason="database"),
        at=60,
    ),
    Case(
        alert="RelayDeliveriesBehind",
        fires=series("relay_due_oldest_age_seconds", "301x120", queue="deliveries"),
        quiet=series("relay_due_oldest_age_seconds", "300x120", queue="deliveries"),
        at=300,
    ),
    Case(
        alert="RelayPollsBehind",
        fires=series("relay_due_oldest_age_seconds", "301x120", queue="tasks"),
        quiet=series("relay_due_oldest_age_seconds", "300x120", queue="tasks"),
        at=900,
    ),
    Case(
        alert="RelayDeliveriesDead",
        fires=series("relay_deliveries_dead_total", "0x9 1x110", reason="gone"),
        quiet=series("relay_deliveries_dead_total", "7x120", reason="gone"),
        at=300,
    ),
    Case(
        alert="RelayKeyUnauthorized",  # refused once a minute; and once, then answered
        fires=series("relay_polls_total", ONCE_A_MINUTE, result="unauthorized"),
        quiet=series("relay_polls_total", "0 1x119", result="unauthorized"),
        at=330,
    ),
    Case(
        alert="RelayKeyPaused",
        fires=series("relay_keys_paused", "1x120"),
        quiet=series("relay_keys_paused", "1x29 0 1x29 0x60"),
        at=900,
    ),
    Case(alert="RelayCommitsSlow", fires=_commits(89, 100), quiet=_commits(90, 100), at=630),
    Case(
        alert="RelayClockSkewed",
        fires=series("relay_clock_skew_seconds", "-5.1x120"),
        quiet=series("relay_clock_skew_seconds", "-5x120"),
        at=300,
    ),
    Case(
        alert="RelayClockHalted",
        fires=series("relay_clock_halted", "1x120"),
        quiet=series("relay_clock_halted", "1x1 0x118"),
        at=60,
    ),
)
