"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _create_tables()
    op.execute("INSERT INTO facts (name, value) VALUES ('epoch', 1)")
    if op.get_bind().dialect.name == "postgresql":
        _tune_queues()


def _tune_queues() -> None:
    """Room on each page for the updates that claims and outcomes are, and a vacuum that keeps up with them."""
    for table in ("tasks", "deliveries", "lanes", "clients"):
        op.execute(f"ALTER TABLE {table} SET (fillfactor = 80)")
    for table in ("tasks", "deliveries"):
        op.execute(
            f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,"
            " autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0)"
        )


def _create_tables() -> None:
    op.create_table(
        "clients",
        sa.Column("name", Key, nullable=False),
        sa.Column("last_position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "facts",
        sa.Column("name", Key, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "lanes",
        sa.Column("name", Key, nullable=False),
        sa.Column("spent_until", sa.BigInteger(), nullable=False),
        sa.Column("paused_until", sa.BigInteger(), nullable=False),
        sa.Column("paused_at", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "tasks",
        sa.Column("ref", Key, nullable=False),
        sa.Column("client", Key, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("leased_until", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("paced_from", sa.BigInteger(), nullable=False),
        sa.Column("polls", sa.Integer(), nullable=False),
        sa.Column("not_found", sa.Integer(), nullable=False),
        sa.Column("not_found_before", sa.Integer(), nullable=False),
        sa.Column("last_other_at", sa.BigInteger(), nullable=True),
        sa.Column("verdict_from", sa.BigInteger(), nullable=True),
        sa.Column("last_poll_at", sa.BigInteger(), nullable=True),
        sa.Column("last_poll_result", sa.Text(), nullable=True),
        sa.Column("last_poll_http_status", sa.Integer(), nullable=True),
        sa.Column("last_pending_at", sa.BigInteger(), nullable=True),
        sa.Column("first_terminal_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("ref"),
    )
    op.create_index(
        "ix_tasks_due",
        "tasks",
        ["client", "next_at"],
        sqlite_where=sa.text("next_at IS NOT NULL"),
        postgresql_where=sa.text("next_at IS NOT NULL"),
    )
    op.create_table(
        "registrations",
        sa.Column("id", Key, nullable=False),
        sa.Column("task", Key, nullable=False),
        sa.Column("client", Key, nullable=False),
        sa.Column("callback_url", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("metadata", sa.LargeBinary(), nullable=False),
        sa.Column("expires_in", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("verdict_at", sa.BigInteger(), nullable=True),
        sa.Column("not_found_before", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("identity", sa.LargeBinary(), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["task"],
            ["tasks.ref"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_registrations_client", "registrations", ["client", "id"])
    op.create_index(
        "ix_registrations_closed",
        "registrations",
        ["state", "closed_at"],
        sqlite_where=sa.text("closed_at IS NOT NULL"),
        postgresql_where=sa.text("closed_at IS NOT NULL"),
    )
    op.create_index(
        "ix_registrations_dead",
        "registrations",
        ["client", "id"],
        sqlite_where=sa.text("state = 'dead'"),
        postgresql_where=sa.text("state = 'dead'"),
    )
    op.create_index("ix_registrations_task", "registrations", ["task"])
    op.create_index(
        "ix_registrations_verdict",
        "registrations",
        ["client", "verdict_at"],
        sqlite_where=sa.text("verdict_at IS NOT NULL"),
        postgresql_where=sa.text("verdict_at IS NOT NULL"),
    )
    op.create_index("uq_registrations_identity", "registrations", ["identity"], unique=True)
    op.create_table(
        "reports",
        sa.Column("task", Key, nullable=False),
        sa.Column("status", sa.LargeBinary(), nullable=True),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["task"],
            ["tasks.ref"],
        ),
        sa.PrimaryKeyConstraint("task"),
    )
    op.create_table(
        "attempts",
        sa.Column("registration", Key, nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("duration", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["registration"],
            ["registrations.id"],
        ),
        sa.PrimaryKeyConstraint("registration", "fence"),
    )
    op.create_table(
        "deliveries",
        sa.Column("registration", Key, nullable=False),
        sa.Column("lane", Key, nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("leased_until", sa.BigInteger(), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.Column("dead_reason", sa.Text(), nullable=True),
        sa.Column("last_http_status", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["registration"],
            ["registrations.id"],
        ),
        sa.PrimaryKeyConstraint("registration"),
    )
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["lane", "next_at"],
        sqlite_where=sa.text("next_at IS NOT NULL"),
        postgresql_where=sa.text("next_at IS NOT NULL"),
    )
    op.create_table(
        "events",
        sa.Column("registration", Key, nullable=False),
        sa.Column("client", Key, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["registration"],
            ["registrations.id"],
        ),
        sa.PrimaryKeyConstraint("registration"),
    )
    op.create_index("uq_events_position", "events", ["client", "position"], unique=True)
