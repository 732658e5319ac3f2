"""Backups: whether a restore empties its target, and how many were erased again."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "backups_0004"
down_revision: str | None = "sync_0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    with op.batch_alter_table("backup_restores", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("empties", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        batch_op.add_column(sa.Column("erasures", sa.Integer(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("backup_restores", schema=None) as batch_op:
        batch_op.drop_column("erasures")
        batch_op.drop_column("empties")
