"""who waits for an answer."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "health_checks_0005"
down_revision: str | None = "health_checks_0004"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    op.add_column(
        "health_checks", sa.Column("awaited_since", sa.DateTime(timezone=True), nullable=True)
    )


def downgrade() -> None:
    op.drop_column("health_checks", "awaited_since")
