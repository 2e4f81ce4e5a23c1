"""The schema. Instants are integer microseconds; what strangers wrote is binary, for a NUL byte must not fail an outcome.

Queue tables (`tasks`, `deliveries`) are narrow: reports and bodies live elsewhere. A row stands in its queue while `next_at` is
set; a claim moves `next_at` to the lease's end, so that one index answers "what is due" and an abandoned lease is due by itself.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    Table,
    Text,
    text,
)

AnyRow = Row[*tuple[Any, ...]]

metadata: Final = MetaData()

# Keys compare by bytes on both databases: the order of locks must not depend on a server's locale.
Key: Final = Text().with_variant(Text(collation="C"), "postgresql")


def _index(name: str, *columns: str, where: str | None = None, unique: bool = False) -> Index:
    condition = None if where is None else text(where)
    return Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


clients: Final = Table(
    "clients",
    metadata,
    Column("name", Key, primary_key=True),
    Column("last_position", BigInteger, nullable=False),
    # The highest position of an event that retention has dropped: all beyond it are there.
    Column("pruned_to", BigInteger, nullable=False, server_default=text("0")),
)

tasks: Final = Table(
    "tasks",
    metadata,
    Column("ref", Key, primary_key=True),
    Column("client", Key, nullable=False),
    Column("kind", Text, nullable=False),
    Column("task_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("next_at", BigInteger),
    Column("leased_until", BigInteger),
    Column("fence", BigInteger, nullable=False),
    Column("paced_from", BigInteger, nullable=False),
    Column("polls", Integer, nullable=False),
    # 404s so far, and how many of them came before the last other answer.
    Column("not_found", Integer, nullable=False),
    Column("not_found_before", Integer, nullable=False),
    Column("last_other_at", BigInteger),
    # The earliest expiry that the next poll begun after it decides on.
    Column("verdict_from", BigInteger),
    Column("last_poll_at", BigInteger),
    Column("last_poll_result", Text),
    Column("last_poll_http_status", Integer),
    Column("last_pending_at", BigInteger),
    Column("first_terminal_at", BigInteger),
    _index("ix_tasks_due", "client", "next_at", where="next_at IS NOT NULL"),
)

reports: Final = Table(
    "reports",
    metadata,
    Column("task", Key, ForeignKey("tasks.ref"), primary_key=True),
    Column("status", LargeBinary),
    Column("run_id", BigInteger),
    Column("payload", LargeBinary, nullable=False),
)

registrations: Final = Table(
    "registrations",
    metadata,
    Column("id", Key, primary_key=True),
    Column("task", Key, ForeignKey("tasks.ref"), nullable=False),
    Column("client", Key, nullable=False),
    # Both are empty where the event is pulled only.
    Column("callback_url", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("metadata", LargeBinary, nullable=False),
    Column("expires_in", Integer),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    # The expiry queue: `expires_at` at first, then the latest moment to wait for a poll; null once it is over.
    Column("verdict_at", BigInteger),
    # The task's 404s that came before this registration.
    Column("not_found_before", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("identity", LargeBinary),
    Column("closed_at", BigInteger),
    # Where in its caller's trace it stands.
    Column("traceparent", Text),
    Column("tracestate", Text),
    _index("uq_registrations_identity", "identity", unique=True),
    _index("ix_registrations_task", "task"),
    _index("ix_registrations_client", "client", "id"),
    _index("ix_registrations_state", "client", "state", "id"),
    _index("ix_registrations_verdict", "client", "verdict_at", where="verdict_at IS NOT NULL"),
    _index("ix_registrations_closed", "state", "closed_at", where="closed_at IS NOT NULL"),
    # An origin's finished registrations, to be counted and replayed.
    _index("ix_registrations_ended", "client", "state", "origin", "id", where="closed_at IS NOT NULL"),
)

events: Final = Table(
    "events",
    metadata,
    Column("registration", Key, ForeignKey("registrations.id"), primary_key=True),
    Column("client", Key, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    _index("uq_events_position", "client", "position", unique=True),
)

deliveries: Final = Table(
    "deliveries",
    metadata,
    Column("registration", Key, ForeignKey("registrations.id"), primary_key=True),
    Column("lane", Key, nullable=False),
    Column("next_at", BigInteger),
    Column("leased_until", BigInteger),
    Column("fence", BigInteger, nullable=False),
    Column("round", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    # Recorded failures of this round: the place in the retry schedule.
    Column("failures", Integer, nullable=False),
    Column("ended_at", BigInteger),
    Column("delivered_at", BigInteger),
    Column("dead_reason", Text),
    Column("last_http_status", Integer),
    # When this round was asked for; null in the first, which begins with the event.
    Column("round_at", BigInteger),
    _index("ix_deliveries_due", "lane", "next_at", where="next_at IS NOT NULL"),
    _index("ix_deliveries_dead", "dead_reason", "registration", where="dead_reason IS NOT NULL"),
)

attempts: Final = Table(
    "attempts",
    metadata,
    Column("registration", Key, ForeignKey("registrations.id"), primary_key=True),
    # The claim's number makes the row's name, so that a repeated batch writes it once.
    Column("fence", BigInteger, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("duration", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("http_status", Integer),
    Column("error", Text),
    Column("answer", LargeBinary, nullable=False),
    Column("round", Integer),
    # How long the origin was to be left alone after it.
    Column("pause", BigInteger),
)

lanes: Final = Table(
    "lanes",
    metadata,
    Column("name", Key, primary_key=True),
    Column("spent_until", BigInteger, nullable=False),
    Column("paused_until", BigInteger, nullable=False),
    Column("paused_at", BigInteger, nullable=False),
    # In a row: pauses that nobody asked for.
    Column("failures", Integer, nullable=False),
    # An origin's: how many attempts it is given at once, null for as many as are configured; 0 while it is paused or probed.
    Column("slots", Integer),
    Column("failing_since", BigInteger),
    Column("cause", Text),
)

replays: Final = Table(
    "replays",
    metadata,
    Column("id", Key, primary_key=True),
    Column("client", Key, nullable=False),
    Column("state", Text, nullable=False),
    # What it replays.
    Column("wanted_state", Text, nullable=False),
    Column("kind", Text),
    Column("origin", Text),
    Column("since", BigInteger),
    Column("until", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    # How far `matching` has been counted; null once it is whole.
    Column("counted_origin", Text),
    Column("counted_id", Key),
    Column("matching", BigInteger, nullable=False),
    Column("replayed", BigInteger, nullable=False),
    Column("skipped", BigInteger, nullable=False),
    _index("ix_replays_client", "client", "id"),
    _index("ix_replays_open", "client", "id", where="closed_at IS NULL"),
    _index("ix_replays_closed", "closed_at", where="closed_at IS NOT NULL"),
)

replay_parts: Final = Table(
    "replay_parts",
    metadata,
    Column("replay", Key, ForeignKey("replays.id"), primary_key=True),
    Column("origin", Key, primary_key=True),
    # The last registration that was counted, and the last that was looked at since.
    Column("last", Key, nullable=False),
    Column("cursor", Key, nullable=False),
    # When to look at the origin again; null once all that was counted was looked at.
    Column("next_at", BigInteger),
    Column("hold", Text),
    Column("held_until", BigInteger),
    Column("matching", BigInteger, nullable=False),
    Column("replayed", BigInteger, nullable=False),
    _index("ix_replay_parts_due", "replay", "next_at", where="next_at IS NOT NULL"),
)

rollups: Final = Table(
    "rollups",
    metadata,
    # Empty for all clients together.
    Column("client", Key, primary_key=True),
    # The slot's length in seconds, and its beginning.
    Column("span", Integer, primary_key=True, autoincrement=False),
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("measure", Key, primary_key=True),
    Column("bucket", Key, primary_key=True),
    Column("count", BigInteger, nullable=False),
    _index("ix_rollups_over", "span", "at"),
)

facts: Final = Table(
    "facts",
    metadata,
    # `epoch`: the oldest program that may write here. `seen_at`: the last instant at which a worker was alive.
    # `store`: a random name of this store, which cursors bear.
    Column("name", Key, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
