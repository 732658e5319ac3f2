"""Backups: what is backed up and where to, its schedule, each run and its copies."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "backups_0001"
down_revision: str | None = "alerts_0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:

    op.create_table(
        "backup_destinations",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("shown", sa.String(length=500), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("problem", sa.String(length=500), nullable=False),
        sa.Column("problem_since", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_backup_destinations_organization_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name=op.f("fk_backup_destinations_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backup_destinations")),
        sa.UniqueConstraint(
            "project_id", "name", name=op.f("uq_backup_destinations_project_id_name")
        ),
    )
    with op.batch_alter_table("backup_destinations", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_backup_destinations_organization_id"), ["organization_id"], unique=False
        )

    op.create_table(
        "backup_schedules",
        sa.Column("instance_id", sa.String(length=36), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("interval_hours", sa.Integer(), nullable=False),
        sa.Column("retention_days", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"],
            ["instances.id"],
            name=op.f("fk_backup_schedules_instance_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("instance_id", name=op.f("pk_backup_schedules")),
    )
    op.create_table(
        "backup_targets",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("instance_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("engine", sa.String(length=20), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("shown", sa.String(length=500), nullable=False),
        sa.Column("folder", sa.String(length=120), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("interval_hours", sa.Integer(), nullable=True),
        sa.Column("cron", sa.String(length=100), nullable=False),
        sa.Column("time_zone", sa.String(length=60), nullable=False),
        sa.Column("next_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expected_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("keep_days", sa.Integer(), nullable=False),
        sa.Column("keep_count", sa.Integer(), nullable=False),
        sa.Column("keep_daily", sa.Integer(), nullable=False),
        sa.Column("keep_weekly", sa.Integer(), nullable=False),
        sa.Column("keep_monthly", sa.Integer(), nullable=False),
        sa.Column("keep_yearly", sa.Integer(), nullable=False),
        sa.Column("recipients", sa.JSON(), nullable=False),
        sa.Column("drill_key", sa.Text(), nullable=False),
        sa.Column("drills", sa.String(length=12), nullable=False),
        sa.Column("too_small_percent", sa.Integer(), nullable=False),
        sa.Column("heartbeat_url", sa.Text(), nullable=False),
        sa.Column("heartbeat_problem", sa.String(length=500), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("troubles", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_id"],
            ["instances.id"],
            name=op.f("fk_backup_targets_instance_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_backup_targets_organization_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name=op.f("fk_backup_targets_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backup_targets")),
        sa.UniqueConstraint("instance_id", "name", name=op.f("uq_backup_targets_instance_id_name")),
    )
    with op.batch_alter_table("backup_targets", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_backup_targets_next_run_at"), ["next_run_at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_backup_targets_organization_id"), ["organization_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_backup_targets_project_id"), ["project_id"], unique=False
        )

    op.create_table(
        "backup_target_destinations",
        sa.Column("target_id", sa.String(length=36), nullable=False),
        sa.Column("destination_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(
            ["destination_id"],
            ["backup_destinations.id"],
            name=op.f("fk_backup_target_destinations_destination_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["target_id"],
            ["backup_targets.id"],
            name=op.f("fk_backup_target_destinations_target_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "target_id", "destination_id", name=op.f("pk_backup_target_destinations")
        ),
    )
    with op.batch_alter_table("backup_target_destinations", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_backup_target_destinations_destination_id"),
            ["destination_id"],
            unique=False,
        )

    op.create_table(
        "backups",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("instance_id", sa.String(length=36), nullable=False),
        sa.Column("target_id", sa.String(length=36), nullable=False),
        sa.Column("engine", sa.String(length=20), nullable=False),
        sa.Column("kind", sa.String(length=15), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("asked_by", sa.String(length=36), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("plain_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sealed_bytes", sa.BigInteger(), nullable=False),
        sa.Column("bytes_per_second", sa.Double(), nullable=False),
        sa.Column("seconds_left", sa.Double(), nullable=True),
        sa.Column("progress_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("key", sa.String(length=400), nullable=False),
        sa.Column("beside", sa.JSON(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_kept", sa.Boolean(), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("owner", sa.String(length=120), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["instance_id"],
            ["instances.id"],
            name=op.f("fk_backups_instance_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_backups_organization_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_backups_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["target_id"],
            ["backup_targets.id"],
            name=op.f("fk_backups_target_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backups")),
    )
    with op.batch_alter_table("backups", schema=None) as batch_op:
        batch_op.create_index(
            "ix_backups_instance_queued", ["instance_id", "queued_at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_backups_organization_id"), ["organization_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_backups_project_id"), ["project_id"], unique=False)
        batch_op.create_index("ix_backups_status_due", ["status", "due_at"], unique=False)
        batch_op.create_index("ix_backups_target_queued", ["target_id", "queued_at"], unique=False)
        batch_op.create_index(
            "uq_backups_queued_target",
            ["target_id"],
            unique=True,
            sqlite_where=sa.text("status = 'queued'"),
            postgresql_where=sa.text("status = 'queued'"),
        )
        batch_op.create_index(
            "uq_backups_running_target",
            ["target_id"],
            unique=True,
            sqlite_where=sa.text("status = 'running'"),
            postgresql_where=sa.text("status = 'running'"),
        )

    op.create_table(
        "backup_copies",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("backup_id", sa.String(length=36), nullable=False),
        sa.Column("destination_id", sa.String(length=36), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fault", sa.String(length=20), nullable=False),
        sa.Column("locked_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["backup_id"],
            ["backups.id"],
            name=op.f("fk_backup_copies_backup_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["destination_id"],
            ["backup_destinations.id"],
            name=op.f("fk_backup_copies_destination_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backup_copies")),
        sa.UniqueConstraint(
            "backup_id", "destination_id", name=op.f("uq_backup_copies_backup_id_destination_id")
        ),
    )
    with op.batch_alter_table("backup_copies", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_backup_copies_checked_at"), ["checked_at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_backup_copies_destination_id"), ["destination_id"], unique=False
        )


def downgrade() -> None:
    with op.batch_alter_table("backup_copies", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_backup_copies_destination_id"))
        batch_op.drop_index(batch_op.f("ix_backup_copies_checked_at"))

    op.drop_table("backup_copies")
    with op.batch_alter_table("backups", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_backups_running_target",
            sqlite_where=sa.text("status = 'running'"),
            postgresql_where=sa.text("status = 'running'"),
        )
        batch_op.drop_index(
            "uq_backups_queued_target",
            sqlite_where=sa.text("status = 'queued'"),
            postgresql_where=sa.text("status = 'queued'"),
        )
        batch_op.drop_index("ix_backups_target_queued")
        batch_op.drop_index("ix_backups_status_due")
        batch_op.drop_index(batch_op.f("ix_backups_project_id"))
        batch_op.drop_index(batch_op.f("ix_backups_organization_id"))
        batch_op.drop_index("ix_backups_instance_queued")

    op.drop_table("backups")
    with op.batch_alter_table("backup_target_destinations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_backup_target_destinations_destination_id"))

    op.drop_table("backup_target_destinations")
    with op.batch_alter_table("backup_targets", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_backup_targets_project_id"))
        batch_op.drop_index(batch_op.f("ix_backup_targets_organization_id"))
        batch_op.drop_index(batch_op.f("ix_backup_targets_next_run_at"))

    op.drop_table("backup_targets")
    op.drop_table("backup_schedules")
    with op.batch_alter_table("backup_destinations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_backup_destinations_organization_id"))

    op.drop_table("backup_destinations")
