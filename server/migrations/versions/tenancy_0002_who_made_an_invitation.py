"""Keep who made an invitation; open ones of makers that nobody knows open nothing any more."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "tenancy_0002"
down_revision: str | None = "kernel_0004"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.execute("DELETE FROM one_time_links WHERE purpose = 'invitation' AND used_at IS NULL")
    with op.batch_alter_table("one_time_links") as batch_op:
        batch_op.add_column(sa.Column("made_by", sa.String(length=36), nullable=True))
        batch_op.create_index("ix_one_time_links_made_by", ["made_by"])
        batch_op.create_foreign_key(
            "fk_one_time_links_made_by", "people", ["made_by"], ["id"], ondelete="CASCADE"
        )


def downgrade() -> None:
    with op.batch_alter_table("one_time_links") as batch_op:
        batch_op.drop_constraint("fk_one_time_links_made_by", type_="foreignkey")
        batch_op.drop_index("ix_one_time_links_made_by")
        batch_op.drop_column("made_by")
