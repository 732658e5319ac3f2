"""what an app depends on."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "health_checks_0007"
down_revision: str | None = "health_checks_0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "health_parts",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("health_check_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("state_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("response_ms", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["health_check_id"],
            ["health_checks.id"],
            name=op.f("fk_health_parts_health_check_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_health_parts")),
        sa.UniqueConstraint(
            "health_check_id", "name", name=op.f("uq_health_parts_health_check_id_name")
        ),
    )
    op.create_table(
        "health_part_spells",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("part_id", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.ForeignKeyConstraint(
            ["part_id"],
            ["health_parts.id"],
            name=op.f("fk_health_part_spells_part_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_health_part_spells")),
    )
    op.create_index(op.f("ix_health_part_spells_ended_at"), "health_part_spells", ["ended_at"])
    op.create_index("ix_health_part_spells_part", "health_part_spells", ["part_id", "started_at"])


def downgrade() -> None:
    op.drop_index("ix_health_part_spells_part", "health_part_spells")
    op.drop_index(op.f("ix_health_part_spells_ended_at"), "health_part_spells")
    op.drop_table("health_part_spells")
    op.drop_table("health_parts")
