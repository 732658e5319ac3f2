"""Who acted, by name and address as they were at that time."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "kernel_0004"
down_revision: str | None = "kernel_0003"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    # Added one by one, and not in a batch that copies the table: the copy's end would take the
    # deliveries with it, which go when their event goes.
    for name, length in (("actor_name", 100), ("actor_email", 254)):
        column = sa.Column(name, sa.String(length=length), server_default="", nullable=False)
        op.add_column("outbox_events", column)


def downgrade() -> None:
    for name in ("actor_email", "actor_name"):
        op.drop_column("outbox_events", name)
