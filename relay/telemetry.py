"""What the relay says about itself: log lines and Prometheus instruments. No label ever holds what a caller chose."""

import json
import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, Literal, TextIO

import orjson
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

LogFormat = Literal["auto", "json", "console"]

_FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_SLOW: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200, 36_000, 86_400)
_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)


class Metrics:
    """The instruments, on a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        self.build_info = gauge("build_info", "1, with what runs here.", "version", "role")
        self.not_ready = gauge("not_ready", "1 for each reason not to be ready.", "reason")
        self.registrations = counter(
            "registrations", "Registrations asked for, by what became of them.", "result"
        )
        self.polls = counter("polls", "Status requests to CAMB, by what they came to.", "kind", "result")
        self.polls_saved = counter(
            "polls_saved", "Polls that registrations sharing a task did not cost, counted when it ends."
        )
        self.unknown_statuses = counter(
            "unknown_statuses", "Status words that are not known, each counted once by each process."
        )
        self.lane_pauses = counter(
            "lane_pauses", "Answers that paused a CAMB key or a callback origin.", "of"
        )
        self.announced = counter("events", "Events made, by type.", "type")
        self.detection_window = histogram(
            "detection_window_seconds", "From the last poll that saw a task pending to its end.", _SLOW
        )
        self.attempts = counter("attempts", "Tries to deliver, by outcome.", "outcome")
        self.delivery_latency = histogram(
            "delivery_latency_seconds", "From the event to the answer that accepted it.", _SLOW
        )
        self.dead = counter("deliveries_dead", "Deliveries given up, by reason.", "reason")
        self.standing_dead = gauge("dead", "Registrations that are dead, by reason.", "reason")
        self.replays = gauge("replays", "Replays that are open, by state.", "state")
        self.replayed = counter("replayed", "Registrations that replays have sent again.")
        self.attempt_logs_lost = counter("attempt_logs_lost", "Attempts recorded without a row in their log.")
        self.commit_seconds = histogram("commit_seconds", "Time of one group commit.", _FAST, "writes")
        self.commit_size = histogram("commit_size", "Writes in one group commit.", _SIZES, "writes")
        self.commit_failures = counter(
            "commit_failures", "Group commits that the database refused.", "writes"
        )
        self.errors = counter("errors", "Rows or ticks that failed by a fault of the relay's own.", "work")
        self.due = gauge("due", "Rows that are due and not yet claimed.", "queue")
        self.due_age = gauge("due_oldest_age_seconds", "Age of the row that is due for longest.", "queue")
        self.origins = gauge("origins", "Callback origins that are held back, by state.", "state")
        self.waiting_for_origin = gauge(
            "waiting_for_origin", "Deliveries that are due and wait for their origin's pause to end."
        )
        self.keys_paused = gauge(
            "keys_paused", "CAMB keys that were paused and have not answered well since."
        )
        self.held = gauge("held", "Lanes with unfinished work of clients that are not configured.", "queue")
        self.spans = counter("spans", "Spans of traces, by what became of them.", "result")
        self.in_flight = gauge("in_flight", "Requests under way.", "queue")
        self.clock_skew = gauge("clock_skew_seconds", "How far the reference clock is ahead of the relay's.")
        self.clock_halted = gauge("clock_halted", "1 while the reference clock is not believed.")
        self.watching_under_terminal = gauge(
            "watching_under_terminal", "Registrations found waiting for a task that had ended."
        )

    def exposition(self) -> bytes:
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"relay_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"relay_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"relay_{name}", text, labels, registry=self.registry, buckets=buckets)


EXPOSITION_TYPE: Final = CONTENT_TYPE_LATEST

_SHOW_LOCALS: Final = False  # the locals of a frame hold keys, callback URLs and bodies
_JSON_TRACEBACKS: Final = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=_SHOW_LOCALS)
)


def configure_logging(format_: LogFormat, level: str, stream: TextIO | None = None) -> None:
    """One line an event: JSON, or coloured columns on a terminal. What libraries log goes the same way."""
    out = stream or sys.stderr
    as_json = format_ == "json" or (format_ == "auto" and not out.isatty())
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.types.Processor] = (
        [_JSON_TRACEBACKS, structlog.processors.JSONRenderer(serializer=_json)]
        if as_json
        else [_console(colors=out.isatty())]
    )
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    # What strangers send is no news to the operator, and a tick that is still under way is left alone on purpose.
    for noisy in ("uvicorn", "apscheduler"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING), force=True)


def _console(*, colors: bool) -> structlog.dev.ConsoleRenderer:
    tracebacks = structlog.dev.RichTracebackFormatter(
        color_system="truecolor" if colors else None, show_locals=_SHOW_LOCALS
    )
    return structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=tracebacks)


def _json(event: MutableMapping[str, Any] | Mapping[str, Any], **_: object) -> str:
    try:
        return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:  # half a surrogate pair, an integer past 64 bits: a log line never fails
        return json.dumps(event, default=str, skipkeys=True)
