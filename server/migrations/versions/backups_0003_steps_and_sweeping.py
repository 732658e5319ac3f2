"""Backups: what a run is doing, and whether what it left unfinished was swept up."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "backups_0003"
down_revision: str | None = "backups_0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    with op.batch_alter_table("backups", schema=None) as batch_op:
        batch_op.add_column(sa.Column("step", sa.String(30), nullable=False, server_default=""))
        batch_op.add_column(
            sa.Column("is_swept", sa.Boolean(), nullable=False, server_default=sa.true())
        )


def downgrade() -> None:
    with op.batch_alter_table("backups", schema=None) as batch_op:
        batch_op.drop_column("is_swept")
        batch_op.drop_column("step")
