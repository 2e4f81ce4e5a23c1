"""Replays, and how far each has come with each origin."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "replays",
        sa.Column("id", Key, nullable=False),
        sa.Column("client", Key, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("wanted_state", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=True),
        sa.Column("since", sa.BigInteger(), nullable=True),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("counted_origin", sa.Text(), nullable=True),
        sa.Column("counted_id", Key, nullable=True),
        sa.Column("matching", sa.BigInteger(), nullable=False),
        sa.Column("replayed", sa.BigInteger(), nullable=False),
        sa.Column("skipped", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_replays_client", "replays", ["client", "id"])
    for name, columns, condition in (
        ("ix_replays_open", ["client", "id"], sa.text("closed_at IS NULL")),
        ("ix_replays_closed", ["closed_at"], sa.text("closed_at IS NOT NULL")),
    ):
        op.create_index(name, "replays", columns, sqlite_where=condition, postgresql_where=condition)
    op.create_table(
        "replay_parts",
        sa.Column("replay", Key, nullable=False),
        sa.Column("origin", Key, nullable=False),
        sa.Column("last", Key, nullable=False),
        sa.Column("cursor", Key, nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("hold", sa.Text(), nullable=True),
        sa.Column("held_until", sa.BigInteger(), nullable=True),
        sa.Column("matching", sa.BigInteger(), nullable=False),
        sa.Column("replayed", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["replay"],
            ["replays.id"],
        ),
        sa.PrimaryKeyConstraint("replay", "origin"),
    )
    op.create_index(
        "ix_replay_parts_due",
        "replay_parts",
        ["replay", "next_at"],
        sqlite_where=sa.text("next_at IS NOT NULL"),
        postgresql_where=sa.text("next_at IS NOT NULL"),
    )
