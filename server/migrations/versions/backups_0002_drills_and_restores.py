"""Backups: the drills that try them, and the restores that people ask for."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "backups_0002"
down_revision: str | None = "backups_0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "backup_drills",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("instance_id", sa.String(length=36), nullable=False),
        sa.Column("target_id", sa.String(length=36), nullable=False),
        sa.Column("backup_id", sa.String(length=36), nullable=False),
        sa.Column("destination_id", sa.String(length=36), nullable=True),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("asked_by", sa.String(length=36), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("step", sa.String(length=30), nullable=False),
        sa.Column("plain_bytes", sa.BigInteger(), nullable=False),
        sa.Column("seconds_left", sa.Double(), nullable=True),
        sa.Column("is_opened", sa.Boolean(), nullable=False),
        sa.Column("restore_seconds", sa.Double(), nullable=True),
        sa.Column("compare_seconds", sa.Double(), nullable=True),
        sa.Column("tables", sa.Integer(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("differences", sa.JSON(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("owner", sa.String(length=120), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["backup_id"],
            ["backups.id"],
            name=op.f("fk_backup_drills_backup_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["destination_id"],
            ["backup_destinations.id"],
            name=op.f("fk_backup_drills_destination_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["instance_id"],
            ["instances.id"],
            name=op.f("fk_backup_drills_instance_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_backup_drills_organization_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name=op.f("fk_backup_drills_project_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["target_id"],
            ["backup_targets.id"],
            name=op.f("fk_backup_drills_target_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backup_drills")),
    )
    with op.batch_alter_table("backup_drills", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_backup_drills_backup_id"), ["backup_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_backup_drills_destination_id"), ["destination_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_backup_drills_instance_id"), ["instance_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_backup_drills_organization_id"), ["organization_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_backup_drills_project_id"), ["project_id"], unique=False
        )
        batch_op.create_index("ix_backup_drills_status", ["status"], unique=False)
        batch_op.create_index(
            "ix_backup_drills_target_queued", ["target_id", "queued_at"], unique=False
        )

    op.create_table(
        "backup_restores",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("instance_id", sa.String(length=36), nullable=False),
        sa.Column("target_id", sa.String(length=36), nullable=False),
        sa.Column("backup_id", sa.String(length=36), nullable=False),
        sa.Column("destination_id", sa.String(length=36), nullable=True),
        sa.Column("safety_backup_id", sa.String(length=36), nullable=True),
        sa.Column("config", sa.JSON(), nullable=True),
        sa.Column("shown", sa.String(length=500), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("asked_by", sa.String(length=36), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("step", sa.String(length=30), nullable=False),
        sa.Column("plain_bytes", sa.BigInteger(), nullable=False),
        sa.Column("bytes_per_second", sa.Double(), nullable=False),
        sa.Column("seconds_left", sa.Double(), nullable=True),
        sa.Column("differences", sa.JSON(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("owner", sa.String(length=120), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["backup_id"],
            ["backups.id"],
            name=op.f("fk_backup_restores_backup_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["destination_id"],
            ["backup_destinations.id"],
            name=op.f("fk_backup_restores_destination_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["instance_id"],
            ["instances.id"],
            name=op.f("fk_backup_restores_instance_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_backup_restores_organization_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name=op.f("fk_backup_restores_project_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["safety_backup_id"],
            ["backups.id"],
            name=op.f("fk_backup_restores_safety_backup_id"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["target_id"],
            ["backup_targets.id"],
            name=op.f("fk_backup_restores_target_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backup_restores")),
    )
    with op.batch_alter_table("backup_restores", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_backup_restores_backup_id"), ["backup_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_backup_restores_destination_id"), ["destination_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_backup_restores_instance_id"), ["instance_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_backup_restores_organization_id"), ["organization_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_backup_restores_project_id"), ["project_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_backup_restores_safety_backup_id"), ["safety_backup_id"], unique=False
        )
        batch_op.create_index("ix_backup_restores_status", ["status"], unique=False)
        batch_op.create_index(
            "ix_backup_restores_target_queued", ["target_id", "queued_at"], unique=False
        )


def downgrade() -> None:

    with op.batch_alter_table("backup_restores", schema=None) as batch_op:
        batch_op.drop_index("ix_backup_restores_target_queued")
        batch_op.drop_index("ix_backup_restores_status")
        batch_op.drop_index(batch_op.f("ix_backup_restores_safety_backup_id"))
        batch_op.drop_index(batch_op.f("ix_backup_restores_project_id"))
        batch_op.drop_index(batch_op.f("ix_backup_restores_organization_id"))
        batch_op.drop_index(batch_op.f("ix_backup_restores_instance_id"))
        batch_op.drop_index(batch_op.f("ix_backup_restores_destination_id"))
        batch_op.drop_index(batch_op.f("ix_backup_restores_backup_id"))

    op.drop_table("backup_restores")
    with op.batch_alter_table("backup_drills", schema=None) as batch_op:
        batch_op.drop_index("ix_backup_drills_target_queued")
        batch_op.drop_index("ix_backup_drills_status")
        batch_op.drop_index(batch_op.f("ix_backup_drills_project_id"))
        batch_op.drop_index(batch_op.f("ix_backup_drills_organization_id"))
        batch_op.drop_index(batch_op.f("ix_backup_drills_instance_id"))
        batch_op.drop_index(batch_op.f("ix_backup_drills_destination_id"))
        batch_op.drop_index(batch_op.f("ix_backup_drills_backup_id"))

    op.drop_table("backup_drills")
