"""Seal what channels are told with: signing secrets, and the keys in their targets."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from mainstay_server.kernel.sealing import seal, sealed_texts, unseal

revision: str = "alerts_0002"
down_revision: str | None = "vulnerabilities_0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

SECRET, CONFIG = "alert_channels.secret", "alert_channels.config"
channels = sa.table(
    "alert_channels",
    sa.column("id", sa.String),
    sa.column("config", sa.JSON),
    sa.column("secret", sa.Text),
)


def upgrade() -> None:
    with op.batch_alter_table("alert_channels") as batch_op:
        batch_op.alter_column(
            "secret", existing_type=sa.String(length=80), type_=sa.Text(), existing_nullable=False
        )
    connection = op.get_bind()
    for row in connection.execute(sa.select(channels)).all():
        values = {
            "config": sealed_texts(row.config, purpose=CONFIG),
            "secret": seal(unseal(row.secret, purpose=SECRET), purpose=SECRET),
        }
        connection.execute(sa.update(channels).where(channels.c.id == row.id).values(values))


def downgrade() -> None:
    connection = op.get_bind()
    for row in connection.execute(sa.select(channels)).all():
        values = {
            "config": {
                name: unseal(each, purpose=CONFIG) if isinstance(each, str) else each
                for name, each in row.config.items()
            },
            "secret": unseal(row.secret, purpose=SECRET),
        }
        connection.execute(sa.update(channels).where(channels.c.id == row.id).values(values))
    with op.batch_alter_table("alert_channels") as batch_op:
        batch_op.alter_column(
            "secret", existing_type=sa.Text(), type_=sa.String(length=80), existing_nullable=False
        )
