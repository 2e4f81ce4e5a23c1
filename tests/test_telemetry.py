import io
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import structlog
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from relay.telemetry import EXPOSITION_TYPE, LogFormat, Metrics, configure_logging

CANARY = "whsec_" + "canary" * 4
ESCAPE = "\x1b["


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Logging is the process's own: what a test configures is taken back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@dataclass
class Fault:
    secret: str

    def happens(self) -> None:
        api_key = self.secret
        raise LookupError(f"{len(api_key)} characters")


def lines(stream: io.StringIO) -> list[dict[str, Any]]:  # Any: JSON as an operator's tool reads it
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_of_json_with_its_level_and_its_time() -> None:
    out = io.StringIO()
    configure_logging("json", "info", out)

    structlog.get_logger().info("delivery.attempted", registration="reg_1", tries=2)

    (line,) = lines(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "delivery.attempted",
        "level": "info",
        "registration": "reg_1",
        "tries": 2,
    }


@pytest.mark.parametrize(
    ("format_", "stream", "as_json"),
    [
        ("auto", io.StringIO, True),
        ("auto", Terminal, False),
        ("json", io.StringIO, True),
        ("json", Terminal, True),
        ("console", io.StringIO, False),
        ("console", Terminal, False),
    ],
)
def test_a_person_at_a_terminal_reads_columns_and_a_machine_json(
    format_: LogFormat, stream: type[io.StringIO], *, as_json: bool
) -> None:
    out = stream()
    configure_logging(format_, "info", out)

    structlog.get_logger().info("relay.started", role="all")

    assert out.getvalue().startswith("{") is as_json
    assert (ESCAPE in out.getvalue()) is (out.isatty() and not as_json)
    assert "relay.started" in out.getvalue()


def test_without_a_stream_the_log_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "info")

    structlog.get_logger().info("relay.started")

    captured = capsys.readouterr()
    assert captured.out == ""
    assert "relay.started" in captured.err


@pytest.mark.parametrize(
    ("level", "told"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("WARNING", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_only_what_is_as_grave_as_the_level_is_told(level: str, told: list[str]) -> None:
    out = io.StringIO()
    configure_logging("json", level, out)
    log = structlog.get_logger()

    log.debug("x")
    log.info("x")
    log.warning("x")
    log.error("x")

    assert [line["level"] for line in lines(out)] == told


@pytest.mark.parametrize(
    ("level", "told"), [("debug", ["warning", "error"]), ("info", ["warning", "error"]), ("error", ["error"])]
)
def test_libraries_are_heard_from_a_warning_on_in_the_same_form(level: str, told: list[str]) -> None:
    out = io.StringIO()
    configure_logging("json", level, out)
    library = logging.getLogger("some.library")

    library.debug("chatter")
    library.info("chatter")
    library.warning("it is %s", "odd")
    library.error("it is %s", "odd")

    assert [line["level"] for line in lines(out)] == told
    assert all(line["event"] == "it is odd" and line["timestamp"].endswith("Z") for line in lines(out))


def test_what_is_bound_to_a_request_is_on_each_of_its_lines() -> None:
    out = io.StringIO()
    configure_logging("json", "info", out)

    with structlog.contextvars.bound_contextvars(request_id="req_1"):
        structlog.get_logger().info("inside")
        logging.getLogger("some.library").warning("inside")
    structlog.get_logger().info("outside")

    assert [line.get("request_id") for line in lines(out)] == ["req_1", "req_1", None]


def test_a_line_that_was_configured_anew_goes_to_the_new_stream_once() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logging("json", "info", first)

    configure_logging("json", "info", second)
    logging.getLogger("some.library").warning("once")

    assert first.getvalue() == ""
    assert len(lines(second)) == 1


@pytest.mark.parametrize("format_", ["json", "console"])
@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_a_traceback_names_the_fault_and_where_and_shows_nothing_that_was_held_there(
    format_: LogFormat, stream: type[io.StringIO]
) -> None:
    out = stream()
    configure_logging(format_, "info", out)

    try:
        Fault(CANARY).happens()
    except LookupError:
        structlog.get_logger().exception("row.failed")
        logging.getLogger("some.library").exception("row failed")

    told = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert told.count("LookupError") >= 2
    assert told.count("happens") >= 2
    assert "30 characters" in told
    assert CANARY not in told
    assert (ESCAPE in out.getvalue()) is (out.isatty() and format_ == "console")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("\0\x1b[31m\r\n\u2028", id="control characters"),
        pytest.param("\ud800", id="half a surrogate pair"),
        pytest.param(2**70, id="an integer past 64 bits"),
        pytest.param(b"\xff\x00", id="bytes"),
        pytest.param({1: "a", None: "b"}, id="keys that are no text"),
        pytest.param({2**70: "a"}, id="a key past 64 bits"),
        pytest.param({(1, 2): "a"}, id="a key that is a tuple"),
        pytest.param(float("nan"), id="NaN"),
        pytest.param({1, 2}, id="a set"),
        pytest.param(ValueError("odd"), id="an exception"),
        pytest.param(object, id="a class"),
    ],
)
def test_no_field_makes_a_log_line_fail_or_breaks_it_in_two(value: object) -> None:
    out = io.StringIO()
    configure_logging("json", "info", out)

    structlog.get_logger().info("odd", value=value)
    structlog.get_logger().info("next")

    assert [line for line in out.getvalue().splitlines() if '"next"' in line]
    assert len(out.getvalue().split("\n")) == 3


LABELS: dict[str, tuple[str, ...]] = {
    "build_info": ("version", "role"),
    "not_ready": ("reason",),
    "registrations": ("result",),
    "polls": ("kind", "result"),
    "polls_saved": (),
    "unknown_statuses": (),
    "lane_pauses": ("of",),
    "announced": ("type",),
    "detection_window": (),
    "attempts": ("outcome",),
    "delivery_latency": (),
    "dead": ("reason",),
    "standing_dead": ("reason",),
    "replays": ("state",),
    "replayed": (),
    "origins": ("state",),
    "waiting_for_origin": (),
    "keys_paused": (),
    "attempt_logs_lost": (),
    "commit_seconds": ("writes",),
    "commit_size": ("writes",),
    "commit_failures": ("writes",),
    "errors": ("work",),
    "due": ("queue",),
    "due_age": ("queue",),
    "held": ("queue",),
    "in_flight": ("queue",),
    "spans": ("result",),
    "clock_skew": (),
    "clock_halted": (),
    "watching_under_terminal": (),
}


def test_every_instrument_is_named_by_the_fields_conventions_and_explained() -> None:
    metrics = Metrics()

    for family in metrics.registry.collect():
        assert family.name.startswith("relay_")
        assert family.documentation.endswith(".")
        assert not family.name.endswith(("_ms", "_milliseconds", "_total", "_count"))
        assert "seconds" not in family.name or family.name.endswith("_seconds")


def test_every_instrument_there_is_can_be_scraped() -> None:
    metrics = Metrics()
    instruments = [item for item in vars(metrics).values() if isinstance(item, (Counter, Gauge, Histogram))]

    exposed = metrics.exposition().decode()

    families = {family.name for family in text_string_to_metric_families(exposed)}
    described = {family.name for item in instruments for family in item.describe()}
    assert described - {name for name in described if name.endswith("_created")} <= families
    assert EXPOSITION_TYPE.startswith("text/plain; version=")


def test_no_label_holds_what_a_caller_chose() -> None:
    instruments = vars(Metrics()).items()

    labels = {
        name: instrument._labelnames  # noqa: SLF001 - the library names its labels nowhere else
        for name, instrument in instruments
        if name != "registry"
    }

    assert labels == LABELS


def test_each_relay_counts_on_instruments_of_its_own() -> None:
    one, other = Metrics(), Metrics()

    one.polls.labels("dub", "pending").inc()
    one.watching_under_terminal.set(3)

    assert one.registry.get_sample_value("relay_polls_total", {"kind": "dub", "result": "pending"}) == 1
    assert b'relay_polls_total{kind="dub",result="pending"} 1.0' in one.exposition()
    assert other.registry.get_sample_value("relay_polls_total", {"kind": "dub", "result": "pending"}) is None
    assert other.registry.get_sample_value("relay_watching_under_terminal") == 0


@pytest.mark.parametrize(
    ("family", "labels", "most"),
    [
        ("relay_detection_window_seconds", {}, "60.0"),
        ("relay_delivery_latency_seconds", {}, "86400.0"),
        ("relay_commit_size", {"writes": "polls"}, "1000.0"),
    ],
)
def test_the_buckets_reach_as_far_as_the_bounds_of_the_product(
    family: str, labels: dict[str, str], most: str
) -> None:
    metrics = Metrics()
    metrics.detection_window.observe(60)
    metrics.delivery_latency.observe(86_400)
    metrics.commit_size.labels("polls").observe(1_000)

    bucket = labels | {"le": most}

    assert metrics.registry.get_sample_value(f"{family}_bucket", bucket) == 1
