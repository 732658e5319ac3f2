"""Mails, templates, suppressed addresses, and who wants reports."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "email_0001"
down_revision: str | None = "alerts_0010"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "email_looks",
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("colour", sa.String(length=7), nullable=False),
        sa.Column("logo_url", sa.String(length=1000), nullable=False),
        sa.Column("footer", sa.String(length=300), nullable=False),
        sa.Column("reply_to", sa.String(length=254), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_email_looks_organization_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_email_looks")),
    )
    op.create_table(
        "email_suppressions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("address", sa.String(length=254), nullable=False),
        sa.Column("reason", sa.String(length=15), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_email_suppressions_organization_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_suppressions")),
        sa.UniqueConstraint(
            "organization_id", "address", name=op.f("uq_email_suppressions_organization_id_address")
        ),
    )
    op.create_table(
        "email_templates",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("kind", sa.String(length=15), nullable=False),
        sa.Column("subject", sa.String(length=500), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("example", sa.JSON(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_email_templates_organization_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_templates")),
        sa.UniqueConstraint(
            "organization_id", "name", name=op.f("uq_email_templates_organization_id_name")
        ),
    )
    op.create_table(
        "report_wishes",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("time_zone", sa.String(length=60), nullable=False),
        sa.Column("hour", sa.Integer(), nullable=False),
        sa.Column("weekday", sa.Integer(), nullable=False),
        sa.Column("weekly_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("monthly_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_report_wishes_organization_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["people.id"],
            name=op.f("fk_report_wishes_person_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report_wishes")),
        sa.UniqueConstraint(
            "organization_id", "person_id", name=op.f("uq_report_wishes_organization_id_person_id")
        ),
    )
    with op.batch_alter_table("report_wishes", schema=None) as batch_op:
        batch_op.create_index("ix_report_wishes_monthly_due_at", ["monthly_due_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_report_wishes_person_id"), ["person_id"], unique=False)
        batch_op.create_index("ix_report_wishes_weekly_due_at", ["weekly_due_at"], unique=False)

    op.create_table(
        "reports_sent",
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("period", sa.String(length=10), nullable=False),
        sa.Column("begins_on", sa.Date(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_reports_sent_organization_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name=op.f("fk_reports_sent_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "person_id", "period", "begins_on", name=op.f("pk_reports_sent")
        ),
    )
    with op.batch_alter_table("reports_sent", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reports_sent_sent_at"), ["sent_at"], unique=False)

    op.create_table(
        "email_requests",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("email_ids", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name=op.f("fk_email_requests_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_email_requests")),
        sa.UniqueConstraint("project_id", "key", name=op.f("uq_email_requests_project_id_key")),
    )
    with op.batch_alter_table("email_requests", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_email_requests_created_at"), ["created_at"], unique=False
        )

    op.create_table(
        "email_senders",
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("by_dsn", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name=op.f("fk_email_senders_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_email_senders")),
    )
    op.create_table(
        "emails",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=True),
        sa.Column("person_id", sa.String(length=36), nullable=True),
        sa.Column("template", sa.String(length=60), nullable=False),
        sa.Column("kind", sa.String(length=15), nullable=False),
        sa.Column("recipient", sa.String(length=254), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("sender_name", sa.String(length=100), nullable=False),
        sa.Column("reply_to", sa.String(length=254), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("delivery_id", sa.String(length=36), nullable=False),
        sa.Column("provider_id", sa.String(length=200), nullable=False),
        sa.Column("made_by", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organizations.id"],
            name=op.f("fk_emails_organization_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name=op.f("fk_emails_person_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_emails_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_emails")),
    )
    with op.batch_alter_table("emails", schema=None) as batch_op:
        batch_op.create_index("ix_emails_created_at", ["created_at"], unique=False)
        batch_op.create_index("ix_emails_organization", ["organization_id", "id"], unique=False)
        batch_op.create_index(
            "ix_emails_project_created", ["project_id", "created_at"], unique=False
        )
        batch_op.create_index("ix_emails_project_state", ["project_id", "state"], unique=False)
        batch_op.create_index("ix_emails_provider_id", ["provider_id"], unique=False)
        batch_op.create_index("ix_emails_recipient", ["recipient", "id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("emails", schema=None) as batch_op:
        batch_op.drop_index("ix_emails_recipient")
        batch_op.drop_index("ix_emails_provider_id")
        batch_op.drop_index("ix_emails_project_state")
        batch_op.drop_index("ix_emails_project_created")
        batch_op.drop_index("ix_emails_organization")
        batch_op.drop_index("ix_emails_created_at")

    op.drop_table("emails")
    op.drop_table("email_senders")
    with op.batch_alter_table("email_requests", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_email_requests_created_at"))

    op.drop_table("email_requests")
    with op.batch_alter_table("reports_sent", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_reports_sent_sent_at"))

    op.drop_table("reports_sent")
    with op.batch_alter_table("report_wishes", schema=None) as batch_op:
        batch_op.drop_index("ix_report_wishes_weekly_due_at")
        batch_op.drop_index(batch_op.f("ix_report_wishes_person_id"))
        batch_op.drop_index("ix_report_wishes_monthly_due_at")

    op.drop_table("report_wishes")
    op.drop_table("email_templates")
    op.drop_table("email_suppressions")
    op.drop_table("email_looks")
