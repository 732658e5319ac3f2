"""Give alerts labels with a fingerprint, and who has taken them in hand."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "alerts_0005"
down_revision: str | None = "health_checks_0007"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

NOTHING = sa.text("'{}'")


def upgrade() -> None:
    with op.batch_alter_table("alerts") as batch_op:
        batch_op.add_column(sa.Column("labels", sa.JSON(), nullable=False, server_default=NOTHING))
        batch_op.add_column(
            sa.Column("annotations", sa.JSON(), nullable=False, server_default=NOTHING)
        )
        batch_op.add_column(
            sa.Column("fingerprint", sa.String(length=16), nullable=False, server_default="")
        )
        batch_op.add_column(sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(
            sa.Column("acknowledged_by", sa.String(length=36), nullable=False, server_default="")
        )
        batch_op.create_index("ix_alerts_project_fingerprint", ["project_id", "fingerprint"])


def downgrade() -> None:
    with op.batch_alter_table("alerts") as batch_op:
        batch_op.drop_index("ix_alerts_project_fingerprint")
        batch_op.drop_column("acknowledged_by")
        batch_op.drop_column("acknowledged_at")
        batch_op.drop_column("fingerprint")
        batch_op.drop_column("annotations")
        batch_op.drop_column("labels")
