"""Keep which document holds which thing, and when documents were applied."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "configuration_0001"
down_revision: str | None = "alerts_0004"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "configuration_applied",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=80), nullable=False),
        sa.Column("actor_name", sa.String(length=200), nullable=False),
        sa.Column("created", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("removed", sa.Integer(), nullable=False),
        sa.Column("unchanged", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name=op.f("fk_configuration_applied_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_configuration_applied")),
    )
    with op.batch_alter_table("configuration_applied", schema=None) as batch_op:
        batch_op.create_index(
            "ix_configuration_applied_newest", ["project_id", "applied_at"], unique=False
        )

    op.create_table(
        "configuration_claims",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("thing_id", sa.String(length=80), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name=op.f("fk_configuration_claims_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_configuration_claims")),
        sa.UniqueConstraint(
            "project_id",
            "kind",
            "thing_id",
            name=op.f("uq_configuration_claims_project_id_kind_thing_id"),
        ),
    )


def downgrade() -> None:
    op.drop_table("configuration_claims")
    with op.batch_alter_table("configuration_applied", schema=None) as batch_op:
        batch_op.drop_index("ix_configuration_applied_newest")

    op.drop_table("configuration_applied")
