"""kinds, targets, tags and parents."""

from collections.abc import Sequence
from urllib.parse import urlsplit, urlunsplit

import sqlalchemy as sa
from alembic import op

revision: str = "health_checks_0002"
down_revision: str | None = "backups_0005"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

checks = sa.table(
    "health_checks",
    sa.column("id", sa.String),
    sa.column("url", sa.String),
    sa.column("target", sa.String),
)


def upgrade() -> None:
    # No batch: on SQLite it would make the table anew, and dropping the old one would take every
    # row that refers to it along.
    for column in (
        sa.Column("target", sa.String(length=2600), nullable=False, server_default=""),
        sa.Column("config", sa.JSON(), nullable=False, server_default="{}"),
        sa.Column("conditions", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("tags", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("parent_id", sa.String(length=36), nullable=True),
        sa.Column("expiry_days", sa.JSON(), nullable=False, server_default="[14, 7, 3, 1]"),
        sa.Column("certificate_ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("certificate_told_days", sa.Integer(), nullable=True),
        sa.Column("domain_ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("domain_told_days", sa.Integer(), nullable=True),
    ):
        op.add_column("health_checks", column)
    op.create_index("ix_health_checks_parent_id", "health_checks", ["parent_id"])
    connection = op.get_bind()
    for row in connection.execute(sa.select(checks.c.id, checks.c.url)).all():
        parts = urlsplit(row.url)
        target = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        connection.execute(sa.update(checks).where(checks.c.id == row.id).values(target=target))


def downgrade() -> None:
    op.drop_index("ix_health_checks_parent_id", "health_checks")
    for name in (
        *("domain_told_days", "domain_ends_at", "certificate_told_days", "certificate_ends_at"),
        *("expiry_days", "parent_id", "tags", "conditions", "config", "target"),
    ):
        op.drop_column("health_checks", name)
