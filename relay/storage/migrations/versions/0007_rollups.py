"""What the relay did, counted by slots of time."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "rollups",
        sa.Column("client", Key, nullable=False),
        sa.Column("span", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("measure", Key, nullable=False),
        sa.Column("bucket", Key, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client", "span", "at", "measure", "bucket"),
    )
    op.create_index("ix_rollups_over", "rollups", ["span", "at"])
    if op.get_context().dialect.name == "postgresql":
        # Room on each page for the sums that take the place of those before.
        op.execute("ALTER TABLE rollups SET (fillfactor = 80)")
