"""Registrations are listed by their state, whatever it is, and dead ones by why they are."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_registrations_state", "registrations", ["client", "state", "id"])
    op.drop_index("ix_registrations_dead", "registrations")
    op.create_index(
        "ix_deliveries_dead",
        "deliveries",
        ["dead_reason", "registration"],
        sqlite_where=sa.text("dead_reason IS NOT NULL"),
        postgresql_where=sa.text("dead_reason IS NOT NULL"),
    )
