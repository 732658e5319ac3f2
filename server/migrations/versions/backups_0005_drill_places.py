"""Backups: where drills restore when somebody gave a place, and which drill began to fill it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "backups_0005"
down_revision: str | None = "results_0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    with op.batch_alter_table("backup_targets", schema=None) as batch_op:
        batch_op.add_column(sa.Column("drill_place", sa.JSON(), nullable=True))
    with op.batch_alter_table("backup_drills", schema=None) as batch_op:
        batch_op.add_column(sa.Column("filled", sa.String(64), nullable=False, server_default=""))


def downgrade() -> None:
    with op.batch_alter_table("backup_drills", schema=None) as batch_op:
        batch_op.drop_column("filled")
    with op.batch_alter_table("backup_targets", schema=None) as batch_op:
        batch_op.drop_column("drill_place")
