"""Keep beside an alert that another system sent how long it lasts unless it is sent again."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "alerts_0010"
down_revision: str | None = "on_call_0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "alert_receipts",
        sa.Column("alert_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("fingerprint", sa.String(length=16), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("live_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_is_given", sa.Boolean(), nullable=False),
        sa.Column("generator_url", sa.String(length=2000), nullable=False),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["alert_id"],
            ["alerts.id"],
            name=op.f("fk_alert_receipts_alert_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name=op.f("fk_alert_receipts_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_alert_receipts")),
    )
    op.create_index(op.f("ix_alert_receipts_live_until"), "alert_receipts", ["live_until"])
    op.create_index(
        "ix_alert_receipts_project_print", "alert_receipts", ["project_id", "fingerprint"]
    )


def downgrade() -> None:
    op.drop_table("alert_receipts")
