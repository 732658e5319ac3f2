"""Give channels a fallback, a limit and a second secret, and tellings what receivers call them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "alerts_0007"
down_revision: str | None = "alerts_0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

OF_CHANNELS = (
    "fallback_id",
    "per_minute",
    "next_slot_at",
    "previous_secret",
    "previous_secret_until",
)
OF_NOTIFICATIONS = ("receipt", "slot_at", "stands_in_for")


def upgrade() -> None:
    with op.batch_alter_table("alert_channels") as batch_op:
        batch_op.add_column(
            sa.Column("fallback_id", sa.String(length=36), server_default="", nullable=False)
        )
        batch_op.add_column(
            sa.Column("per_minute", sa.Integer(), server_default="0", nullable=False)
        )
        batch_op.add_column(sa.Column("next_slot_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(
            sa.Column(
                "previous_secret",
                sa.Text(),
                server_default="",
                nullable=False,
            )
        )
        batch_op.add_column(
            sa.Column("previous_secret_until", sa.DateTime(timezone=True), nullable=True)
        )
    with op.batch_alter_table("alert_notifications") as batch_op:
        batch_op.add_column(
            sa.Column("receipt", sa.String(length=100), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("slot_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(
            sa.Column("stands_in_for", sa.String(length=36), server_default="", nullable=False)
        )


def downgrade() -> None:
    for table, columns in (
        ("alert_notifications", OF_NOTIFICATIONS),
        ("alert_channels", OF_CHANNELS),
    ):
        with op.batch_alter_table(table) as batch_op:
            for column in reversed(columns):
                batch_op.drop_column(column)
