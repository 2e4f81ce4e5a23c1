"""A client's events can be pulled: it is known up to which of them retention has dropped some."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("clients", sa.Column("pruned_to", sa.BigInteger(), nullable=False, server_default="0"))
    # What was dropped before is told by the gaps it has left; beyond the last of them every event is there.
    op.execute(
        """
        UPDATE clients SET pruned_to = CASE
            WHEN EXISTS (
                SELECT 1 FROM events WHERE events.client = clients.name AND events.position = clients.last_position
            ) THEN (
                SELECT max(events.position) - 1 FROM events
                WHERE events.client = clients.name AND NOT EXISTS (
                    SELECT 1 FROM events AS before
                    WHERE before.client = events.client AND before.position = events.position - 1
                )
            )
            ELSE last_position
        END"""
    )
