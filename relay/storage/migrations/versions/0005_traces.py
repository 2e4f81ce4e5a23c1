"""A registration keeps where in its caller's trace it stands."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("registrations", sa.Column("traceparent", sa.Text()))
    op.add_column("registrations", sa.Column("tracestate", sa.Text()))
