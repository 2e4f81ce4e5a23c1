"""Lanes remember how many slots their origin is given and why; attempts, what explains the next one."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, column in (
        ("lanes", sa.Column("slots", sa.Integer(), nullable=True)),
        ("lanes", sa.Column("failing_since", sa.BigInteger(), nullable=True)),
        ("lanes", sa.Column("cause", sa.Text(), nullable=True)),
        ("deliveries", sa.Column("round_at", sa.BigInteger(), nullable=True)),
        ("attempts", sa.Column("round", sa.Integer(), nullable=True)),
        ("attempts", sa.Column("pause", sa.BigInteger(), nullable=True)),
    ):
        op.add_column(table, column)
    op.create_index(
        "ix_registrations_ended",
        "registrations",
        ["client", "state", "origin", "id"],
        sqlite_where=sa.text("closed_at IS NOT NULL"),
        postgresql_where=sa.text("closed_at IS NOT NULL"),
    )
