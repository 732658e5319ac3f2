"""Give alert channels names, by which people and documents tell them apart."""

from collections import Counter
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "alerts_0004"
down_revision: str | None = "heartbeats_0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

channels = sa.table(
    "alert_channels",
    sa.column("id", sa.String),
    sa.column("project_id", sa.String),
    sa.column("instance_id", sa.String),
    sa.column("type", sa.String),
    sa.column("name", sa.String),
    sa.column("created_at", sa.DateTime),
)


def upgrade() -> None:
    with op.batch_alter_table("alert_channels") as batch_op:
        batch_op.add_column(
            sa.Column("name", sa.String(length=100), nullable=False, server_default="")
        )
    connection = op.get_bind()
    rows = connection.execute(
        sa.select(
            channels.c.id, channels.c.project_id, channels.c.instance_id, channels.c.type
        ).order_by(channels.c.created_at, channels.c.id)
    ).all()
    seen: Counter[tuple[str, str | None, str]] = Counter()
    for row in rows:
        about = (row.project_id, row.instance_id, row.type)
        seen[about] += 1
        name = row.type if seen[about] == 1 else f"{row.type}-{seen[about]}"
        connection.execute(sa.update(channels).where(channels.c.id == row.id).values(name=name))
    with op.batch_alter_table("alert_channels") as batch_op:
        batch_op.alter_column("name", existing_type=sa.String(length=100), server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("alert_channels") as batch_op:
        batch_op.drop_column("name")
